"""A switchover is killed and the old region dies with it: `recovery.failover` goes on."""

import contextlib
import io
import json

import pytest

from recovery import failover, naming, switchover
from recovery.engine.journal import Journal
from recovery.engine.progress import Progress
from recovery.execution import execute
from tests.recovery import simulated
from tests.recovery.planned import NEW, Pair
from tests.recovery.simulated import HERE, THERE, WITNESS, Fault, Killed
from tests.recovery.test_switchover_plan import BACK, CALLS, STEPS, WRITES

ASSIGNMENT = naming.assignment_item("rlg-data")
AFTER = [
    next(call for call in CALLS if call.step == step and call.number == 1) for step in STEPS[1:]
]
"""The first call of each step but the first: killed there, the one before has ended."""
DEATHS = [(call, "kill-before") for call in AFTER] + [(call, "kill-after") for call in WRITES]
EPOCH = 2


@pytest.fixture
def cloud(monkeypatch):
    return Pair().install(monkeypatch)


@pytest.fixture
def run(cloud, tmp_path):
    def once(case, how):
        journal = Journal(tmp_path, case.execution)
        progress = Progress(io.StringIO(), as_text=True)
        try:
            return cloud.run(lambda: execute(case, how, journal, progress))
        finally:
            journal.close()

    return once


@pytest.fixture
def killed(cloud, run):
    """Kill a switchover at a call, and the old region with it."""

    def kill(call, kind):
        cloud.fault = Fault(call, kind)
        with pytest.raises(Killed):
            run(cloud.case(), switchover.PROCEDURE)
        cloud.dark = {THERE}
        cloud.calls.clear()

    return kill


@pytest.fixture
def fail_over(cloud, run):
    return lambda: run(cloud.failover_case(), failover.PROCEDURE)


def assigned(cloud, region):
    found = cloud.tables[region][ASSIGNMENT]
    return found["site"], found["epoch"], found["settled"]


def assert_serves_here(cloud):
    assert cloud.promotions == [NEW]
    assert NEW not in cloud.closed
    (agreed,) = {assigned(cloud, region) for region in (HERE, WITNESS)}
    assert agreed[::2] == ("dr", True)
    assert cloud.claims == {("rlg-data", "dr"): 1.0}
    assert cloud.get("rlg-data.example", 443, "/").status == 200


@pytest.mark.parametrize(("call", "kind"), DEATHS, ids=str)
def test_failover_ends_what_a_switchover_began_wherever_that_was_killed(
    cloud, killed, fail_over, call, kind
):
    killed(call, kind)
    was_over = all(assigned(cloud, region) == ("dr", EPOCH, True) for region in (HERE, WITNESS))
    outcome = fail_over()
    if was_over:
        assert (outcome.exit_code, "already active" in outcome.error) == (3, True)
    else:
        assert (outcome.exit_code, outcome.error) == (0, None)
    assert_serves_here(cloud)
    asked = {each.step for each in cloud.calls if each.region == THERE}
    assert asked <= {"open", "check-standby", "fence-peer"}


@pytest.mark.parametrize("step", ["catch-up", "record-point"])
def test_a_replica_that_was_closed_is_judged_by_its_last_commit(cloud, killed, fail_over, step):
    """No heartbeat can be read through a closed gate; the failover is neither blind nor refused."""
    killed(next(call for call in AFTER if call.step == step), "kill-before")
    assert NEW in cloud.closed
    assert fail_over().exit_code == 0
    point = json.loads(cloud.objects[naming.recovery_point_key("rlg-data", EPOCH)])
    assert point["last_heartbeat"] is not None
    assert point["predicted_loss_seconds"] is not None


def test_what_the_switchover_proved_stays_recorded(cloud, killed, fail_over):
    killed(next(call for call in AFTER if call.step == "promote-database"), "kill-before")
    assert fail_over().exit_code == 0
    point = json.loads(cloud.objects[naming.recovery_point_key("rlg-data", EPOCH)])
    assert point["predicted_loss_seconds"] == 0.0
    assert point["one_writer"].startswith("one writer: rlg-data-primary-1 is closed, and")


@pytest.mark.parametrize("number", range(1, 25))
def test_failover_ends_what_was_being_taken_back(cloud, run, fail_over, monkeypatch, number):
    seen = []
    act = cloud._faulted

    def faulted(call, process, work):
        if call.step in BACK:
            seen.append(call)
            if len(seen) == number:
                cloud.fault = Fault(call, "kill-after")
        return act(call, process, work)

    monkeypatch.setattr(cloud, "_faulted", faulted)
    cloud.refusals["databases.promote"] = simulated.rejected("InvalidParameterCombination")
    with contextlib.suppress(Killed):
        run(cloud.case(), switchover.PROCEDURE)
    assert seen
    cloud.refusals.clear()
    cloud.dark = {THERE}
    outcome = fail_over()
    assert (outcome.exit_code, outcome.error) == (0, None)
    assert_serves_here(cloud)
