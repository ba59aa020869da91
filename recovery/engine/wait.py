"""Waiting for something that AWS does in its own time."""

import time
from collections.abc import Callable
from typing import TypeVar

from recovery.engine.errors import PassingError

T = TypeVar("T")

_FIRST_SECONDS = 0.02
_GROWTH = 1.25
"""What ends between two looks is noticed after at most a quarter of the time it took."""
_LONGEST_SECONDS = 5.0


def until(look: Callable[[], T | None], *, seconds: float) -> T | None:
    """Return what `look` finds, or None when `seconds` have passed without it.

    Looks at once, then at growing intervals of at most 5 s, which no API limit minds. A
    PassingError means "not yet"; the last one is raised when the time is up.
    """
    deadline = time.monotonic() + seconds
    pause = _FIRST_SECONDS
    while True:
        failed: PassingError | None = None
        try:
            if (found := look()) is not None:
                return found
        except PassingError as error:
            failed = error
        left = deadline - time.monotonic()
        if left <= 0:
            if failed:
                raise failed
            return None
        time.sleep(min(pause, left))
        pause = min(pause * _GROWTH, _LONGEST_SECONDS)
