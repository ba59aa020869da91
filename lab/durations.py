"""How long AWS takes, where that is said, and how much of it the lab waits.

Time in the lab is wall time. Only this table is compressed, by one factor: the lab waits a
duration divided by the speed, so that a report can show the measured seconds and, apart, what
AWS's own durations would have made of them. AWS promises few of these figures; where the source
gives a range or only words, the entry says which figure was taken.
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


_RDS = "Amazon RDS User Guide"
DURATIONS: dict[str, Duration] = {
    "rds:create": Duration(
        seconds=480,
        source=f"{_RDS}, Getting started: creation 'can take up to 20 minutes'; 8 min taken",
    ),
    "rds:create-replica": Duration(
        seconds=600,
        source=f"{_RDS}, Working with read replicas: snapshot and copy of the source; 10 min taken",
    ),
    "rds:backing-up": Duration(
        seconds=120,
        source=f"{_RDS}, Backing up: first backup follows creation, no figure; 2 min taken",
    ),
    "rds:promote": Duration(
        seconds=240,
        source=f"{_RDS}, Promoting a read replica: 'several minutes or longer'; 4 min taken",
    ),
    "rds:reboot": Duration(
        seconds=60,
        source=f"{_RDS}, Rebooting a DB instance: 'typically' under a minute or two; 60 s taken",
    ),
    "rds:modify": Duration(
        seconds=60,
        source=f"{_RDS}, Modifying a DB instance: no figure; 60 s taken",
    ),
    "rds:snapshot": Duration(
        seconds=180,
        source=f"{_RDS}, Creating a DB snapshot: depends on the size, no figure; 3 min taken",
    ),
    "rds:start": Duration(
        seconds=300,
        source=f"{_RDS}, Starting a stopped DB instance: 'minutes or hours'; 5 min taken",
    ),
    "rds:delete": Duration(
        seconds=120,
        source=f"{_RDS}, Deleting a DB instance: no figure; 2 min taken",
    ),
    "ec2:launch": Duration(
        seconds=45,
        source="EC2 Auto Scaling User Guide, instance lifecycle: no figure; 45 s to running taken",
    ),
    "ec2:replace": Duration(
        seconds=60,
        source="EC2 Auto Scaling User Guide, health checks: status checks run each minute",
    ),
    "elbv2:provision": Duration(
        seconds=150,
        source="Elastic Load Balancing, Application Load Balancers: 'a few minutes'; 150 s taken",
    ),
    "s3:replicate": Duration(
        seconds=15,
        source="Amazon S3 User Guide, Replication Time Control: most objects within seconds, "
        "99.99 % within 15 minutes; 15 s taken",
    ),
    "cloudwatch:period": Duration(
        seconds=60,
        source="Amazon CloudWatch User Guide: standard resolution metrics have periods of 60 s",
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
