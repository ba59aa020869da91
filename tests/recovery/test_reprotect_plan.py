"""The whole reprotect, killed and failed at every call it makes, and run again."""

import io
import json
import tempfile
from pathlib import Path

import pytest

from recovery import naming, reprotect
from recovery.engine.journal import Journal
from recovery.engine.progress import Progress
from recovery.execution import execute
from tests.recovery import simulated
from tests.recovery.protecting import (
    ACTIVE,
    ASIDE,
    FILES,
    KEPT,
    KEY,
    OLD,
    PAGES,
    THEN,
    Parted,
)
from tests.recovery.simulated import HERE, THERE, WITNESS

ASSIGNMENT = naming.assignment_item("rlg-data")
REGIONS = (HERE, WITNESS, THERE)
TOLD = "rlg-data-2-protected"
LEDGER = "loss-ledgers/rlg-data/2/"


def recorded():
    """Every call of an undisturbed reprotect, and those of them that change something."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        cloud = Parted().install(monkeypatch)
        case, progress = cloud.case(), Progress(io.StringIO(), as_text=True)
        with tempfile.TemporaryDirectory() as folder:
            journal = Journal(Path(folder), case.execution)
            outcome = cloud.run(lambda: execute(case, reprotect.PROCEDURE, journal, progress))
            journal.close()
    return sorted(cloud.calls), sorted(cloud.writes), outcome


CALLS, WRITES, UNDISTURBED = recorded()


@pytest.fixture
def cloud(monkeypatch):
    return Parted().install(monkeypatch)


@pytest.fixture
def planned(monkeypatch):
    return Parted("switchover-1").install(monkeypatch)


@pytest.fixture
def run(tmp_path):
    """Run the command once for one product; return its outcome."""

    def once(cloud, case=None):
        made = case or cloud.case()
        journal = Journal(tmp_path, made.execution)
        progress = Progress(io.StringIO(), as_text=True)
        try:
            return cloud.run(lambda: execute(made, reprotect.PROCEDURE, journal, progress))
        finally:
            journal.close()

    return once


def assigned(cloud, region):
    found = cloud.tables[region][ASSIGNMENT]
    return found["site"], found["epoch"], found["settled"]


def assert_protected(cloud):
    """One snapshot, one rename, one replica; nothing is lost, and traffic stays where it is."""
    assert (cloud.snapshots_taken, cloud.snapshots) == ([KEPT], {KEPT: "available"})
    assert cloud.renames == [(OLD, ASIDE)]
    assert cloud.replicas_asked == [OLD]
    assert {name: each.source for name, each in cloud.databases.items() if name != "rlg-data-dr-1"} == {
        OLD: cloud.databases[ACTIVE].arn, ASIDE: None,
    }  # fmt: skip
    assert cloud.databases[OLD].retention_days == 1
    assert ASIDE in cloud.protected
    assert {assigned(cloud, region) for region in REGIONS} == {("dr", 2, True)}
    assert cloud.refused_listeners == set()
    assert cloud.groups[THERE, "rlg-data-primary"][0] == 1
    assert cloud.groups[HERE, "rlg-data-dr"][0] == 2
    assert cloud.resolve("rlg-data.example") == (simulated.OURS,)
    for buckets in (FILES, PAGES):
        (rule,) = cloud.rules[buckets["dr"]]
        assert (rule.destination, cloud.rules[buckets["primary"]]) == (buckets["primary"], ())
        key = rule.document["Destination"]["EncryptionConfiguration"]["ReplicaKmsKeyID"]
        assert key == KEY
    there = cloud.stored[FILES["primary"]]
    assert {name: there[name][0] for name in ("alike", "new", "changed")} == {
        "alike": b"1", "new": b"2", "changed": b"3",
    }  # fmt: skip
    assert there["alike"][1] == THEN
    record = "protections/rlg-data/2.json"
    assert {record} <= {key for bucket in cloud.stored.values() for key in bucket}
    assert TOLD in cloud.published


def assert_ledger_is_whole(cloud):
    """What only the old site has is in the ledger, and still where it was."""
    files = files_of(cloud)
    manifest = json.loads(files["manifest.json"])
    assert [(each["table"], each["only_old"]) for each in manifest["tables"]] == [
        ("public.entries", 1)
    ]
    assert manifest["only_old_objects"] == 1
    assert b'"row": {"id": "7"}' in files["0001-public.entries.jsonl"]
    assert b"\ninsert 7;\n" in files["replay.sql"]
    (lost,) = [json.loads(line) for line in files["objects.jsonl"].splitlines()]
    assert (lost["kind"], lost["key"]) == ("only-old", "lost")
    assert cloud.stored[FILES["primary"]]["lost"] == (b"4", THEN)
    assert "lost" not in cloud.stored[FILES["dr"]]
    assert "7" in cloud.rows[ASIDE]["public.entries"]


def files_of(cloud):
    bucket = cloud.stored[cloud.case().site.bucket]
    return {
        key.removeprefix(LEDGER): body
        for key, (body, _) in bucket.items()
        if key.startswith(LEDGER)
    }


def test_an_undisturbed_reprotect_protects(cloud, run):
    outcome = run(cloud)
    assert (outcome.exit_code, outcome.error, outcome.deviations) == (0, None, [])
    assert outcome.epoch == 2
    assert_protected(cloud)
    assert_ledger_is_whole(cloud)
    assert cloud.published == [TOLD]


def test_run_again_it_says_that_all_holds_and_changes_nothing(cloud, run):
    run(cloud)
    before = len([call for call in cloud.writes if call.step not in {"verify-protection"}])
    outcome = run(cloud)
    assert (outcome.exit_code, outcome.error) == (0, None)
    acted = {step.name for step in outcome.steps if not step.skipped}
    assert acted == {"check-sites", "reverse-files", "verify-protection"}
    assert_protected(cloud)
    assert cloud.published == [TOLD]
    assert "is a replica of rlg-data-dr-1 already" in said(outcome, "check-sites")


def said(outcome, step):
    return next(each.text for each in outcome.steps if each.name == step)
