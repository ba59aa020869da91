"""Side by side, in order, and never waiting for what nobody wants any more."""

import threading
import time
from contextvars import ContextVar

import pytest

from recovery.engine import wait
from recovery.engine.errors import OutsideError, PassingError
from recovery.engine.parallel import answers, at_once

STEP = ContextVar("step", default="")


def test_results_come_in_the_order_of_the_work():
    assert at_once([lambda: (time.sleep(0.05), 1)[1], lambda: 2]) == [1, 2]


def test_threads_see_the_callers_context():
    STEP.set("promote")
    assert at_once([STEP.get, STEP.get]) == ["promote", "promote"]


def test_an_error_is_raised_without_waiting_for_the_rest():
    held = threading.Event()

    def fail():
        raise OutsideError("no")

    began = time.monotonic()
    with pytest.raises(OutsideError):
        at_once([fail, lambda: held.wait(5)])
    assert time.monotonic() - began < 4
    held.set()


def test_an_answer_that_is_late_is_an_error_and_the_others_stand():
    held = threading.Event()
    quick, late = answers([lambda: "here", lambda: held.wait(5)], seconds=0.1)
    assert quick == "here"
    assert isinstance(late, PassingError)
    held.set()


def test_what_may_pass_is_waited_out():
    tries = iter([PassingError("throttled"), PassingError("reset"), None, "done"])

    def look():
        found = next(tries)
        if isinstance(found, Exception):
            raise found
        return found

    assert wait.until(look, seconds=5) == "done"


def test_what_does_not_pass_in_time_is_raised_as_it_was():
    def look():
        raise PassingError("throttled")

    with pytest.raises(PassingError, match="throttled"):
        wait.until(look, seconds=0.1)


def test_what_will_not_pass_is_raised_at_once():
    def look():
        raise OutsideError("denied")

    with pytest.raises(OutsideError, match="denied"):
        wait.until(look, seconds=60)
