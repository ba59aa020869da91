"""Whether the active database has a standby: asked of the other region, and told by status."""

import json
from dataclasses import replace

import pytest

from recovery import status
from recovery.assignment import Assignment
from recovery.cloud import databases, errors
from recovery.cloud.databases import Database
from recovery.steps.check import Assessment
from recovery.steps.finding import Finding
from recovery.steps.protection import protection
from tests.recovery.cases import case

REPLICA = Database(
    id="rlg-data-primary-2",
    arn="arn",
    status="available",
    source="arn:aws:rds:us-west-2:1:db:rlg-data-dr-1",
    host="db",
    port=5432,
    instance_class="db.r6g.large",
    multi_az=False,
    retention_days=7,
    replication="replicating",
    engine="postgres",
    engine_version="18.1",
)


def active(site):
    return Assignment(site=site, epoch=2, claim=True, settled=True, execution="switchover-1")


@pytest.fixture
def replicas(monkeypatch):
    """What RDS finds, and where it was asked."""
    found, asked = [REPLICA], []

    def look(region, source):
        asked.append((region.name, source))
        if isinstance(found[0], Exception):
            raise found[0]
        return tuple(each for each in found if each is not None)

    monkeypatch.setattr(databases, "replicas", look)
    return found, asked


@pytest.mark.parametrize(
    ("site", "asked"),
    [("dr", ("us-east-1", "rlg-data-dr-1")), ("primary", ("us-west-2", "rlg-data-primary-1"))],
)
def test_it_is_the_other_region_that_must_hold_a_replica_of_the_active_database(
    replicas, site, asked
):
    assert protection(case(), active(site)).holds
    assert replicas[1] == [asked]


def test_a_replica_that_follows_protects_whatever_it_is_called(replicas):
    seen = protection(case(), active("dr"))
    assert (seen.holds, seen.text) == (
        True,
        "protected: rlg-data-primary-2 in us-east-1 replicates rlg-data-dr-1",
    )


@pytest.mark.parametrize("replication", [None, "replicating"])
@pytest.mark.parametrize("state", ["available", "backing-up"])
def test_a_backup_and_an_engine_that_says_nothing_are_no_fault(replicas, state, replication):
    replicas[0][0] = replace(REPLICA, status=state, replication=replication)
    assert protection(case(), active("dr")).holds


@pytest.mark.parametrize(
    "fault",
    [{"status": "creating"}, {"status": "stopped"}, {"replication": "error"}],
    ids=str,
)
def test_a_replica_that_does_not_follow_protects_nothing(replicas, fault):
    replicas[0][0] = broken = replace(REPLICA, **fault)
    seen = protection(case(), active("dr"))
    assert (seen.holds, seen.text) == (
        False,
        f"unprotected: rlg-data-primary-2 is {broken.status}, {broken.replication}",
    )
    replicas[0].append(replace(REPLICA, id="another"))
    assert protection(case(), active("dr")).holds


def test_without_a_replica_it_is_unprotected(replicas):
    replicas[0][0] = None
    seen = protection(case(), active("dr"))
    assert (seen.holds, seen.text) == (
        False,
        "unprotected: no replica of rlg-data-dr-1 in us-east-1",
    )


def test_where_no_site_is_active_nothing_is_asked(replicas):
    assert protection(case(), None).text == "unprotected: no site is active"
    assert not replicas[1]


def test_a_region_that_does_not_answer_leaves_it_unknown_which_is_no_protection(replicas):
    replicas[0][0] = errors.UnreachableError("rds:Describe", "us-east-1", "Timeout", "no answer")
    seen = protection(case(), active("dr"))
    assert not seen.holds
    assert seen.text.startswith("unknown: ")


# The line that status prints.


def standing(replicas_hold):
    made = case()
    found = Finding(check="assignment", verdict="ok", text="dr is active in epoch 2")
    assessment = Assessment(findings=(found,), standing=active("dr"), loss=None)
    return status.Standing(case=made, assessment=assessment, protection=replicas_hold)


def test_status_prints_the_protection_below_the_findings(replicas, capsys):
    replicas[0][0] = None
    status._print([standing(protection(case(), active("dr")))])
    lines = capsys.readouterr().out.splitlines()
    at = next(n for n, line in enumerate(lines) if "dr is active in epoch 2" in line)
    assert lines[at + 1].split() == [
        *("protection", "unprotected:", "no", "replica", "of", "rlg-data-dr-1", "in", "us-east-1"),
    ]


@pytest.mark.parametrize("found", [REPLICA, None])
def test_status_says_it_to_machines_and_it_changes_no_exit_code(replicas, found):
    replicas[0][0] = found
    seen = standing(protection(case(), active("dr")))
    facts = json.loads(json.dumps(status._facts(seen), default=str))
    assert facts["protected"] is (found is not None)
    assert facts["protection"].startswith("protected: " if found else "unprotected: ")
    assert seen.exit_code == 0


def test_status_asks_about_the_site_that_is_active(replicas, monkeypatch):
    assessment = Assessment(findings=(), standing=active("dr"), loss=None)
    monkeypatch.setattr(status.check, "assess", lambda _: assessment)
    assert status.look(case()).protection.holds
    assert replicas[1] == [("us-east-1", "rlg-data-dr-1")]
