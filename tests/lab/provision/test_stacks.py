"""The project's own three stacks, provisioned in the lab's AWS with stand-ins for its servers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.provision.clients import LabClients
from lab.provision.errors import StackFailedError
from lab.provision.rows import ROWS
from lab.provision.stacks import Outcome, Run, provision

ROOT = Path(__file__).parents[3]
STANDINS = ROOT / "tests" / "lab" / "aws" / "standins"
OVERRIDES = {"https_port": 8443, "guard": {"ttl_seconds": 3}}
READY_SECONDS = 60


@dataclass
class Lab:
    """The lab's AWS and the stacks in it."""

    url: str
    run_dir: Path
    clients: LabClients

    def up(self, *stacks, preview=False, **overrides) -> list[Outcome]:
        run = Run(
            root=ROOT,
            run_dir=self.run_dir,
            clients=self.clients,
            overrides={**OVERRIDES, **overrides},
            preview=preview,
        )
        return list(provision(run, stacks, lambda _stack, _step: None))

    def calls(self, after=0):
        with urllib.request.urlopen(f"{self.url}/_lab/calls?after={after}") as answer:
            return json.load(answer)

    def states(self):
        return {p.stem: p.read_text() for p in (self.run_dir / "provision").glob("*.json")}


def serve(folder: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "lab.aws", "--run-dir", str(folder), "--speed", "0"]
    command += ["--address", "127.0.0.1", "--port", str(port)]
    command += ["--postgres", "lab_servers", "--hosts", "lab_hosts"]
    environment = {**os.environ, "PYTHONPATH": str(STANDINS)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=environment)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/_lab/ready").close()
        except OSError:
            time.sleep(0.1)
        else:
            return process, url
    pytest.fail(f"the lab's AWS did not come up: {(folder / 'log').read_text()[-2000:]}")


def ended(process, folder: Path) -> None:
    process.terminate()
    process.wait()
    for path in (folder / "hosts").glob("*"):
        try:
            os.kill(int(path.read_text()), signal.SIGKILL)
        except ProcessLookupError:
            continue


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Make labs that are ended with the module."""
    running = []
    patch = pytest.MonkeyPatch()

    def make() -> Lab:
        folder = tmp_path_factory.mktemp("lab")
        process, url = serve(folder)
        running.append((process, folder))
        patch.setenv("AWS_ENDPOINT_URL", url)
        return Lab(url=url, run_dir=folder, clients=LabClients())

    yield make
    for process, folder in running:
        ended(process, folder)
    patch.undo()


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
