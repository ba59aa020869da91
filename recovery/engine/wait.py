"""Waiting for something that AWS does in its own time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_FIRST_SECONDS = 0.02
_GROWTH = 1.5
_LONGEST_SECONDS = 5.0


def until(look: Callable[[], T | None], *, seconds: float) -> T | None:
    """Return what `look` finds, or None when `seconds` have passed without it.

    Looks at once, then at growing intervals of at most 5 s, which no API limit minds.
    """
    deadline = time.monotonic() + seconds
    pause = _FIRST_SECONDS
    while (found := look()) is None:
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(pause, left))
        pause = min(pause * _GROWTH, _LONGEST_SECONDS)
    return found
