"""The old database counts as closed only with its gate shut and nobody left inside."""

import io

import pytest

from recovery import switchover
from recovery.engine.journal import Journal
from recovery.engine.progress import Progress
from recovery.execution import execute
from recovery.steps.switch import Switch
from tests.recovery.planned import OLD, Pair
from tests.recovery.simulated import Fault, Killed
from tests.recovery.test_switchover_plan import WRITES


@pytest.fixture
def cloud(monkeypatch):
    return Pair().install(monkeypatch)


@pytest.fixture
def switch_over(cloud, tmp_path):
    def once():
        case = cloud.case()
        journal = Journal(tmp_path, case.execution)
        progress = Progress(io.StringIO(), as_text=True)
        try:
            return cloud.run(lambda: execute(case, switchover.PROCEDURE, journal, progress))
        finally:
            journal.close()

    return once


@pytest.fixture
def killed_while_closing(cloud, switch_over):
    closes = next(call for call in WRITES if call.function == "gate.close")
    cloud.fault = Fault(closes, "kill-before")
    with pytest.raises(Killed):
        switch_over()


@pytest.mark.parametrize(("gate", "sessions"), [("closed", 1), ("open", 0), ("open", 1)], ids=str)
def test_what_a_killed_one_left_half_closed_is_closed_before_anything_is_compared(
    cloud, switch_over, killed_while_closing, gate, sessions
):
    cloud._set_gate(OLD, gate)
    cloud.sessions = sessions
    cloud.calls.clear()
    assert switch_over().exit_code == 0
    assert cloud.at_promotion == [(True, 0, 0)]
    order = [call.function for call in cloud.calls]
    assert order.index("gate.close") < order.index("gate.end_of_log")


def test_what_is_closed_already_is_not_closed_again(cloud, switch_over, killed_while_closing):
    cloud._set_gate(OLD, "closed")
    cloud.sessions = 0
    cloud.calls.clear()
    assert switch_over().exit_code == 0
    assert "gate.close" not in [call.function for call in cloud.calls]


@pytest.mark.parametrize(
    ("gate", "sessions", "text"),
    [
        ("open", 2, "rlg-data-primary-1 is open, with 2 sessions"),
        ("closed", 1, "rlg-data-primary-1 is closed, with 1 sessions"),
    ],
)
def test_it_says_what_is_missing(cloud, gate, sessions, text):
    going = cloud.run(lambda: switchover.begin(cloud.case()))
    cloud._set_gate(OLD, gate)
    cloud.sessions = sessions
    seen = Switch(going=going).is_closed()
    assert (seen.holds, seen.text) == (False, text)
