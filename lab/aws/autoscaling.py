"""Auto Scaling groups that keep rules, spread over zones, and take time to launch and replace.

Replaces moto's scaling: there, instances are InService at once, all in one zone, any capacity is
taken, and nothing dead is ever replaced.
"""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from moto.autoscaling import models, responses
from moto.core.responses import ActionResult
from moto.elbv2.exceptions import TargetGroupNotFoundError

from lab.aws.errors import RefusedError
from lab.aws.patch import replace, wrap

if TYPE_CHECKING:
    from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup, InstanceState
    from moto.autoscaling.responses import AutoScalingResponse

    from lab.aws.activities import Activities
    from lab.aws.hosts import Hosts

_LIVES = frozenset({"Pending", "InService"})


def install(hosts: Hosts, activities: Activities) -> None:
    """Put the lab's scaling in place of moto's."""
    scaling = _Scaling(hosts, activities)
    backend, group = models.AutoScalingBackend, models.FakeAutoScalingGroup
    wrap(backend, "create_auto_scaling_group", scaling.create)
    wrap(backend, "update_auto_scaling_group", scaling.update)
    wrap(backend, "set_desired_capacity", scaling.set_desired)
    wrap(backend, "delete_auto_scaling_group", scaling.delete)
    replace(backend, "update_attached_target_groups", register_targets)
    replace(backend, "notify_terminate_instances", scaling.notice_terminated)
    replace(group, "set_desired_capacity", scaling.scale)
    replace(group, "active_instances", lives)
    replace(responses.AutoScalingResponse, "describe_scaling_activities", scaling.activities)


class _Scaling:
    """The operations on groups, with what AWS refuses of them."""

    def __init__(self, hosts: Hosts, activities: Activities) -> None:
        self._hosts = hosts
        self._activities = activities

    def create(self, original: Any, backend: AutoScalingBackend, **wanted: Any) -> Any:
        if wanted["name"] in backend.autoscaling_groups:
            msg = "AutoScalingGroup by this name already exists - A group with the name "
            raise RefusedError("AlreadyExists", f"{msg}{wanted['name']} already exists")
        smallest, largest = int(wanted["min_size"] or 0), int(wanted["max_size"] or 0)
        desired = wanted.get("desired_capacity")
        _check_sizes(smallest, largest, smallest if desired is None else int(desired))
        _check_target_groups(backend, wanted.get("target_group_arns") or [])
        made = original(backend, **wanted)
        try:
            self._hosts.check_image(backend.region_name, made.image_id)
        except RefusedError:
            backend.autoscaling_groups.pop(made.name, None)
            raise
        return made

    def update(self, original: Any, backend: AutoScalingBackend, **wanted: Any) -> Any:
        found = _existing(backend, wanted["name"])
        smallest = _given(wanted.get("min_size"), found.min_size)
        largest = _given(wanted.get("max_size"), found.max_size)
        desired = wanted.get("desired_capacity")
        if desired is None and not smallest <= (found.desired_capacity or 0) <= largest:
            desired = max(smallest, min(largest, found.desired_capacity or 0))
            wanted["desired_capacity"] = desired
        _check_sizes(smallest, largest, _given(desired, found.desired_capacity))
        return original(backend, **wanted)

    def set_desired(
        self, original: Any, backend: AutoScalingBackend, name: str, desired: int
    ) -> None:
        found = _existing(backend, name)
        msg = f"New SetDesiredCapacity value {desired} is "
        if desired > (found.max_size or 0):
            msg += f"above max value {found.max_size} for the AutoScalingGroup."
            raise RefusedError("ValidationError", msg)
        if desired < (found.min_size or 0):
            msg += f"below min value {found.min_size} for the AutoScalingGroup."
            raise RefusedError("ValidationError", msg)
        original(backend, name, desired)

    def delete(self, original: Any, backend: AutoScalingBackend, name: str) -> None:
        group = _existing(backend, name)
        group.min_size, group.desired_capacity = 0, 0
        self._hosts.converge(group)
        group.target_group_arns = []
        original(backend, name)

    def scale(self, group: FakeAutoScalingGroup, capacity: int | None) -> None:
        group.desired_capacity = group.min_size if capacity is None else capacity
        self._hosts.converge(group)

    def notice_terminated(self, backend: AutoScalingBackend, instance_ids: list[str]) -> None:
        self._hosts.bury(backend.region_name, instance_ids)

    def activities(self, response: AutoScalingResponse) -> ActionResult:
        name = response._get_param("AutoScalingGroupName")
        return ActionResult({"Activities": self._activities.listed(response.region, name)})


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
