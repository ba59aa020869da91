"""The metric streams of all regions: recent points, and the minutes that CloudWatch keeps.

Points of standard resolution are kept by the minute (PutMetricData, Amazon CloudWatch API
Reference); the points themselves are kept for a few minutes for alarms with compressed periods.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field

Dimensions = frozenset[tuple[str, str]]

_RECENT_POINTS = 3000
_RECENT_SECONDS = 900
_MINUTES = 3 * 24 * 60
MINUTE = 60


@dataclass(slots=True, kw_only=True)
class Aggregate:
    """What CloudWatch keeps of the points of one period."""

    minimum: float
    maximum: float
    total: float
    count: float

    def add(self, other: Aggregate) -> None:
        """Take another aggregate's points in."""
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        self.total += other.total
        self.count += other.count

    def statistic(self, name: str) -> float:
        """Return a statistic by the name that CloudWatch gives it."""
        return {
            "Minimum": self.minimum,
            "Maximum": self.maximum,
            "Sum": self.total,
            "SampleCount": self.count,
            "Average": self.total / self.count if self.count else 0.0,
        }[name]


STATISTICS = frozenset({"Minimum", "Maximum", "Sum", "SampleCount", "Average"})


@dataclass(slots=True)
class _Series:
    points: deque[tuple[float, Aggregate]] = field(
        default_factory=lambda: deque[tuple[float, Aggregate]](maxlen=_RECENT_POINTS)
    )
    minutes: OrderedDict[int, Aggregate] = field(default_factory=OrderedDict[int, Aggregate])


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """What a stream is known by; its dimensions are exact, as in CloudWatch."""

    region: str
    namespace: str
    metric: str
    dimensions: Dimensions


class Metrics:
    """Every metric stream of the lab."""

    def __init__(self) -> None:
        self._series: dict[Name, _Series] = {}
        self._lock = threading.Lock()

    def put(self, name: Name, at: float, points: Aggregate) -> None:
        """Add points at a unix time."""
        with self._lock:
            series = self._series.setdefault(name, _Series())
            series.points.append((at, points))
            while series.points and series.points[0][0] < at - _RECENT_SECONDS:
                series.points.popleft()
            minute = int(at // MINUTE)
            if minute in series.minutes:
                series.minutes[minute].add(points)
            else:
                series.minutes[minute] = _copy(points)
            if len(series.minutes) > _MINUTES:
                series.minutes.popitem(last=False)

    def publish(
        self, region: str, namespace: str, metric: str, dimensions: dict[str, str], value: float
    ) -> None:
        """Add one value now."""
        name = Name(
            region=region,
            namespace=namespace,
            metric=metric,
            dimensions=frozenset(dimensions.items()),
        )
        points = Aggregate(minimum=value, maximum=value, total=value, count=1)
        self.put(name, time.time(), points)

    def window(self, name: Name, start: float, end: float) -> Aggregate | None:
        """Return what the recent points in [start, end) come to; None without any."""
        with self._lock:
            series = self._series.get(name)
            found = None
            for at, points in reversed(series.points if series else ()):
                if start <= at < end:
                    if found is None:
                        found = _copy(points)
                    else:
                        found.add(points)
            return found

    def periods(
        self, name: Name, start: float, end: float, period: int
    ) -> list[tuple[float, Aggregate]]:
        """Return the aggregates of the periods in [start, end), each by its beginning.

        Periods begin at multiples of their length; `start` is rounded down to one.
        """
        first = start // period * period
        found: OrderedDict[float, Aggregate] = OrderedDict()
        with self._lock:
            series = self._series.get(name)
            for minute, points in sorted(series.minutes.items()) if series else ():
                beginning = minute * MINUTE // period * period
                if first <= beginning < end:
                    if beginning in found:
                        found[beginning].add(points)
                    else:
                        found[beginning] = _copy(points)
        return list(found.items())

    def names(self, region: str) -> list[Name]:
        """Return the streams of a region."""
        with self._lock:
            return [name for name in self._series if name.region == region]


def _copy(points: Aggregate) -> Aggregate:
    return Aggregate(
        minimum=points.minimum, maximum=points.maximum, total=points.total, count=points.count
    )
