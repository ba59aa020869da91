"""Independent calls side by side.

Each thread sees the caller's context, so that calls to AWS carry the step they are made for. An
error or a Ctrl-C leaves at once: what still runs is not waited for.
"""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self, TypeVar

from recovery.engine.errors import OutsideError, PassingError

T = TypeVar("T")
_THREADS = 16


class Asking:
    """Questions under way; leaving the block gives up those that nobody has waited for."""

    def __init__(self, threads: int = _THREADS) -> None:
        """Ask at most so many at once."""
        self._pool = ThreadPoolExecutor(threads)

    def __enter__(self) -> Self:
        """Begin to ask."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave at once."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def ask(self, question: Callable[[], T]) -> Future[T | OutsideError]:
        """Ask in a thread of its own; an OutsideError is an answer too."""
        return self.run(lambda: _answer(question))

    def run(self, work: Callable[[], T]) -> Future[T]:
        """Run in a thread of its own."""
        return self._pool.submit(contextvars.copy_context().run, work)


def at_once(work: Sequence[Callable[[], T]]) -> list[T]:
    """Run all of `work` and return the results in its order; the first error is raised."""
    with Asking(max(1, len(work))) as asking:
        running = [asking.run(each) for each in work]
        return [future.result() for future in running]


def answers(
    questions: Sequence[Callable[[], T]], *, seconds: float | None = None
) -> list[T | OutsideError]:
    """Ask all questions; an OutsideError is an answer too.

    With `seconds`, nobody is waited for any longer: an answer that is late is a PassingError.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    with Asking(max(1, len(questions))) as asking:
        asked = [asking.ask(question) for question in questions]
        return [_in_time(future, deadline) for future in asked]


def _in_time(future: Future[T | OutsideError], deadline: float | None) -> T | OutsideError:
    left = None if deadline is None else max(0.0, deadline - time.monotonic())
    try:
        return future.result(left)
    except TimeoutError:
        return PassingError("no answer in time")


def _answer(question: Callable[[], T]) -> T | OutsideError:
    try:
        return question()
    except OutsideError as error:
        return error
