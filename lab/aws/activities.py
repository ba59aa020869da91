"""The activities of Auto Scaling groups: what was launched and ended, and what could not be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from moto.core.utils import utcnow

if TYPE_CHECKING:
    from moto.autoscaling.models import FakeAutoScalingGroup

_KEPT = 100


class Activities:
    """Every group's activities, the newest first; 100 of each are kept."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, str], list[dict[str, Any]]] = {}

    def note(
        self, group: FakeAutoScalingGroup, status: str, description: str, message: str = ""
    ) -> None:
        """Note an activity; a failure that repeats itself is noted once."""
        found = self._of.setdefault((group.region, group.name), [])
        last = found[0] if found else {}
        if status == "Failed" and last.get("StatusMessage") == message:
            return
        now = utcnow()
        activity = {
            "ActivityId": str(uuid4()),
            "AutoScalingGroupName": group.name,
            "Description": description,
            "Cause": f"At {now:%Y-%m-%dT%H:%M:%SZ} the group's capacity differed from the desired",
            "StartTime": now,
            "EndTime": now,
            "StatusCode": status,
            "StatusMessage": message,
            "Progress": 100,
        }
        found.insert(0, activity)
        del found[_KEPT:]

    def listed(self, region: str, group: str | None) -> list[dict[str, Any]]:
        """Return a group's activities, or all of the region's."""
        return [
            activity
            for (place, name), found in self._of.items()
            if place == region and group in {None, name}
            for activity in found
        ]
