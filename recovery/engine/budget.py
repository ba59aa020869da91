"""What a plan has spent of the RTO, what is still to come, and whether that can fit.

The forecasts are what the steps declare. Nothing here stops a recovery: what cannot fit is said
once, as early as it can be known.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

_MINUTE, _HOUR = 60, 3600
_SHORTEST_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """How long the outage may last, and how long it has lasted so far."""

    rto: timedelta
    spent: Callable[[], float]
    """Seconds since the outage began, as far as that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Where a plan stands; `left_seconds` is the RTO without what was spent, perhaps negative."""

    spent_seconds: float
    rest_seconds: float
    """Forecast of what is still to come until the service is back."""
    left_seconds: float

    @property
    def fits(self) -> bool:
        """Whether what is to come fits into what is left."""
        return self.rest_seconds <= self.left_seconds

    @property
    def text(self) -> str:
        """Say it in a few words."""
        left = f"{span(self.left_seconds)} left of the RTO"
        if self.left_seconds < 0:
            left = f"RTO exceeded by {span(-self.left_seconds)}"
        return f"{span(self.spent_seconds)} spent, {span(self.rest_seconds)} to come, {left}"


class Budget:
    """One plan's use of its objective, watched in the background while the block runs."""

    def __init__(
        self,
        objective: Objective | None,
        forecasts: Mapping[str, timedelta],
        exceeded: Callable[[str, str], None],
    ) -> None:
        """Take the forecasts of all steps that must end before the service is back, in order.

        `exceeded` is told once, with the step and a line, when the objective cannot be met.
        """
        self._objective = objective
        self._forecasts = {step: each.total_seconds() for step, each in forecasts.items()}
        self._exceeded = exceeded
        self._changed = threading.Condition()
        self._watcher = threading.Thread(target=self._watch, name="budget", daemon=True)
        self._version = 0
        self._ended = False
        self._said = False
        self._step = ""
        self._to_come = sum(self._forecasts.values())
        self._acting_since: float | None = None
        self._stopped_at: float | None = None

    @property
    def forecast_seconds(self) -> float:
        """Return what all steps together should take."""
        return sum(self._forecasts.values())

    def __enter__(self) -> Self:
        """Begin to watch."""
        if self._objective:
            self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End watching."""
        self._ended = True
        self._note()
        if self._objective:
            self._watcher.join()

    def enter(self, step: str) -> None:
        """Count the step as the one that is next, and all before it as past."""
        with self._changed:
            self._to_come -= self._forecasts.get(self._step, 0.0)
            self._step, self._acting_since = step, None
        self._note()
        self._judge()

    def act(self) -> None:
        """Count the step as running from now on."""
        self._acting_since = time.monotonic()
        self._note()

    def stop(self) -> None:
        """Stop the clock: the service is back."""
        if self._objective and self._stopped_at is None:
            self._stopped_at = self._objective.spent()
            self._note()

    def now(self) -> Spending | None:
        """Return where the plan stands; None without an objective."""
        if self._objective is None:
            return None
        with self._changed:
            spent, rest = self._stopped_at, 0.0
            if spent is None:
                spent, rest = self._objective.spent(), self._rest()
        left = self._objective.rto.total_seconds() - spent
        return Spending(spent_seconds=spent, rest_seconds=rest, left_seconds=left)

    def _rest(self) -> float:
        own = self._forecasts.get(self._step, 0.0)
        acted = 0.0 if self._acting_since is None else time.monotonic() - self._acting_since
        return max(0.0, self._to_come - min(own, acted))

    def _note(self) -> None:
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    def _judge(self) -> float | None:
        """Say it if it cannot fit; return the seconds before which it cannot come to that.

        None: it will not, before something changes.
        """
        standing = self.now()
        with self._changed:
            over = self._said or self._stopped_at is not None
            if standing is None or over or not self._step:
                return None
            if standing.fits:
                # Nothing here grows faster than time itself.
                spare = standing.left_seconds - standing.rest_seconds
                return max(spare, _SHORTEST_SECONDS)
            self._said = True
            step = self._step
        said = f"the RTO cannot be kept: {standing.text}; it goes on, tell the product's owner"
        self._exceeded(step, said)
        return None

    def _watch(self) -> None:
        while not self._ended:
            seen = self._version
            self._await_change(seen, self._judge())

    def _await_change(self, seen: int, seconds: float | None) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._version != seen, seconds)


def span(seconds: float) -> str:
    """Write a duration down as people say it: `42 s`, `4 min 10 s`, `2 h 3 min`."""
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < _HOUR:
        large, small, units = whole // _MINUTE, whole % _MINUTE, ("min", "s")
    else:
        minutes = round(seconds / _MINUTE)
        large, small, units = minutes // _MINUTE, minutes % _MINUTE, ("h", "min")
    return f"{large} {units[0]}" + (f" {small} {units[1]}" if small else "")
