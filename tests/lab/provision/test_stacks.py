"""The project's own three stacks, provisioned in the lab's AWS with stand-ins for its servers."""

from __future__ import annotations

import json
import time

import pytest

from lab.provision.errors import StackFailedError
from lab.provision.rows import ROWS
from tests.lab.provision.whole import READY_SECONDS


@pytest.fixture(scope="module")
def provisioned(fresh):
    """Return the lab with all three stacks, and what was done for them."""
    lab = fresh()
    return lab, lab.up("primary", "dr", "link")


def changes(outcomes):
    return [(s.action, s.type, s.name) for o in outcomes for s in o.steps if s.action != "same"]


def reads(action):
    return action.startswith(("Get", "List", "Describe"))


def await_available(rds, name):
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        found = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
        if found["DBInstanceStatus"] == "available":
            return
        time.sleep(0.1)
    pytest.fail(f"{name} did not become available")


def test_all_three_stacks_are_created_and_every_type_has_a_row(provisioned):
    _, outcomes = provisioned
    assert {step.action for o in outcomes for step in o.steps} == {"create"}
    assert {step.type for o in outcomes for step in o.steps} <= set(ROWS)


def test_a_second_run_changes_nothing_and_calls_nothing_that_changes(provisioned):
    lab, _ = provisioned
    before = lab.calls()["next"]
    assert changes(lab.up("primary", "dr", "link")) == []
    assert {c["action"] for c in lab.calls(before)["calls"] if not reads(c["action"])} == set()


def test_no_password_is_in_any_state(provisioned):
    lab, _ = provisioned
    secrets = lab.clients("secretsmanager", "us-east-1")
    for product in ("rlg-data", "rlg-fans"):
        value = secrets.get_secret_value(SecretId=f"{product}/database")["SecretString"]
        password = json.loads(value)["password"]
        for name, state in lab.states().items():
            assert password not in state, name


def test_an_active_standby_previews_without_replacing_or_deleting(provisioned):
    lab, _ = provisioned
    before = lab.states(), lab.calls()["next"]
    (outcome,) = lab.up("dr", preview=True, role="active", peer="dark")
    assert {action for action, *_ in changes([outcome])} == {"update"}
    promoted = [s.name for s in outcome.steps if "replicateSourceDb" in s.properties]
    assert sorted(promoted) == ["rlg-data-dr-1", "rlg-fans-dr-1"]
    assert lab.states() == before[0]
    made = {c["action"] for c in lab.calls(before[1])["calls"] if not reads(c["action"])}
    assert made == set()


def test_after_a_failover_the_standby_becomes_active_in_place(fresh):
    lab = fresh()
    lab.up("primary", "dr")
    rds = lab.clients("rds", "us-west-2")
    # Recovery has promoted one of the two before Pulumi hears of it.
    rds.promote_read_replica(DBInstanceIdentifier="rlg-data-dr-1", BackupRetentionPeriod=7)
    await_available(rds, "rlg-data-dr-1")
    before = lab.calls()["next"]
    done = changes(lab.up("dr", role="active", peer="dark"))
    assert {action for action, *_ in done} == {"update"}
    promotions = [c for c in lab.calls(before)["calls"] if c["action"] == "PromoteReadReplica"]
    assert len(promotions) == 1, "only what still is a replica is promoted"
    for name in ("rlg-data-dr-1", "rlg-fans-dr-1"):
        found = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
        assert "ReadReplicaSourceDBInstanceIdentifier" not in found
        assert found["MultiAZ"]
    assert changes(lab.up("dr", role="active", peer="dark")) == []


def test_a_standby_gets_no_new_source(provisioned):
    lab, _ = provisioned
    path = lab.run_dir / "provision" / "primary.json"
    kept = path.read_text()
    path.write_text(kept.replace("db:rlg-data-primary-1", "db:rlg-data-primary-9"))
    try:
        with pytest.raises(StackFailedError, match="RDS elects no new source"):
            lab.up("dr", preview=True)
    finally:
        path.write_text(kept)
