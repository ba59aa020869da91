"""State operations: what they name, that they suffice, and that they touch nothing else."""

import copy
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recovery import naming
from recovery.engine.errors import RefusedError
from recovery.reconciliation import checkpoint
from recovery.reconciliation.checkpoint import rebound
from recovery.reconciliation.operations import (
    BACKUPS,
    FLEET,
    INSTANCE,
    RULES,
    Forget,
    Import,
    Rebind,
    Refresh,
    plan,
)
from recovery.reconciliation.world import Fleet, Placed, SiteSeen
from tests.recovery.reconciliation import states
from tests.recovery.reconciliation.states import Memory, of_link, of_site, parsed, urn

DATABASE = urn("primary", INSTANCE, "rlg-data-primary-1")


def test_in_peace_nothing_is_to_be_done():
    for stack, state in states.states().items():
        assert plan(parsed(state), stack, states.BEFORE) == ()


def test_a_promoted_replica_and_a_scaled_fleet_are_read_again():
    found = plan(parsed(states.states()["dr"]), "dr", states.FAILED_OVER)
    database, fleet = found
    assert isinstance(database, Refresh)
    assert isinstance(fleet, Refresh)
    assert database.urn == urn("dr", INSTANCE, "rlg-data-dr-1")
    assert database.why == "the state calls it a replica of rlg-data-primary-1, and it is a writer"
    assert fleet.urn == urn("dr", FLEET, "rlg-data-dr")


def test_the_old_database_gives_its_urn_to_the_replica_of_the_same_name():
    first, *others = plan(parsed(states.states()["primary"]), "primary", states.REPROTECTED)
    assert first == Rebind(urn=DATABASE, old="db-primary", new="db-new", why=first.why)
    read = [each.urn for each in others if isinstance(each, Refresh)]
    assert read == [DATABASE, urn("primary", FLEET, "rlg-data-primary")]
    assert len(read) == len(others)


def test_the_link_forgets_what_led_the_other_way_and_takes_in_what_recovery_made():
    found = plan(parsed(of_link("primary")), "link", states.REPROTECTED)
    assert [each.id for each in found if isinstance(each, Forget)] == [
        "bucket-primary",
        "bucket-primary",
        "arn:ab-primary",
    ]
    files, frontend = (each for each in found if isinstance(each, Import))
    assert (files.type, files.name, files.id) == (
        RULES,
        "rlg-data-files-from-dr",
        "rlg-data-files-1-us-west-2",
    )
    assert frontend.id == "rlg-data-frontend-1-us-west-2"
    assert files.parent == urn("link", states.COMPONENT, "rlg-data-files")
    assert files.provider == urn("link", checkpoint.PROVIDER, "dr")


def test_copies_of_backups_that_are_made_already_are_taken_in():
    # As after a state was restored that is older than the update that made them.
    (taken,) = (
        each
        for each in plan(parsed(of_link("primary")), "link", states.COPYING)
        if isinstance(each, Import) and each.type == BACKUPS
    )
    assert (taken.name, taken.id, taken.parent) == ("rlg-data-backups-from-dr", "arn:ab-dr", None)
    assert taken.provider == urn("link", checkpoint.PROVIDER, "primary")


def test_copies_of_the_backups_of_a_database_that_is_no_more_are_forgotten():
    found = plan(parsed(of_link("primary")), "link", states.WENT_HOME)
    (gone,) = found
    assert isinstance(gone, Forget)
    assert gone.id == "arn:ab-primary"


@pytest.mark.parametrize("lacking", [INSTANCE, FLEET])
def test_a_state_without_what_the_stack_is_made_of_is_refused(lacking):
    state = states.states()["primary"]
    held = state["deployment"]["resources"]
    held[:] = [each for each in held if each["type"] != lacking]
    with pytest.raises(RefusedError, match="restore an export that has it"):
        plan(parsed(state), "primary", states.REPROTECTED)


def test_a_database_that_is_nowhere_is_refused_and_not_left_to_be_created():
    gone = SiteSeen(
        name="primary",
        region="us-east-1",
        databases={states.PRODUCT: None},
        fleets={states.PRODUCT: Fleet(minimum=1, desired=1)},
    )
    with pytest.raises(RefusedError, match="rlg-data-primary-1 does not exist in us-east-1"):
        plan(
            parsed(states.states()["primary"]),
            "primary",
            states.world("dr", gone, states.PROMOTED),
        )


def test_a_rebound_resource_keeps_all_but_its_identity():
    before = of_site("primary", role="active")
    after = rebound(before, DATABASE, "db-new")
    (old,), (new,) = (
        [each for each in of["deployment"]["resources"] if each["urn"] == DATABASE]
        for of in (before, after)
    )
    assert old["id"] == "db-primary", "the document that was read is not touched"
    assert new["id"] == new["outputs"]["id"] == "db-new"
    # A replica was never given a password: it has its source's.
    assert "passwordWoVersion" not in new["inputs"] | new["outputs"]
    same = set(old) - {"id", "outputs", "inputs"}
    assert {key: old[key] for key in same} == {key: new[key] for key in same}
    others = [
        [each for each in of["deployment"]["resources"] if each["urn"] != DATABASE]
        for of in (before, after)
    ]
    assert others[0] == others[1]
    assert before["deployment"]["manifest"] == after["deployment"]["manifest"]


ids = st.sampled_from(["db-1", "db-2", "db-3"])
sites = st.sampled_from(["primary", "dr"])
fleets = st.builds(Fleet, minimum=st.integers(0, 3), desired=st.integers(0, 3))


@st.composite
def worlds(draw):
    """Any world in which both regions answer and files flow one way."""
    active = draw(sites)
    standby = "dr" if active == "primary" else "primary"
    made = []
    for site in (active, standby):
        source = states.database(active) if site == standby else None
        placed = Placed(
            resource_id=draw(ids), source=source, retention_days=draw(st.integers(0, 35))
        )
        arrives = draw(st.sampled_from([None, "arn:1", "arn:2"])) if site == standby else None
        made.append(
            SiteSeen(
                name=site,
                region=states.REGIONS[site],
                databases={states.PRODUCT: placed},
                fleets={states.PRODUCT: draw(fleets)},
                sends=frozenset((states.PRODUCT, kind) for kind in naming.REPLICATED)
                if site == active
                else frozenset(),
                receives={states.PRODUCT: arrives} if arrives else {},
            )
        )
    return states.world(active, *made)


@st.composite
def any_states(draw):
    """Any state that a stack may have been exported in, resources in any order."""
    made = {}
    for site in ("primary", "dr"):
        other = states.database("dr" if site == "primary" else "primary")
        made[site] = of_site(
            site,
            role="active",
            source=draw(st.sampled_from([None, other])),
            id_=draw(ids),
            days=draw(st.integers(0, 35)),
            hosts=draw(st.integers(0, 3)),
        )
    made["link"] = of_link(draw(sites), backups=draw(st.booleans()))
    for state in made.values():
        draw(st.randoms(use_true_random=False)).shuffle(state["deployment"]["resources"])
    return made


def do(memory, stack, planned):
    """Do what was planned, as recovery.reconcile does."""
    pulumi, document = memory.pulumi, memory.states[stack]
    for each in planned:
        if isinstance(each, Rebind):
            document = rebound(document, each.urn, each.new)
    memory.states[stack] = document
    for each in planned:
        match each:
            case Forget():
                pulumi.forget(stack, each)
            case Import():
                pulumi.take_in(stack, each)
            case Refresh():
                pulumi.refresh(stack, [each.urn])


@settings(deadline=None)  # a loaded machine makes no claim false
@given(worlds(), any_states())
def test_whatever_state_is_restored_operations_bring_it_in_line_at_once(world, exported):
    memory = Memory(world=world, states=copy.deepcopy(exported))
    for stack in exported:
        do(memory, stack, plan(parsed(memory.states[stack]), stack, world))
        assert plan(parsed(memory.states[stack]), stack, world) == ()


@settings(deadline=None)  # a loaded machine makes no claim false
@given(worlds(), any_states())
def test_operations_touch_what_recovery_changes_and_nothing_else(world, exported):
    for stack, state in exported.items():
        held = {each["urn"]: each["type"] for each in state["deployment"]["resources"]}
        for each in plan(parsed(state), stack, world):
            match each:
                case Forget():
                    assert held[each.urn] in {RULES, BACKUPS}
                case Import():
                    assert each.type in {RULES, BACKUPS}
                    assert each.provider in held
                case Rebind():
                    assert held[each.urn] == INSTANCE
                    assert each.old != each.new
                case Refresh():
                    assert held[each.urn] in {INSTANCE, FLEET}


@settings(deadline=None)  # a loaded machine makes no claim false
@given(worlds(), any_states(), st.integers())
def test_the_order_of_an_export_does_not_matter(world, exported, seed):
    for stack, state in exported.items():
        planned = plan(parsed(state), stack, world)
        random.Random(seed).shuffle(state["deployment"]["resources"])
        assert plan(parsed(state), stack, world) == planned
