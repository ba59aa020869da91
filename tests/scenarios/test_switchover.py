"""Products move between healthy regions under load, and no acknowledged write is lost.

The first test is the whole story of `python -m lab switchover`. The others are told in order, in
one lab: a move that is taken back, one that is killed in the gap and gone on with, and one whose
old region dies meanwhile, so that a failover ends it.
"""

import json
import os
import signal
import time
from datetime import datetime

import pytest

from lab import customers, environment, ledger, report
from recovery import names, web
from recovery.database import errors, postgres
from tests.scenarios.scene import (
    ACTIVE,
    OTHER,
    PRODUCT,
    TARGET,
    Scene,
    eventually,
    faults,
    finished,
    products,
)
from tests.scenarios.stage import new_lab

UNPROTECTED = "unprotected: no replica of {}-dr-1 in us-east-1"


def test_a_rehearsed_move_loses_nothing_and_says_that_it_is_unprotected(tmp_path_factory):
    done = new_lab(tmp_path_factory).run("switchover", "--json")
    assert done.returncode == 0, done.stderr
    story = json.loads(done.stdout)
    for view in story["views"]:
        product, seen = view["experience"]["product"], view["experience"]
        assert (view["complaints"], seen["compared"], seen["lost"]) == ([], True, [])
        assert set(seen["last_by_site"]) == {"primary", "dr"}
        assert 0.5 < view["outage"] < 60
        assert story["protection"][product] == UNPROTECTED.format(product)


@pytest.fixture(scope="module")
def scene(lab):
    scene = Scene(lab)
    yield scene
    scene.close()


@pytest.fixture
def trusting(lab, monkeypatch):
    """Let this process trust the lab's authority, as an operator does."""
    for name in ("SSL_CERT_FILE", "PGSSLROOTCERT"):
        monkeypatch.setenv(name, environment.environment(lab.run_dir, "SELF")[name])


def test_a_move_that_fails_before_the_promotion_is_taken_back_and_the_old_site_serves(scene):
    await_writes(scene, PRODUCT, "primary")
    with faults({"fault": "denied", "action": "PromoteReadReplica"}):
        done = finished(scene.start("--product", PRODUCT, "--json", verb="switchover"))
    told = products(done)[PRODUCT]
    assert (done.returncode, told["exit_code"]) == (4, 4)
    assert told["error"].endswith("it was taken back")
    for where in (*scene.topology.sites.values(), scene.topology.witness):
        assert scene.assignment(PRODUCT, where)["site"] == {"S": "primary"}
    await_writes(scene, PRODUCT, "primary")
    assert scene.databases(TARGET)[f"{PRODUCT}-dr-1"][1] is not None
    assert scene.status()["protected"]


def test_a_move_killed_in_the_gap_is_ended_by_the_same_command(scene, trusting):
    eventually(scene.is_close_behind)
    first = stopped_before(scene, PRODUCT, "promote-database")
    assert_takes_no_writes(scene, PRODUCT)
    first.kill()
    assert finished(first).returncode == -signal.SIGKILL
    again = finished(scene.start("--product", PRODUCT, "--json", verb="switchover"))
    assert again.returncode == 0, again.stderr
    steps = {each["name"]: each["skipped"] for each in products(again)[PRODUCT]["steps"]}
    assert steps["close-database"]
    assert steps["record-point"]
    assert not steps["promote-database"]
    await_writes(scene, PRODUCT, "dr")


def test_afterwards_the_old_side_refuses_writes_and_status_says_unprotected(scene, trusting):
    assert_takes_no_writes(scene, PRODUCT)
    found = scene.status()
    assert (found["active"], found["protected"]) == ("dr", False)
    assert found["protection"] == UNPROTECTED.format(PRODUCT)


def test_a_move_whose_old_region_dies_in_the_gap_is_ended_by_a_failover(scene):
    await_writes(scene, OTHER, "primary")
    first = stopped_before(scene, OTHER, "catch-up")
    assert scene.lab.run("kill", ACTIVE).returncode == 0
    first.kill()
    finished(first)
    done = scene.failover("--product", OTHER, "--json")
    assert done.returncode == 0, done.stderr
    await_writes(scene, OTHER, "dr")


def test_no_acknowledged_write_was_lost_in_any_of_it(scene):
    os.kill(scene.lab.state["processes"]["customers"], signal.SIGTERM)
    found = eventually(lambda: ledger.load(scene.lab.run_dir / customers.FINISHED))
    assert {each.product for each in found} == {PRODUCT, OTHER}
    for each in found:
        epoch = int(scene.assignment(each.product, scene.target)["epoch"]["N"])
        closed_at = datetime.fromisoformat(
            scene.recovery_point(each.product, epoch)["recorded_at"]
        ).timestamp()
        view = report.view(
            each,
            killed_at=0.0,
            waited=(),
            speed=0.0,
            last_heartbeat=None,
            predicted_loss=None,
            move=report.Move(left="primary", closed_at=closed_at),
        )
        assert (each.product, view.complaints) == (each.product, ())


def stopped_before(scene, product, step):
    """Return a switchover that stands still before a step."""
    arguments = ("--product", product, "--pause-before", step)
    process = scene.start(*arguments, verb="switchover")
    for line in process.stderr:
        event = json.loads(line)
        if (event["step"], event["event"]) == (step, "paused"):
            return process
    pytest.fail(f"it ended with {process.wait()}: {process.stdout.read()}")


def await_writes(scene, product, site):
    """Wait until customers are acknowledged writes by a site from now on."""
    now = time.time()

    def served():
        seen = ledger.load(scene.lab.run_dir / customers.UNFINISHED)
        ours = [each for each in seen if each.product == product]  # none yet in a new lab
        return any(each.last_by_site.get(site, 0.0) > now for each in ours)

    eventually(served)


def assert_takes_no_writes(scene, product):
    """The old balancer takes no write, and the old database no session of the product's user."""
    found = next(each for each in scene.topology.products if each.name == product)
    old = found.deployments["primary"]
    answer = web.request(
        "POST",
        found.domain,
        scene.topology.https_port,
        "/api/entries",
        body={"id": "too-late", "text": "too late"},
        addresses=names.resolve(old.load_balancer_dns, environment.RESOLVER),
    )
    assert answer.status >= 500
    described = scene.aws("rds", ACTIVE).describe_db_instances(DBInstanceIdentifier=old.database)
    endpoint = described["DBInstances"][0]["Endpoint"]
    secret = scene.aws("secretsmanager", ACTIVE).get_secret_value(SecretId=old.secret)
    known = json.loads(secret["SecretString"])
    target = postgres.Target(
        host=endpoint["Address"],
        address=names.resolve(endpoint["Address"], environment.RESOLVER)[0],
        port=endpoint["Port"],
        name=old.database_name,
    )
    who = postgres.Credentials(username=known["username"], password=known["password"])
    with pytest.raises(errors.DatabaseDeniedError, match="not currently accepting"):
        postgres.connect(target, who).close()
