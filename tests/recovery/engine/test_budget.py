"""What cannot fit into the RTO is said once, as early as it can be known."""

import io
import json
import threading
from datetime import timedelta

import pytest

from recovery.engine.budget import Budget, Objective, Spending, span
from recovery.engine.progress import Progress

SECONDS = 10


class Said:
    def __init__(self):
        self.lines = []
        self.came = threading.Event()

    def __call__(self, step, text):
        self.lines.append((step, text))
        self.came.set()


class Clock:
    """The outage's age."""

    def __init__(self, spent=0.0):
        self.spent = spent

    def __call__(self):
        return self.spent


def budget(said, clock, *, rto=100.0, **forecasts):
    objective = Objective(rto=timedelta(seconds=rto), spent=clock)
    return Budget(objective, {k: timedelta(seconds=v) for k, v in forecasts.items()}, said)


def standing(made):
    found = made.now()
    assert found
    return found


def test_what_fits_is_not_said():
    said, clock = Said(), Clock()
    with budget(said, clock, look=10, promote=80) as made:
        for step in ("look", "promote"):
            made.enter(step)
            made.act()
        clock.spent = 99.0
        made.enter("afterwards")
        assert made.now() == Spending(spent_seconds=99.0, rest_seconds=0.0, left_seconds=1.0)
    assert not said.lines


def test_what_cannot_fit_is_said_at_the_first_step_and_once():
    said, clock = Said(), Clock(15.0)
    with budget(said, clock, look=10, promote=80) as made:
        made.enter("look")
        made.act()
        clock.spent = 150.0
        made.enter("promote")
    assert said.lines == [
        (
            "look",
            "the RTO cannot be kept: 15 s spent, 1 min 30 s to come, "  # noqa: ISC004
            "1 min 25 s left of the RTO; it goes on, tell the product's owner",
        )
    ]


def test_steps_that_are_past_do_not_count_as_to_come():
    said, clock = Said(), Clock(20.0)
    with budget(said, clock, look=10, wait=30, promote=40) as made:
        for step in ("look", "wait", "promote"):
            made.enter(step)
        assert standing(made).rest_seconds == 40
    assert not said.lines


@pytest.mark.parametrize("acting", [True, False], ids=["acting", "waiting"])
def test_a_step_that_takes_longer_than_its_forecast_is_noticed_while_it_does(acting):
    """Nobody tells the budget of the time that passes; it watches by itself."""
    said, clock = Said(), Clock()
    with budget(said, clock, rto=0.3, look=0.1, promote=0.1) as made:
        made.enter("look")
        if acting:
            made.act()
        clock.spent = 10.0
        assert said.came.wait(SECONDS)
    assert [step for step, _ in said.lines] == ["look"]


def test_the_forecast_of_a_step_runs_down_only_while_it_acts():
    said, clock = Said(), Clock()
    with budget(said, clock, promote=0.0001, shift=40) as made:
        made.enter("promote")
        assert standing(made).rest_seconds == pytest.approx(40.0001)
        made.act()
        threading.Event().wait(0.001)
        assert standing(made).rest_seconds == pytest.approx(40)


def test_the_clock_stops_when_the_service_is_back():
    said, clock = Said(), Clock(50.0)
    with budget(said, clock, verify=1) as made:
        made.enter("verify")
        made.stop()
        clock.spent = 500.0
        made.enter("snapshot")
        assert standing(made).spent_seconds == 50.0
    assert not said.lines


def test_without_an_objective_there_is_nothing_to_say():
    said = Said()
    with Budget(None, {"look": timedelta(hours=9)}, said) as made:
        made.enter("look")
        made.act()
        made.stop()
        assert made.now() is None
    assert not said.lines


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 s"),
        (42, "42 s"),
        (60, "1 min"),
        (250.4, "4 min 10 s"),
        (3600, "1 h"),
        (7380, "2 h 3 min"),
        (-30, "-30 s"),
    ],
)
def test_durations_are_written_as_people_say_them(seconds, words):
    assert span(seconds) == words


STANDING = Spending(spent_seconds=42.0, rest_seconds=300.0, left_seconds=7158.0)


def told(*, as_text):
    screen = io.StringIO()
    progress = Progress(screen, as_text=as_text)
    for event in ("acting", "says", "done"):
        progress.say("rlg-data", "promote-database", event, "a text", STANDING)
    return screen.getvalue().splitlines()


def test_a_terminal_shows_the_budget_once_a_step():
    lines = told(as_text=True)
    assert lines[0].endswith("a text (42 s spent, 5 min to come, 1 h 59 min left of the RTO)")
    assert [line.endswith("a text") for line in lines] == [False, True, True]


def test_machines_read_the_budget_in_every_event():
    for line in told(as_text=False):
        assert json.loads(line)["budget"] == {
            "spent_seconds": 42.0,
            "rest_seconds": 300.0,
            "left_seconds": 7158.0,
        }
