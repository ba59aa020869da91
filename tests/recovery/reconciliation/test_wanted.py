"""What each stack's file has to say after each of recovery's verbs."""

from dataclasses import replace

import pytest

from recovery.reconciliation.wanted import wanted
from tests.recovery.reconciliation import states


def said(world):
    return {each.stack: (each.standing, each.values) for each in wanted(world)}


def why(world, stack):
    (found,) = [each for each in wanted(world) if each.stack == stack]
    return found.why


def test_in_peace_every_stack_says_what_it_said():
    assert said(states.BEFORE) == {
        "primary": ("touched", {"role": "active", "peer": "lit"}),
        "dr": ("touched", {"role": "standby", "peer": "lit"}),
        "link": ("touched", {"active": "primary"}),
    }


def test_after_a_failover_the_standby_is_active_and_its_peer_dark():
    assert said(states.FAILED_OVER) == {
        "dr": ("touched", {"role": "active", "peer": "dark"}),
        "primary": ("dark", {}),
        "link": ("dark", {}),
    }
    assert "us-east-1 does not answer" in why(states.FAILED_OVER, "primary")


def test_an_old_primary_that_is_back_is_left_alone_until_it_is_protected_into():
    found = said(states.HEALED)
    assert found["dr"] == ("touched", {"role": "active", "peer": "lit"})
    assert found["primary"] == found["link"] == ("waits", {})
    assert why(states.HEALED, "primary") == (
        "rlg-data-primary-1 in us-east-1 does not replicate rlg-data-dr-1; "
        "run recovery.reprotect --region us-east-1 first"
    )


def test_after_a_reprotect_the_roles_have_changed_sides():
    assert said(states.REPROTECTED) == {
        "dr": ("touched", {"role": "active", "peer": "lit"}),
        "primary": ("touched", {"role": "standby", "peer": "lit"}),
        "link": ("touched", {"active": "dr"}),
    }


def test_after_a_failback_everything_is_as_in_the_beginning():
    assert said(states.WENT_HOME) == said(states.BEFORE)


def test_the_link_waits_until_files_flow_the_other_way():
    sites = states.REPROTECTED.sites
    lacking = states.world("dr", sites["primary"], replace(sites["dr"], sends=frozenset()))
    assert said(lacking)["link"][0] == "waits"
    assert "the files of rlg-data are not replicated from us-west-2" in why(lacking, "link")
    both = states.world(
        "dr", replace(sites["primary"], sends=frozenset({("rlg-data", "files")})), sites["dr"]
    )
    assert "still replicated from us-east-1" in why(both, "link")


@pytest.mark.parametrize(
    ("database", "text"),
    [(states.seen("dr", "rlg-data-primary-1"), "is still a replica"), (None, "does not exist")],
)
def test_a_site_that_is_assigned_and_has_no_writer_is_not_touched(database, text):
    site = database or replace(states.PROMOTED, databases={states.PRODUCT: None})
    broken = states.world("dr", states.DARK, site)
    assert said(broken)["dr"] == ("waits", {})
    assert text in why(broken, "dr")


def test_where_the_active_region_is_dark_its_stack_is_left_alone():
    dark = replace(states.DARK, name="dr", region="us-west-2")
    found = said(states.world("dr", states.seen("primary", "rlg-data-dr-1"), dark))
    assert found["dr"] == ("dark", {})
    assert found["primary"] == ("touched", {"role": "standby", "peer": "dark"})
    assert found["link"] == ("dark", {})
