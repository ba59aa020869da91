"""There and back again: a region dies and returns, is the standby, then home, and dies once more.

One lab for all of it, told in order. What the first outage lost is found in the old database and
put back, so that in the end the customers miss only what the second one took.
"""

import json
import os
import signal
import time

import pytest

from lab import customers, ledger, outage
from recovery import naming
from tests.scenarios.scene import ACTIVE, PRODUCT, TARGET, Scene, connected, eventually, finished

BEHIND_SECONDS = 2
"""For so long nothing replicates before the region dies: what is lost then is known to exist."""


@pytest.fixture(scope="module")
def scene(lab):
    made = Scene(lab)
    yield made
    made.close()


@pytest.fixture(scope="module")
def outcome():
    """What a test leaves for those after it."""
    return {}


def recover(scene, verb, region, *arguments):
    done = finished(scene.start(*arguments, verb=verb, region=region))
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def ledger_files(scene, region, epoch):
    """File → its bytes, of the product's loss ledger of an epoch."""
    bucket = next(site.bucket for site in scene.topology.sites.values() if site.region == region)
    prefix = naming.ledger_key(PRODUCT, epoch, "")
    s3 = scene.aws("s3", region)
    found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    return {
        each["Key"].removeprefix(prefix): s3.get_object(Bucket=bucket, Key=each["Key"])[
            "Body"
        ].read()
        for each in found
    }


def are_served(lab):
    """Return once customers of all products have further writes acknowledged."""
    before = {each.product: each.acknowledged for each in seen(lab)}
    eventually(lambda: all(each.acknowledged > before[each.product] + 3 for each in seen(lab)))


def seen(lab):
    return ledger.load(lab.run_dir / customers.UNFINISHED)


def test_a_region_dies_and_returns(lab, scene):
    eventually(lambda: seen(lab) and all(each.acknowledged > 10 for each in seen(lab)))
    assert lab.run("cut", ACTIVE, TARGET).returncode == 0
    time.sleep(BEHIND_SECONDS)
    assert lab.run("kill", ACTIVE).returncode == 0
    recover(scene, "failover", TARGET)
    assert not scene.status()["protected"]
    assert lab.run("heal", ACTIVE).returncode == 0
    assert lab.run("join", ACTIVE, TARGET).returncode == 0
    eventually(lambda: scene.databases(ACTIVE)["rlg-data-primary-1"][0] == "available")


def test_it_becomes_the_standby_of_the_other_one(lab, scene):
    eventually(
        lambda: finished(scene.start("--dry-run", verb="reprotect", region=ACTIVE)).returncode == 0
    )
    done = recover(scene, "reprotect", ACTIVE)
    assert done.stdout.count("protected and verified (us-east-1)") == 2
    found = scene.databases(ACTIVE)
    assert found["rlg-data-primary-1"][::2] == ("available", 1)
    assert found["rlg-data-primary-1"][1].endswith(":db:rlg-data-dr-1")
    assert found["rlg-data-primary-1-old-2"][:2] == ("available", None)
    for region in (ACTIVE, TARGET):
        status = json.loads(finished(scene.start("--json", verb="status", region=region)).stdout)
        assert [each["protected"] for each in status] == [True, True]
    are_served(lab)


def test_once_more_nothing_has_to_be_done(scene):
    before = scene.databases(ACTIVE)
    done = recover(scene, "reprotect", ACTIVE)
    assert done.stdout.count("protected already: ") == 2
    assert scene.databases(ACTIVE) == before


def test_the_way_back_would_be_accepted(scene):
    recover(scene, "failover", ACTIVE, "--dry-run", "--even-if-healthy")
    recover(scene, "switchover", ACTIVE, "--dry-run")


def test_the_ledger_lists_what_the_active_database_lacks_and_its_replay_puts_it_back(scene):
    files = ledger_files(scene, TARGET, 2)
    (table,) = [each for each in json.loads(files["manifest.json"])["tables"] if each["only_old"]]
    assert table["table"] == "rlg.entries"
    lines = [json.loads(line) for line in files[table["file"]["name"]].splitlines()]
    lost = [each["row"]["id"] for each in lines if each["kind"] == "only-old"]
    assert len(lost) == table["only_old"] > 0
    with connected(scene, TARGET) as session, session.cursor() as sql:
        present = "select count(*) from rlg.entries where id = any(%s)"
        sql.execute(present, (lost,))
        assert sql.fetchone() == (0,)
        for _ in range(2):  # a replay that broke off is run again
            sql.execute(files["replay.sql"].decode())
            sql.execute(present, (lost,))
            assert sql.fetchone() == (len(lost),)
    session.close()


def test_it_goes_home_and_the_site_that_it_left_is_protected_without_a_loss(lab, scene):
    recover(scene, "switchover", ACTIVE)
    are_served(lab)
    recover(scene, "reprotect", TARGET)
    manifest = json.loads(ledger_files(scene, ACTIVE, 3)["manifest.json"])
    assert (manifest["tables"], manifest["only_old_objects"]) == ([], 0)
    assert manifest["compared"].startswith("closed by switchover-")
    found = scene.databases(TARGET)
    assert found["rlg-data-dr-1"][1].endswith(":db:rlg-data-primary-1")
    assert scene.status()["protected"]
    are_served(lab)


def test_customers_follow_when_the_region_dies_again(lab, scene):
    killed = outage.kill(ACTIVE, "hang")
    recover(scene, "failover", TARGET)
    assert scene.leads_to_target(PRODUCT)
    are_served(lab)
    os.kill(lab.state["processes"]["customers"], signal.SIGTERM)
    told = lab.run_dir / customers.FINISHED
    eventually(told.exists)
    for each in ledger.load(told):
        assert each.compared
        assert each.duplicated == ()
        if each.product == PRODUCT:  # the other product's replay nobody ran
            assert [write for write in each.lost if write.at < killed - 1] == []
