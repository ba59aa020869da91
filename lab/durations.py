"""How long AWS takes, where that is said, and how much of it the lab waits.

Time in the lab is wall time. Only this table is compressed, by one factor: the lab waits a
duration divided by the speed, so that a report can show the measured seconds and, apart, what
AWS's own durations would have made of them. AWS promises few of these figures: where its
words leave room the entry says which figure was taken, and where it says nothing, that the figure
is assumed.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """What AWS takes for an operation, and where that comes from."""

    seconds: float
    source: str


def _assumed(seconds: float, why: str) -> Duration:
    """Return a duration for which AWS gives no figure; a report says that it is assumed."""
    return Duration(seconds=seconds, source=f"assumed, AWS gives no figure: {why}")


DURATIONS: dict[str, Duration] = {
    "rds:create": _assumed(480, "an empty encrypted instance in two zones"),
    "rds:create-replica": _assumed(
        600, "snapshot, copy to the other region and restore of a small source"
    ),
    "rds:backing-up": _assumed(120, "first backup of a small instance"),
    "rds:promote": Duration(
        seconds=240,
        source="Amazon RDS User Guide, Promoting a read replica: several minutes or longer, by "
        "size; 4 min taken",
    ),
    "rds:reboot": _assumed(60, "reboot that ends a promotion"),
    "rds:modify": _assumed(60, "change that needs no new host"),
    "rds:rename": _assumed(300, "rename of an instance: the guide says up to ten minutes"),
    "rds:snapshot": _assumed(180, "first snapshot of a small instance"),
    "rds:start": _assumed(300, "start of a stopped instance"),
    "rds:delete": _assumed(120, "deletion of an instance"),
    "ec2:launch": _assumed(45, "from the launch to a booted Linux host"),
    "ec2:replace": _assumed(60, "status checks run each minute, one of them must fail"),
    "elbv2:provision": _assumed(150, "application load balancer in two zones"),
    "s3:replicate": Duration(
        seconds=15,
        source="Amazon S3 User Guide, S3 Replication Time Control: most objects in seconds, "
        "99.99 % within 15 minutes; 15 s taken",
    ),
    "cloudwatch:period": Duration(
        seconds=60,
        source="Amazon CloudWatch API Reference, PutMetricData: standard resolution is a minute",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A modelled wait that was taken."""

    at: float
    operation: str
    resource: str
    region: str
    lab_seconds: float
    aws_seconds: float
    source: str


class Pace:
    """The speed of the lab: AWS's seconds for one of ours; 0 means that nothing is waited for."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._taken: list[Wait] = []
        self._lock = threading.Lock()

    def compress(self, seconds: float) -> float:
        """Return the wall seconds that stand for `seconds` of AWS."""
        return seconds / self.speed if self.speed > 0 else 0.0

    def wait(self, operation: str, *, resource: str, region: str, spent: float = 0.0) -> None:
        """Wait out what is left of an operation's duration after `spent` real seconds of it."""
        duration = DURATIONS[operation]
        left = max(0.0, self.compress(duration.seconds) - spent)
        self.note(operation, resource=resource, region=region, lab_seconds=left)
        if left:
            time.sleep(left)

    def note(self, operation: str, *, resource: str, region: str, lab_seconds: float) -> None:
        """Record a wait of `lab_seconds` that is taken elsewhere."""
        duration = DURATIONS[operation]
        taken = Wait(
            at=time.time(),
            operation=operation,
            resource=resource,
            region=region,
            lab_seconds=lab_seconds,
            aws_seconds=duration.seconds,
            source=duration.source,
        )
        with self._lock:
            self._taken.append(taken)

    def taken(self) -> tuple[Wait, ...]:
        """Return the waits taken so far, oldest first."""
        with self._lock:
            return tuple(self._taken)
