"""Counts the calls that were made to AWS, by the step that made them.

A call counts once it has ended, however often the SDK had to send it. It failed if AWS gave no
answer or an error, other than that a thing is not there or a condition does not hold: these two
are what recovery asks for.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

_WRITTEN = re.compile(r"(\S+)@(\S+) (\d{1,9})( failed)?")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Calls:
    """How often one operation was called in one region."""

    operation: str
    """`service:Operation`."""
    region: str
    failed: bool
    times: int


class Tally:
    """The calls of this process that nobody has taken account of yet."""

    def __init__(self) -> None:
        """Begin to count."""
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str, str, bool]] = Counter()

    def add(self, step: str, region: str, operation: str, *, failed: bool) -> None:
        """Count one call; `step` is `<product>/<step>`, or empty."""
        with self._lock:
            self._counts[step, operation, region, failed] += 1

    def take(self, step: str) -> str:
        """Return the step's calls in one line, and forget them."""
        return self._take(lambda each: each == step)

    def take_rest(self, product: str | None = None) -> str:
        """Return every call left of a product's steps, or of everything; and forget them."""
        return self._take(lambda each: product is None or each.startswith(f"{product}/"))

    def _take(self, wanted: Callable[[str], bool]) -> str:
        totals: Counter[tuple[str, str, bool]] = Counter()
        with self._lock:
            for kind in [kind for kind in self._counts if wanted(kind[0])]:
                totals[kind[1:]] += self._counts.pop(kind)
        return ", ".join(
            f"{operation}@{region} {times}{' failed' if failed else ''}"
            for (operation, region, failed), times in sorted(totals.items())
        )


def parse(text: str) -> tuple[Calls, ...]:
    """Return the calls that `take` wrote; what reads otherwise is passed over."""
    found = (_WRITTEN.fullmatch(part) for part in text.split(", "))
    return tuple(
        Calls(operation=each[1], region=each[2], times=int(each[3]), failed=bool(each[4]))
        for each in found
        if each
    )
