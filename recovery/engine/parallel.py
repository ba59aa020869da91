"""Independent calls side by side.

Each thread sees the caller's context, so that calls to AWS carry the step they are made for.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self, TypeVar

from recovery.engine.errors import OutsideError

T = TypeVar("T")
_THREADS = 16


class Asking:
    """Questions under way; leaving the block waits for all of them."""

    def __enter__(self) -> Self:
        """Begin to ask."""
        self._pool = ThreadPoolExecutor(_THREADS)
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for every answer."""
        self._pool.shutdown()

    def ask(self, question: Callable[[], T]) -> Future[T | OutsideError]:
        """Ask in a thread of its own; an OutsideError is an answer too."""
        return self._pool.submit(contextvars.copy_context().run, _answer, question)


def answers(questions: Sequence[Callable[[], T]]) -> list[T | OutsideError]:
    """Ask all questions at once and return their answers in order."""
    with Asking() as asking:
        asked = [asking.ask(question) for question in questions]
    return [future.result() for future in asked]


def at_once(work: Sequence[Callable[[], T]]) -> list[T]:
    """Run all of `work` and return the results in its order; the first error is raised."""
    with ThreadPoolExecutor(max(1, len(work))) as pool:
        running = [pool.submit(contextvars.copy_context().run, each) for each in work]
        return [future.result() for future in running]


def _answer(question: Callable[[], T]) -> T | OutsideError:
    try:
        return question()
    except OutsideError as error:
        return error
