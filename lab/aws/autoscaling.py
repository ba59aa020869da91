"""Auto Scaling groups that keep rules, spread over zones, and take time to launch and replace.

Replaces moto's scaling: there, instances are InService at once, all in one zone, any capacity is
taken, and nothing dead is ever replaced.
"""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from moto.autoscaling import models
from moto.elbv2.exceptions import TargetGroupNotFoundError

from lab.aws.errors import RefusedError

if TYPE_CHECKING:
    from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup, InstanceState
    from moto.autoscaling.responses import AutoScalingResponse

    from lab.aws.hosts import Hosts

_LIVES = frozenset({"Pending", "InService"})


def install(hosts: Hosts) -> None:
    """Put the lab's scaling in place of moto's."""
    backend: Any = models.AutoScalingBackend
    group: Any = models.FakeAutoScalingGroup
    create = backend.create_auto_scaling_group
    update = backend.update_auto_scaling_group
    set_capacity = backend.set_desired_capacity

    def create_group(self: AutoScalingBackend, **wanted: Any) -> FakeAutoScalingGroup:
        if wanted["name"] in self.autoscaling_groups:
            msg = "AutoScalingGroup by this name already exists - A group with the name "
            raise RefusedError("AlreadyExists", f"{msg}{wanted['name']} already exists")
        smallest, largest = int(wanted["min_size"] or 0), int(wanted["max_size"] or 0)
        desired = wanted.get("desired_capacity")
        _check_sizes(smallest, largest, smallest if desired is None else int(desired))
        _check_target_groups(self, wanted.get("target_group_arns") or [])
        made = create(self, **wanted)
        try:
            hosts.check_image(self.region_name, made.image_id)
        except RefusedError:
            self.autoscaling_groups.pop(made.name, None)
            raise
        return made

    def update_group(self: AutoScalingBackend, **wanted: Any) -> FakeAutoScalingGroup:
        found = _existing(self, wanted["name"])
        smallest = _given(wanted.get("min_size"), found.min_size)
        largest = _given(wanted.get("max_size"), found.max_size)
        desired = wanted.get("desired_capacity")
        if desired is None and not smallest <= (found.desired_capacity or 0) <= largest:
            desired = max(smallest, min(largest, found.desired_capacity or 0))
            wanted["desired_capacity"] = desired
        _check_sizes(smallest, largest, _given(desired, found.desired_capacity))
        return update(self, **wanted)

    def set_desired(self: AutoScalingBackend, group_name: str, desired_capacity: int) -> None:
        found = _existing(self, group_name)
        if desired_capacity > (found.max_size or 0):
            msg = f"New SetDesiredCapacity value {desired_capacity} is above max value "
            msg += f"{found.max_size} for the AutoScalingGroup."
            raise RefusedError("ValidationError", msg)
        if desired_capacity < (found.min_size or 0):
            msg = f"New SetDesiredCapacity value {desired_capacity} is below min value "
            msg += f"{found.min_size} for the AutoScalingGroup."
            raise RefusedError("ValidationError", msg)
        set_capacity(self, group_name, desired_capacity)

    def scale(self: FakeAutoScalingGroup, new_capacity: int | None) -> None:
        self.desired_capacity = self.min_size if new_capacity is None else new_capacity
        hosts.converge(self)

    backend.create_auto_scaling_group = create_group
    backend.update_auto_scaling_group = update_group
    backend.set_desired_capacity = set_desired
    backend.delete_auto_scaling_group = _delete_with(hosts, backend.delete_auto_scaling_group)
    backend.update_attached_target_groups = register_targets
    backend.notify_terminate_instances = _notify_with(hosts)
    group.set_desired_capacity = scale
    group.active_instances = lives
    responses: Any = __import__("moto.autoscaling.responses", fromlist=["AutoScalingResponse"])
    responses.AutoScalingResponse.describe_scaling_activities = _activities_with(hosts)


def lives(group: FakeAutoScalingGroup) -> list[InstanceState]:
    """Return the instances that count for the capacity: launching ones too."""
    return [state for state in group.instance_states if state.lifecycle_state in _LIVES]


def next_zone(group: FakeAutoScalingGroup) -> tuple[str, str | None]:
    """Return the zone with the fewest instances, and the group's subnet there."""
    counts = Counter(state.instance.placement.zone for state in lives(group))
    subnets = (group.vpc_zone_identifier or "").split(",")
    zones = dict(zip(group.availability_zones, subnets, strict=False))
    zone = min(zones, key=lambda name: (counts[name], name))
    return zone, zones[zone] or None


def surplus(group: FakeAutoScalingGroup, count: int) -> list[InstanceState]:
    """Return which instances a scale-in ends: from the fullest zone, the oldest first."""
    left = lives(group)
    chosen: list[InstanceState] = []
    for _ in range(count):
        free = [state for state in left if not state.protected_from_scale_in]
        if not free:
            break
        counts = Counter(state.instance.placement.zone for state in left)
        gone = max(
            free,
            key=lambda state: (
                counts[state.instance.placement.zone],
                -state.instance.launch_time.timestamp(),
            ),
        )
        left.remove(gone)
        chosen.append(gone)
    return chosen


def register_targets(backend: AutoScalingBackend, group_name: str) -> None:
    """Register the group's instances in service with its target groups; moto takes any state."""
    group = backend.autoscaling_groups[group_name]
    ready = [s.instance.id for s in group.instance_states if s.lifecycle_state == "InService"]
    for arn in group.target_group_arns:
        target_group = backend.elbv2_backend.target_groups.get(arn)
        if target_group:
            missing = [name for name in ready if name not in target_group.targets]
            target_group.register([{"Id": name, "Port": target_group.port} for name in missing])


def _existing(backend: AutoScalingBackend, name: str) -> FakeAutoScalingGroup:
    group = backend.autoscaling_groups.get(name)
    if group is None:
        raise RefusedError("ValidationError", "AutoScalingGroup name not found - null")
    return group


def _given(value: Any, default: int | None) -> int:
    return int(default or 0) if value is None else int(value)


def _check_sizes(smallest: int, largest: int, desired: int) -> None:
    if smallest > largest:
        msg = f"Max bound, {largest}, must be greater than or equal to min bound, {smallest}"
        raise RefusedError("ValidationError", msg)
    if not smallest <= desired <= largest:
        msg = f"Desired capacity:{desired} must be between the specified min size:{smallest} "
        raise RefusedError("ValidationError", f"{msg}and max size:{largest}")


def _check_target_groups(backend: AutoScalingBackend, arns: list[str]) -> None:
    try:
        if arns:
            backend.elbv2_backend.describe_target_groups(None, arns, None)
    except TargetGroupNotFoundError as error:
        msg = f"Provided Target Groups may not be valid: {arns}"
        raise RefusedError("ValidationError", msg) from error


def _delete_with(hosts: Hosts, original: Any) -> Any:
    def delete(self: AutoScalingBackend, group_name: str) -> None:
        group = _existing(self, group_name)
        group.min_size, group.desired_capacity = 0, 0
        hosts.converge(group)
        group.target_group_arns = []
        original(self, group_name)

    return delete


def _notify_with(hosts: Hosts) -> Any:
    def notify(self: AutoScalingBackend, instance_ids: list[str]) -> None:
        hosts.bury(self.region_name, instance_ids)

    return notify


def _activities_with(hosts: Hosts) -> Any:
    from moto.core.responses import ActionResult  # noqa: PLC0415 - only needed here

    def describe(self: AutoScalingResponse) -> Any:
        name = self._get_param("AutoScalingGroupName")
        return ActionResult({"Activities": hosts.activities(self.region, name)})

    return describe
