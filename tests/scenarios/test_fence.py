"""The old region's API answers but scales nothing, and a process there writes without a guard.

One lab, told in order: the process is cut off from its database, and reaches it again, which by
then is a replica, once its site is the standby.
"""

import json
import re
import subprocess
import sys

import pytest

from tests.scenarios.scene import (
    ACTIVE,
    PRODUCT,
    Scene,
    connected,
    faults,
    finished,
    products,
    target,
)
from tests.scenarios.stage import leftovers, new_lab

ONLY = ("--product", PRODUCT)
UNGUARDED = """
import json, sys, psycopg2
told, session, number = json.loads(sys.argv[1]), None, 0
while True:
    try:
        if session is None:
            session = psycopg2.connect(**told, connect_timeout=2)
            session.autocommit = True
        with session.cursor() as sql:
            sql.execute("set statement_timeout = 2000")
            sql.execute("insert into unguarded values (%s)", (number,))
        print("written", number, flush=True)
        number += 1
    except psycopg2.Error as error:
        print(" ".join(str(error).split()), flush=True)
        session = None
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    lab = new_lab(tmp_path_factory)
    lab.up("--speed", "1000")
    run_dir = lab.run_dir
    made = Scene(lab)
    yield made
    made.close()
    assert lab.down().returncode == 0
    assert leftovers(run_dir) == []


@pytest.fixture(scope="module")
def start(scene):
    """Start a process on a host of the product in the active region."""
    started = []

    def start():
        told = target(scene, ACTIVE)
        process = subprocess.Popen(
            [sys.executable, "-c", UNGUARDED, json.dumps(told)],
            cwd=scene.lab.run_dir / "hosts" / host_of(scene),
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def host_of(scene):
    found = scene.aws("autoscaling", ACTIVE).describe_auto_scaling_groups(
        AutoScalingGroupNames=[f"{PRODUCT}-primary"]
    )
    return found["AutoScalingGroups"][0]["Instances"][0]["InstanceId"]


def hears(process, pattern):
    """Wait until the process says so."""
    for line in process.stdout:
        if re.search(pattern, line):
            return line
    pytest.fail(f"it ended before it said {pattern}")


def written(scene):
    """Return how many rows there are, asked by the operator: whom the entry does not concern."""
    session = connected(scene, ACTIVE)
    try:
        with session.cursor() as sql:
            sql.execute("select count(*) from unguarded")
            return sql.fetchone()[0]
    finally:
        session.close()


def denied(scene):
    found = scene.aws("ec2", ACTIVE).describe_network_acls()["NetworkAcls"]
    return [
        each["RuleNumber"]
        for acl in found
        for each in acl["Entries"]
        if each["RuleAction"] == "deny" and each["RuleNumber"] < 1000
    ]


def test_what_runs_without_a_guard_writes_no_more_into_the_old_database(scene, start):
    session = connected(scene, ACTIVE)
    session.cursor().execute("create table unguarded (number int)")
    session.close()
    early = start()
    hears(early, "written 3")
    with faults({"fault": "503", "service": "autoscaling", "region": ACTIVE}):
        done = scene.failover(*ONLY, "--even-if-healthy", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    fencing = products(done)[PRODUCT]["fencing"]
    assert "hosts cut off from its database" in fencing.partition("; not: ")[0]
    assert "hosts scaled to none" in fencing.partition("; not: ")[2]
    assert denied(scene) == [100]
    late = start()
    hears(late, "timeout expired")
    rows = written(scene)
    assert rows > 3
    hears(late, "timeout expired")
    assert written(scene) == rows


def test_the_other_product_in_the_same_subnets_is_served_as_before(scene):
    assert scene.status("rlg-fans")["active"] == "primary"
    done = finished(scene.start("--product", "rlg-fans", verb="verify", region=ACTIVE))
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_hosts_reach_the_database_again_once_it_is_a_replica(scene, start):
    done = finished(scene.start(*ONLY, verb="reprotect", region=ACTIVE))
    assert done.returncode == 0, done.stdout + done.stderr
    assert denied(scene) == []
    hears(start(), "read-only transaction")
    assert scene.status()["protected"]
