"""A recovery that must not begin says why in one line and changes nothing; then one that must.

One lab for all of it, told in order: its region is healthy until the last stories, lost under
throttled calls and lost answers, and given back at the end.
"""

import json
import os
import re
import signal
import time
from datetime import datetime
from pathlib import Path

import pytest

from lab import control, customers, ledger, report
from recovery.topology import SCHEMA_VERSION
from tests.scenarios.scene import (
    ACTIVE,
    OTHER,
    PRODUCT,
    REPLICA,
    SPEED,
    TARGET,
    Scene,
    acts_since,
    calls_since,
    eventually,
    faults,
    finished,
    last_call,
    products,
    reason,
)

ONLY = ("--product", PRODUCT)
MEANT = (*ONLY, "--even-if-healthy")
LEASE_AND_JOURNAL = {"PutItem", "PutObject"}


@pytest.fixture(scope="module")
def scene(lab):
    scene = Scene(lab)
    yield scene
    scene.close()


@pytest.fixture
def unchanged(scene):
    """Whatever the test lets recovery try, everything is as it was when it ends."""
    before, number = scene.facts(), last_call()
    yield
    assert scene.facts() == before
    assert acts_since(number) <= LEASE_AND_JOURNAL


def refused(done, pattern):
    why = reason(done)
    assert done.returncode == 3, why
    assert re.search(pattern, why), why
    return why


@pytest.mark.parametrize(
    ("region", "arguments", "why"),
    [
        ("mars-north-1", (), "mars-north-1 is no AWS region; give one of a site, such as us-"),
        ("us-east-2", (), "no parameter /standby/topology in us-east-2; give the region of a site"),
        (ACTIVE, MEANT, rf"already active for {PRODUCT} \(epoch 1\); .* fail over to {TARGET}$"),
        (TARGET, ("--product", "rlg"), f"no product rlg; the topology has {PRODUCT}, {OTHER}"),
        (TARGET, ONLY, f"{PRODUCT} answers its customers: .*; add --even-if-healthy"),
    ],
)
def test_what_cannot_be_meant_is_refused(scene, unchanged, region, arguments, why):
    refused(scene.failover(*arguments, region=region), why)


@pytest.mark.parametrize(
    ("region", "arguments", "why"),
    [
        (None, (), "required: --region"),
        (TARGET, ("--force",), "unrecognized arguments: --force"),
        (TARGET, ("--accept-data-loss", "little"), "little is no number of seconds; give 0 or mo"),
        (TARGET, ("--outage-began", "03:04"), "03:04 is no time with a zone; write it as 20"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_asked(scene, region, arguments, why):
    before = last_call()
    done = scene.failover(*arguments, region=region)
    assert done.returncode == 2
    assert why in done.stderr.splitlines()[-1]
    assert calls_since(before) == []


@pytest.mark.parametrize(
    ("published", "why"),
    [
        ({"pointer": ""}, f"no parameter /standby/topology in {TARGET}; .* pulumi up"),
        ({"pointer": "topology.json"}, "is no pointer to a topology .*; run pulumi up of the link"),
        ({"document": b""}, "s3://.*/topology.json, .*, does not exist; run pulumi up"),
        ({"document": b"{}"}, "is malformed: .*`schema_version`; run pulumi up of the link stack"),
        ({"document": b'{"schema_version": 1, "zone": "\xff"}'}, "is malformed: .*; run pulumi up"),
        (
            {"document": json.dumps({"schema_version": SCHEMA_VERSION + 1}).encode()},
            f"schema_version is {SCHEMA_VERSION + 1}; this program reads {SCHEMA_VERSION}; run",
        ),
    ],
)
def test_a_topology_that_is_missing_or_malformed_is_refused_although_a_copy_is_here(
    scene, unchanged, published, why
):
    assert list(Path(scene.lab.directory).rglob(f"topology/{TARGET}.json"))
    with scene.published(**published):
        refused(scene.failover(*MEANT), why)


def test_a_topology_that_nobody_vouches_for_is_refused(scene, unchanged):
    changed = scene.document.replace(b'"rpo_seconds": 3600', b'"rpo_seconds": 9999')
    assert changed != scene.document
    with scene.published(document=changed, pointer=scene.pointer):
        refused(scene.failover(*MEANT), "vouches for [0-9a-f]{64}; find out who changed it")


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"fault": "expired"}, "ssm:GetParameter in us-west-2: ExpiredToken.*; sign in again"),
        (
            {"fault": "expired", "action": "DescribeDBInstances"},
            "rds:DescribeDBInstances in us-west-2: ExpiredToken.*; sign in again",
        ),
        (
            {"fault": "denied"},
            "AccessDenied.*; sign in as the recovery role, or run on a control host",
        ),
        (
            {"fault": "denied", "service": "dynamodb", "action": "PutItem"},
            "dynamodb:PutItem in us-west-2: AccessDenied.*; sign in as the recovery role",
        ),
    ],
)
def test_credentials_that_do_not_suffice_are_refused(scene, unchanged, rule, why):
    with faults(rule):
        refused(scene.failover(*MEANT), why)


def test_nobody_signed_in_is_refused(scene, unchanged):
    nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    refused(scene.failover(*MEANT, **nobody), "NoCredentialsError: .*; sign in as the recovery")


def test_a_quota_below_full_scale_is_refused(scene, unchanged):
    control.post("quotas", {"region": TARGET, "vcpus": 4})
    try:
        why = r"need \d+ vCPUs, and \d+ of the quota's 4 .* in us-west-2; ask Service Quotas"
        refused(scene.failover(*MEANT), why)
    finally:
        control.post("quotas", {"region": TARGET, "vcpus": 256})


def test_a_place_that_takes_no_journal_is_refused(scene, unchanged):
    why = r"the journal /dev/null/.* cannot be written \(Not a directory\); .* STANDBY_STATE"
    refused(scene.failover(*MEANT, STANDBY_STATE="/dev/null"), why)


def test_a_disk_that_is_full_before_the_journal_begins_is_refused(scene, unchanged, tmp_path):
    done = scene.failover(*MEANT, disk=0, STANDBY_STATE=str(tmp_path))
    refused(done, r"the journal .* cannot be written \(File too large\); .*: free space, or point")
    assert [path.name for path in tmp_path.glob("topology/*")] == []


def test_a_disk_that_fills_under_the_journal_is_refused(scene, unchanged, tmp_path):
    done = scene.failover(*MEANT, disk=2000, STANDBY_STATE=str(tmp_path))
    refused(done, r"the journal .* cannot be written \(File too large\); .*: free space, or point")
    (journal,) = tmp_path.glob("journals/*")
    assert b'"opened"' in journal.read_bytes()


def test_a_replica_that_does_not_replicate_is_refused_while_its_source_is_healthy(scene, unchanged):
    assert scene.lab.run("cut", ACTIVE, TARGET).returncode == 0
    try:
        eventually(lambda: "error" in scene.status()["failover_refused_because"])
        why = rf"{REPLICA} is not replicating \(error\) while its source is .*; repair the replica"
        refused(scene.failover(*MEANT), why)
    finally:
        assert scene.lab.run("join", ACTIVE, TARGET).returncode == 0
        eventually(scene.is_close_behind)


def test_a_predicted_loss_is_accepted_up_to_what_the_operator_said_and_no_further(scene, unchanged):
    with scene.objectives(rpo_seconds=1):
        assert scene.lab.run("slow", ACTIVE, TARGET, "5000").returncode == 0
        try:
            eventually(lambda: scene.status()["predicted_loss_seconds"] > 3)
            why = r"^predicted loss (\d+) s exceeds RPO 1 s; rerun with --accept-data-loss (\d+)$"
            found = refused(scene.failover(*MEANT), why)
            ((seconds, needed),) = [map(int, pair) for pair in re.findall(why, found)]
            assert seconds <= needed <= seconds + 1
            why = r"^predicted loss \d+ s exceeds the accepted 2 s; rerun with --accept-data-loss "
            refused(scene.failover(*MEANT, "--accept-data-loss", "2"), why)
            accepted = scene.failover(*MEANT, "--accept-data-loss", "60", "--dry-run")
            assert accepted.returncode == 0
            assert "accepted up to 60 s" in accepted.stdout
        finally:
            assert scene.lab.run("join", ACTIVE, TARGET).returncode == 0
            eventually(scene.is_close_behind)


def test_a_replica_that_is_backing_up_for_longer_than_the_rto_is_refused(scene, unchanged):
    scene.back_up("by-hand", seconds=10)
    with scene.objectives(rto_seconds=1):
        why = rf"{REPLICA} is backing-up.*; it was not over within the RTO \(1 s\): .* run again"
        refused(scene.failover(*MEANT), why)
    eventually(scene.is_available)


def test_a_second_operator_is_told_who_runs_it_while_the_first_waits_and_changes_nothing(scene):
    scene.back_up("by-hand-again", seconds=16)
    with scene.objectives(rto_seconds=4):
        before, number = scene.facts(), last_call()
        first = scene.start(*MEANT)
        while "waiting" not in first.stderr.readline():
            assert first.poll() is None
        second = scene.failover(*MEANT)
        why = rf"\(process {first.pid}\.\d+\) is running execution failover-\S+ .*; follow that one"
        refused(second, why)
        assert finished(first).returncode == 3
        assert scene.facts() == before
        assert acts_since(number) <= LEASE_AND_JOURNAL
    eventually(scene.is_available)


def test_two_operators_at_once_promote_once_while_a_backup_ends_and_aws_throttles_and_drops(scene):
    """The region is lost while the replica is backed up, and 30 % of all calls are throttled."""
    rules = (
        {"fault": "lost-reply", "action": "PromoteReadReplica", "times": 1},
        {"fault": "lost-reply", "action": "PutItem", "times": 1},
        {"fault": "throttle", "share": 0.3},
    )
    scene.back_up("at-the-worst-moment", seconds=16)
    assert scene.lab.run("kill", ACTIVE, "--api", "refuse").returncode == 0
    with faults(*rules):
        number = last_call()
        both = [scene.start("--json"), scene.start("--json")]
        done = [finished(each) for each in both]
    told = [products(each) for each in done]
    for product in (PRODUCT, OTHER):
        endings = [each[product]["exit_code"] for each in told]
        assert sorted(endings) == [0, 3], [
            (each[product]["error"], each[product]["deviations"]) for each in told
        ]
        holder = both[endings.index(0)].pid
        assert f"(process {holder}." in told[endings.index(3)][product]["error"]
    assert (
        sum(
            each.stderr.count(f"{REPLICA} is backing-up: promotion must wait; waiting")
            for each in done
        )
        == 1
    )
    calls = calls_since(number)
    promotions = [call.outcome for call in calls if call.action == "PromoteReadReplica"]
    assert sum(outcome in {"200", "lost-reply"} for outcome in promotions) == 2, promotions
    assert "lost-reply" in promotions
    throttled = [call for call in calls if call.outcome == "throttle"]
    assert len(throttled) > len(calls) / 10


def test_the_lost_region_comes_back_and_the_customers_stay_where_they_are(scene):
    assert scene.lab.run("heal", ACTIVE).returncode == 0
    eventually(lambda: "us-east-1    up" in scene.lab.run("status").stdout)
    eventually(lambda: scene.databases(ACTIVE)["rlg-data-primary-1"][0] == "available")
    before = {each.product: each.acknowledged for each in seen(scene)}
    for _ in range(20):
        assert scene.leads_to_target(PRODUCT)
        assert scene.leads_to_target(OTHER)
        time.sleep(0.2)
    eventually(lambda: all(each.acknowledged > before[each.product] + 5 for each in seen(scene)))
    found = scene.status()
    assert (found["active"], found["epoch"], found["settled"]) == ("dr", 2, True)


@pytest.mark.parametrize(
    ("region", "why"),
    [
        (
            TARGET,
            rf"{TARGET} is already active for {PRODUCT} \(epoch 2\); .* fail over to {ACTIVE}",
        ),
        (ACTIVE, r"rlg-data-primary-1 replicates nothing .* a person must decide what it holds"),
    ],
)
def test_neither_site_of_a_region_given_back_can_be_failed_over_to(scene, unchanged, region, why):
    refused(scene.failover(*MEANT, region=region), why)


def test_no_customer_lost_more_than_was_predicted(scene):
    os.kill(scene.lab.state["processes"]["customers"], signal.SIGTERM)
    found = eventually(lambda: ledger.load(scene.lab.run_dir / customers.FINISHED))
    for each in found:
        point = scene.recovery_point(each.product, 2)
        view = report.view(
            each,
            killed_at=0.0,
            waited=(),
            speed=SPEED,
            last_heartbeat=datetime.fromisoformat(point["last_heartbeat"]).timestamp(),
            predicted_loss=point["predicted_loss_seconds"],
        )
        assert view.complaints == ()
        assert each.acknowledged > 50


def seen(scene):
    return ledger.load(scene.lab.run_dir / customers.UNFINISHED)
