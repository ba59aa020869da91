"""However a lab ends, no process, port or folder of it is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest

from lab import sweep
from tests.scenarios.stage import await_nothing_left, command


def kill(pid):
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("name", ["supervisor", "watchdog", "aws", "net", "dns"])
def test_a_lab_ends_when_one_of_its_processes_is_killed(bare, name):
    bare.up("--empty")
    run_dir = bare.run_dir
    state = bare.state
    kill(state["supervisor"] if name == "supervisor" else state["processes"][name])
    await_nothing_left(bare, run_dir)
    told = bare.run("status")
    assert told.returncode == 3
    if name != "supervisor":
        assert f"process {name} was killed by SIGKILL" in told.stderr
        assert (bare.directory / ".lab" / "logs" / "aws.log").exists()


def test_down_leaves_nothing_also_when_a_server_was_killed(bare):
    bare.up("--empty", "--speed", "0")
    run_dir = bare.run_dir
    environment = bare.environment()
    rds = boto3.client(
        "rds",
        region_name="us-east-1",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="LABSELF",
        aws_secret_access_key="lab",
    )
    rds.create_db_instance(
        DBInstanceIdentifier="one",
        DBInstanceClass="db.m6g.large",
        Engine="postgres",
        AllocatedStorage=20,
        DBName="shop",
        MasterUsername="master",
        MasterUserPassword="password-of-master",
    )
    rds.get_waiter("db_instance_available").wait(
        DBInstanceIdentifier="one", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    rds.close()
    servers = [pid for pid in sweep.processes_in(run_dir) if "postgres" in command(pid)]
    segments = shared_memory(run_dir)
    assert servers
    assert segments
    kill(min(servers))
    assert bare.down().returncode == 0
    await_nothing_left(bare, run_dir)
    table = Path("/proc/sysvipc/shm").read_text().splitlines()
    assert segments.isdisjoint(line.split()[1] for line in table)


def test_a_lab_that_is_interrupted_while_it_starts_leaves_nothing(bare):
    started = bare.start("up")
    run_dir = first_run_dir(bare)
    os.kill(started.pid, signal.SIGINT)
    said, _ = started.communicate(timeout=60)
    assert (started.returncode, "interrupted" in said) == (130, True)
    await_nothing_left(bare, run_dir)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_lab_whose_starter_is_killed_before_it_is_ready_ends(bare, how):
    started = bare.start("up")
    run_dir = first_run_dir(bare)
    os.kill(started.pid, how)
    started.communicate(timeout=60)
    await_nothing_left(bare, run_dir)


def test_a_lab_that_is_bound_to_its_starter_ends_with_it(bare):
    script = (
        "import time\n"
        "from lab import launch\n"
        "launch.start(launch.Wanted(empty=True, bound=True), lambda text: None)\n"
        "print(flush=True)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=bare.directory, stdout=subprocess.PIPE
    ) as starter:
        assert starter.stdout is not None
        starter.stdout.readline()
        run_dir = bare.run_dir
        starter.kill()
    await_nothing_left(bare, run_dir)


def test_a_second_lab_is_refused_and_the_first_goes_on(bare, tmp_path_factory):
    bare.up("--empty")
    second = type(bare)(tmp_path_factory.mktemp("second"))
    refused = second.run("up", "--empty")
    assert (refused.returncode, "a lab runs already" in refused.stderr) == (3, True)
    assert bare.run("status").returncode == 0
    assert not second.state_file.exists()


def test_what_a_killed_supervisor_and_watchdog_left_is_swept_by_the_next_lab(bare):
    bare.up("--empty")
    first = bare.run_dir
    kill(bare.state["processes"]["watchdog"])
    kill(bare.state["supervisor"])
    os.kill(bare.state["processes"]["aws"], 0)
    bare.up("--empty")
    assert bare.run_dir != first
    assert not first.exists()
    assert list(sweep.processes_in(first)) == []


def shared_memory(run_dir):
    """Return the ids of the servers' System V segments: the last word of postmaster.pid."""
    locks = [path.read_text().splitlines() for path in run_dir.glob("pg/*/data/postmaster.pid")]
    return {lines[6].split()[1] for lines in locks}


def first_run_dir(lab):
    """Return the run folder as soon as the lab's first processes run."""
    until = time.monotonic() + 30
    while not (lab.state_file.exists() and "aws" in lab.state["processes"]):
        assert time.monotonic() < until
        time.sleep(0.02)
    return lab.run_dir
