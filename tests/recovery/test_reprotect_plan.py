"""The whole reprotect, killed and failed at every call it makes, and run again."""

import io
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from recovery import moving, naming, reprotect
from recovery.engine.gates import NO_CONTROLS
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
from tests.recovery.simulated import HERE, THERE, WITNESS, Fault, Killed

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
    assert {name: each.source for name, each in cloud.databases.items()} == {
        ACTIVE: None, OLD: cloud.databases[ACTIVE].arn, ASIDE: None,
    }  # fmt: skip
    assert cloud.databases[OLD].retention_days == 1
    assert ASIDE in cloud.protected
    assert {assigned(cloud, region) for region in REGIONS} == {("dr", 2, True)}
    assert cloud.refused_listeners == set()
    assert cloud.cut_off == {}
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
    outcome = run(cloud)
    assert (outcome.exit_code, outcome.error) == (0, None)
    acted = {step.name for step in outcome.steps if not step.skipped}
    assert acted == {"check-sites", "reverse-files", "verify-protection"}
    assert_protected(cloud)
    assert cloud.published == [TOLD]
    assert said(outcome, "check-sites") == (
        "protected already: rlg-data-primary-1 is a replica of rlg-data-dr-1"
    )


def said(outcome, step):
    return next(each.text for each in outcome.steps if each.name == step)


@pytest.mark.parametrize(
    ("call", "kind"),
    [(call, "kill-before") for call in CALLS] + [(call, "kill-after") for call in WRITES],
    ids=str,
)
def test_killed_at_any_call_the_same_command_goes_on(cloud, run, call, kind):
    cloud.fault = Fault(call, kind)
    with pytest.raises(Killed):
        run(cloud)
    outcome = run(cloud)
    assert (outcome.exit_code, outcome.error, outcome.deviations) == (0, None, [])
    assert_protected(cloud)
    assert_ledger_is_whole(cloud)


@pytest.mark.parametrize("kind", ["unreachable", "throttled", "lost"])
@pytest.mark.parametrize("call", CALLS, ids=str)
def test_any_call_may_fail_once(cloud, run, call, kind):
    cloud.fault = Fault(call, kind)
    outcome = run(cloud)
    assert cloud.fired
    assert outcome.exit_code in {0, 3, 4, 6}
    if outcome.exit_code == 3:
        assert not [each for each in cloud.writes if "execution" not in each.subject]
    if outcome.exit_code in {3, 4}:
        assert outcome.error
    again = run(cloud)
    assert (again.exit_code, again.error, again.deviations) == (0, None, [])
    assert_protected(cloud)
    assert_ledger_is_whole(cloud)


@pytest.mark.parametrize(
    "call", [call for call in WRITES if call.function.startswith("databases.")], ids=str
)
def test_a_change_whose_answer_is_lost_is_seen_and_not_asked_for_again(cloud, run, call):
    cloud.fault = Fault(call, "lost")
    outcome = run(cloud)
    assert (outcome.exit_code, outcome.error, outcome.deviations) == (0, None, [])
    assert_protected(cloud)


def test_a_fenced_balancer_forwards_again_although_its_hosts_are_there(cloud, run):
    cloud.groups[THERE, "rlg-data-primary"] = [1, frozenset({"i-1"})]
    assert run(cloud).exit_code == 0
    assert_protected(cloud)
    assert list(cloud.forwarding.values()) == [
        {"/api/*": "rlg-data/api", "/auth/*": "rlg-data/auth"}
    ]


def test_hosts_that_are_cut_off_reach_their_database_again_although_all_else_is_there(cloud, run):
    cloud.groups[THERE, "rlg-data-primary"] = [1, frozenset({"i-1"})]
    cloud.refused_listeners.clear()
    assert run(cloud).exit_code == 0
    assert_protected(cloud)


# After a switchover nothing was lost, and the old database is closed.


def test_after_a_switchover_the_ledger_is_empty_and_says_why(planned, run):
    outcome = run(planned)
    assert (outcome.exit_code, outcome.error, outcome.deviations) == (0, None, [])
    assert_protected(planned)
    files = files_of(planned)
    assert list(files) == ["manifest.json"]
    manifest = json.loads(files["manifest.json"])
    assert (manifest["tables"], manifest["only_old_objects"]) == ([], 0)
    assert manifest["compared"] == (
        "closed by switchover-1, which proved that everything had replicated; its log ends at "
        "0/3000"
    )


def test_a_closed_database_that_no_switchover_closed_is_never_called_empty(cloud, run):
    cloud.closed.add(OLD)
    outcome = run(cloud)
    assert outcome.exit_code == 4
    assert "rlg-data-primary-1 is closed, and no switchover closed it" in outcome.error
    assert not cloud.renames
    cloud.closed.clear()
    assert run(cloud).exit_code == 0
    assert_protected(cloud)
    assert_ledger_is_whole(cloud)


# The order.


def test_the_old_database_is_kept_and_told_before_it_is_touched(cloud, run):
    assert run(cloud).exit_code == 0
    order = [call.function for call in cloud.calls]
    assert order.index("databases.create_snapshot") < order.index("databases.rename")
    manifest = next(
        at
        for at, call in enumerate(cloud.calls)
        if call.subject == f"{LEDGER}manifest.json" and call.function == "objects.write"
    )
    assert manifest < order.index("databases.rename") < order.index("databases.create_replica")
    assert manifest < order.index("objects.copy")


def test_the_new_rule_stands_before_the_old_one_goes_and_nothing_is_copied_before_that(cloud, run):
    assert run(cloud).exit_code == 0
    changes = [c for c in cloud.calls if c.function in {"replication.put", "objects.copy"}]
    assert [call.subject for call in changes] == [
        FILES["dr"], FILES["primary"], PAGES["dr"], PAGES["primary"], "changed", "new",
    ]  # fmt: skip


# Refusals.


def every_table(**facts):
    return lambda cloud: [table[ASSIGNMENT].update(facts) for table in cloud.tables.values()]


def database(name, **facts):
    return lambda cloud: cloud.databases.update({name: replace(cloud.databases[name], **facts)})


REFUSALS = {
    "nobody": (
        lambda cloud: [table.pop(ASSIGNMENT) for table in cloud.tables.values()],
        "no site is assigned to rlg-data; run python -m recovery.assign",
    ),
    "peer is active": (
        every_table(site="primary", epoch=3),
        "epoch 3); give the region to protect into: --region us-west-2",
    ),
    "unsettled": (
        every_table(site="dr", epoch=2, settled=False, execution="failover-9"),
        "epoch 2 is not settled: let failover-9 come to its end first",
    ),
    "old region": (lambda cloud: cloud.dark.add(THERE), "no answer"),
    "witness": (lambda cloud: cloud.dark.add(WITNESS), "all three control tables must answer"),
    "no backups": (
        database(ACTIVE, retention_days=0),
        "rlg-data-dr-1 keeps no backups, and RDS makes no replica of such a database",
    ),
    "stopped": (database(OLD, status="stopped"), "aws rds start-db-instance --region us-east-1"),
    "other source": (
        database(OLD, source="arn:aws:rds:us-west-2:1:db:rlg-data-dr-9"),
        "rlg-data-primary-1 is a replica of arn:aws:rds:us-west-2:1:db:rlg-data-dr-9, not of",
    ),
    "not there": (
        lambda cloud: cloud.databases.pop(OLD),
        "there is no database rlg-data-primary-1 in us-east-1 to learn network, key and size",
    ),
    "active is a replica": (
        database(ACTIVE, source="arn"),
        "rlg-data-dr-1 is a replica; it must be the product's writer",
    ),
    "cannot be read": (
        lambda cloud: cloud.refusals.__setitem__(
            "secrets.read_json", simulated.unreachable("secrets.read_json", HERE)
        ),
        "no answer; run it on a control host",
    ),
}


@pytest.mark.parametrize("why", REFUSALS)
def test_it_is_refused_before_anything_is_changed(cloud, run, why):
    change, said = REFUSALS[why]
    change(cloud)
    outcome = run(cloud)
    assert outcome.exit_code == 3
    assert said in outcome.error
    assert not [call for call in cloud.writes if "execution" not in call.subject]


def test_a_product_on_mysql_is_refused(cloud, run):
    made = cloud.case()
    outcome = run(cloud, replace(made, product=replace(made.product, engine="mysql")))
    assert outcome.exit_code == 3
    assert "rlg-data is on mysql; only postgres is protected again" in outcome.error


@pytest.fixture
def untouched(cloud):
    """Before any outage: the primary is active, and the dr site's replica was provisioned."""
    every_table(site="primary", epoch=1, claim=False, execution="assign-1")(cloud)
    cloud.databases[ACTIVE] = replace(
        cloud.databases[ACTIVE],
        source=f"arn:aws:rds:us-east-1:1:db:{OLD}",
        replication="replicating",
    )
    cloud.claims = {("rlg-data", "dr"): 0.0, ("rlg-data", "primary"): 0.0}
    cloud.groups[HERE, "rlg-data-dr"] = [1, frozenset({"i-1"})]
    for buckets in (FILES, PAGES):
        cloud.stored[buckets["dr"]] = dict(cloud.stored[buckets["primary"]])
    return cloud


def test_where_the_first_standby_is_still_there_nothing_has_to_be_done(untouched, run):
    outcome = run(untouched, untouched.case().turned)
    assert (outcome.exit_code, outcome.error, outcome.deviations) == (0, None, [])
    assert said(outcome, "check-sites") == (
        "protected already: rlg-data-dr-1 is a replica of rlg-data-primary-1"
    )
    changing = {"tables.put", "databases", "replication.put", "objects.copy", "hosts", "topics"}
    assert not [
        call
        for call in untouched.writes
        if call.function.partition(".")[0] in changing or call.function in changing
        if "execution" not in call.subject
    ]


def rehearsed(cloud, capsys):
    code = cloud.run(
        lambda: moving.rehearse(
            (cloud.case(),), reprotect.PROCEDURE, reprotect.assess, NO_CONTROLS, as_json=True
        )
    )
    return code, json.loads(capsys.readouterr().out)[0]


def test_a_dry_run_shows_every_step_and_changes_nothing(cloud, capsys):
    code, told = rehearsed(cloud, capsys)
    assert code == 0
    assert [each["name"] for each in told["steps"]] == [step.name for step in UNDISTURBED.steps]
    assert [each["name"] for each in told["steps"] if each.get("holds")] == ["arm-switch"]
    assert not cloud.writes


@pytest.mark.parametrize("why", ["nobody", "peer is active", "old region", "not there"])
def test_a_dry_run_says_what_speaks_against_it(cloud, capsys, why):
    change, wanted = REFUSALS[why]
    change(cloud)
    code, told = rehearsed(cloud, capsys)
    assert code == 3
    assert wanted in " ".join(each["text"] for each in told["findings"])
    assert not cloud.writes


def test_a_replica_that_rds_could_not_make_ends_the_run_and_says_what_to_do(cloud, run):
    cloud.before["make-replica", "databases.keep_backups"] = lambda: None
    create = cloud.create_replica

    def fails(*arguments):
        create(*arguments)
        cloud.changes.clear()
        cloud.databases[OLD] = replace(cloud.databases[OLD], status="failed")

    cloud.create_replica = fails
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("recovery.cloud.databases.create_replica", fails)
        outcome = run(cloud)
    assert outcome.exit_code == 4
    assert "delete-db-instance --region us-east-1" in outcome.error
    del cloud.databases[OLD]
    assert run(cloud).exit_code == 0


# What is not as it should be.


def deviates(outcome, said):
    assert outcome.exit_code == 6
    assert said in "; ".join(outcome.deviations)


def test_a_file_that_does_not_arrive_deviates(cloud, run):
    put = cloud._put
    cloud._put = lambda bucket, key, content: (
        None if key == naming.REPLICATION_PROBE else put(bucket, key, content)
    )
    deviates(run(cloud), "did not reach rlg-data-files-1-us-east-1")


def test_a_heartbeat_that_stands_still_deviates(cloud, run, monkeypatch):
    beat = simulated.Heartbeat(at=THEN, site="dr", epoch=2, beats=1)
    monkeypatch.setattr("recovery.database.heartbeat.read", lambda _: beat)
    deviates(run(cloud), "no new heartbeat of dr arrived")


def test_secrets_that_differ_deviate(cloud, run, monkeypatch):
    monkeypatch.setattr(
        "recovery.cloud.secrets.read_json",
        lambda region, _: {"username": "u", "password": region.name},
    )
    deviates(run(cloud), "rlg-data/database is not the same in us-east-1 as in us-west-2")


def test_hosts_that_do_not_come_deviate(cloud, run, monkeypatch):
    monkeypatch.setattr("recovery.cloud.hosts.scale", lambda *_: None)
    deviates(run(cloud), "0 of 1 hosts of the standby's scale")


def test_a_failover_back_that_would_be_refused_deviates(cloud, run):
    cloud.refusals["quotas.vcpus"] = simulated.unreachable("quotas.vcpus", THERE)
    deviates(run(cloud), "failover: to us-east-1 it would be refused")


def test_an_object_too_large_to_copy_is_told(cloud, run, monkeypatch):
    monkeypatch.setattr("recovery.cloud.objects.COPY_LIMIT", 0)
    deviates(run(cloud), "2 objects of rlg-data-files-1-us-west-2 are larger than one copy takes")
