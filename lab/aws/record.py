"""The record of every call: the proof of what was and was not touched."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.aws.call import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One call that was made."""

    n: int
    at: float
    caller: str
    agent: str
    region: str
    service: str
    action: str
    outcome: str
    """HTTP status, or the fault that it met."""
    seconds: float


_KEPT = 100_000


class Record:
    """Calls in the order in which they arrived; the oldest are let go beyond 100,000."""

    def __init__(self) -> None:
        self._calls: list[Recorded] = []
        self._next = 1
        self._lock = threading.Lock()

    def arrive(self, call: Call, at: float) -> int:
        """Note that a call arrived and return its number; its outcome is `pending` until then."""
        with self._lock:
            number = self._next
            self._next += 1
            self._calls.append(
                Recorded(
                    n=number,
                    at=at,
                    caller=sys.intern(call.caller),
                    agent=sys.intern(call.agent),
                    region=sys.intern(call.region),
                    service=sys.intern(call.service),
                    action=sys.intern(call.action),
                    outcome="pending",
                    seconds=0.0,
                )
            )
            if len(self._calls) > _KEPT:
                del self._calls[: _KEPT // 10]
            return number

    def finish(self, number: int, outcome: str, seconds: float) -> None:
        """Note how the call with that number ended."""
        with self._lock:
            index = number - self._calls[0].n
            if index < 0:
                return
            old = self._calls[index]
            self._calls[index] = Recorded(
                n=old.n,
                at=old.at,
                caller=old.caller,
                agent=old.agent,
                region=old.region,
                service=old.service,
                action=old.action,
                outcome=outcome,
                seconds=seconds,
            )

    def after(self, number: int) -> tuple[list[Recorded], int]:
        """Return the calls with a greater number, and the number to ask after next."""
        with self._lock:
            first = self._calls[0].n if self._calls else self._next
            return self._calls[max(0, number + 1 - first) :], self._next - 1
