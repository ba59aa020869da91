"""Waiting for what AWS does in its own time, telling on the way how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable

from recovery.engine import wait
from recovery.engine.plan import Report, Seen

_SAY_SECONDS = 15.0


def watch(look: Callable[[], Seen], report: Report, *, seconds: float) -> bool:
    """Look until it holds, at most `seconds`; say what is seen when it changes, now and then."""
    said, at = "", float("-inf")

    def looked() -> bool | None:
        nonlocal said, at
        seen = look()
        if not seen.holds and seen.text != said and time.monotonic() - at >= _SAY_SECONDS:
            report.say(f"{seen.text}; waiting")
            said, at = seen.text, time.monotonic()
        return seen.holds or None

    return wait.until(looked, seconds=seconds) is not None
