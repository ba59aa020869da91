"""Faults on demand: which calls fail, how, and how often."""

from __future__ import annotations

import itertools
import random
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from lab.aws.call import Call

Kind = Literal[
    "refuse", "hang", "reset", "503", "throttle", "expired", "denied", "delay", "lost-reply"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A rule that calls fail by; what it does not name it does not ask for."""

    id: str
    fault: Kind
    region: str | None = None
    service: str | None = None
    action: str | None = None
    access_key_prefix: str | None = None
    share: float = 1.0
    """Which part of the calls fail by it: 0.3 for about three of ten."""
    times: int | None = None
    """How many calls still fail by it; None: all, until it is taken away."""
    seconds: float | None = None
    """Of a delay: how long. Of any other: how long from now on the rule holds; None: for ever."""

    def meets(self, call: Call) -> bool:
        """Return whether the rule is for `call`; by chance where it is for a share of them."""
        return (
            self.region in {None, call.region}
            and self.service in {None, call.service}
            and self.action in {None, call.action}
            and call.caller.startswith(self.access_key_prefix or "")
            and (self.share >= 1 or random.random() < self.share)
        )


class FaultPlane:
    """The rules in force."""

    def __init__(self) -> None:
        self._rules: dict[str, Fault] = {}
        self._ends: dict[str, float] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> str:
        """Put a rule in force and return its id, made up if it has none; same id: replaced."""
        with self._lock:
            name = fault.id or f"fault-{next(self._numbers)}"
            self._rules[name] = replace(fault, id=name)
            self._ends.pop(name, None)
            if fault.seconds is not None and fault.fault != "delay":
                self._ends[name] = time.monotonic() + fault.seconds
            return name

    def remove(self, name: str | None = None) -> None:
        """Take away one rule, or all."""
        with self._lock:
            for gone in [name] if name else list(self._rules):
                self._rules.pop(gone, None)
                self._ends.pop(gone, None)

    def strike(self, call: Call) -> Fault | None:
        """Return the oldest rule for `call`, using it up once; None when no rule is for it."""
        now = time.monotonic()
        with self._lock:
            for name in [name for name, end in self._ends.items() if end <= now]:
                del self._rules[name], self._ends[name]
            fault = next((rule for rule in self._rules.values() if rule.meets(call)), None)
            if fault and fault.times is not None:
                if fault.times > 1:
                    self._rules[fault.id] = replace(fault, times=fault.times - 1)
                else:
                    del self._rules[fault.id]
                    self._ends.pop(fault.id, None)
            return fault

    def holds(self, name: str) -> bool:
        """Return whether the rule is still in force."""
        with self._lock:
            end = self._ends.get(name)
            return name in self._rules and (end is None or end > time.monotonic())
