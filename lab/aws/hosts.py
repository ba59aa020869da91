"""The instances of Auto Scaling groups as real processes.

A group converges on its desired capacity: missing instances are launched (Pending, then after
the modelled time a process and InService), surplus ones are terminated, dead ones are replaced
while their region lives.
"""

# moto and the documents of AWS are untyped.
# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import importlib
import threading
import time
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

from moto.autoscaling.models import ASG_NAME_TAG, InstanceState, autoscaling_backends
from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends

from lab.aws import autoscaling
from lab.aws.addresses import loopback
from lab.aws.context import ACCOUNT
from lab.aws.errors import RefusedError
from lab.durations import DURATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moto.autoscaling.models import FakeAutoScalingGroup

    from lab.aws.activities import Activities
    from lab.aws.context import Context
    from lab.aws.quotas import Quotas


class Host(Protocol):
    """One running host."""

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        ...

    def kill(self) -> None:
        """End it like a power cut."""
        ...


class Launcher(Protocol):
    """The module that starts hosts."""

    def launch(
        self,
        *,
        run_dir: Path,
        instance_id: str,
        address: str,
        region: str,
        user_data: str,
        environment: Mapping[str, str],
    ) -> Host:
        """Start a host's processes and return at once."""
        ...


def load(module: str) -> Launcher:
    """Return the module of that name."""
    return cast("Launcher", importlib.import_module(module))


@dataclass(slots=True, kw_only=True)
class _Launch:
    state: InstanceState
    group: FakeAutoScalingGroup
    ready_at: float
    host: Host | None = None
    dead_since: float | None = None
    in_service_at: float = field(default=0.0)


class Hosts:
    """Every instance of every group, by instance id."""

    def __init__(
        self,
        *,
        context: Context,
        launcher: Launcher,
        environment: dict[str, str],
        quotas: Quotas,
        health: Mapping[str, dict[str, str]],
        activities: Activities,
    ) -> None:
        self._context = context
        self._launcher = launcher
        self._environment = environment
        self._quotas = quotas
        self._health = health
        self._launches: dict[str, _Launch] = {}
        self._activities = activities
        self._lock = threading.RLock()
        context.died.append(self._kill)

    def check_image(self, region: str, image: str) -> None:
        """Refuse an image that the region does not have; moto launches anything."""
        known = ec2_backends[ACCOUNT][region].describe_images(filters={"image-id": image})
        if not known:
            msg = "You must use a valid fully-formed launch template. "
            msg += f"The image id '[{image}]' does not exist"
            raise RefusedError("ValidationError", msg)

    def converge(self, group: FakeAutoScalingGroup) -> None:
        """Launch what is missing and terminate what is too much; called under moto's lock."""
        alive = autoscaling.lives(group)
        missing = (group.desired_capacity or 0) - len(alive)
        for _ in range(missing):
            if not self._launch(group):
                break
        if missing < 0:
            self._terminate(group, autoscaling.surplus(group, -missing))

    def _launch(self, group: FakeAutoScalingGroup) -> bool:
        region = group.region
        if not self._context.is_alive(region):
            return False
        if refusal := self._quotas.refusal(region, group.instance_type, 1):
            self._activities.note(group, "Failed", "Launching a new EC2 instance", refusal)
            return False
        zone, subnet = autoscaling.next_zone(group)
        tags = {**group.get_propagated_tags(), ASG_NAME_TAG: group.name, **group.instance_tags}
        template = group.ec2_launch_template
        reservation = group.autoscaling_backend.ec2_backend.run_instances(
            group.image_id,
            1,
            group.user_data,
            group.security_groups,
            instance_type=group.instance_type,
            tags={"instance": tags},
            placement=zone,
            launch_config=group.launch_config,
            launch_template={"LaunchTemplateId": template.id} if template else None,
            is_instance_type_default=False,
            associate_public_ip=False,
            subnet_id=subnet,
        )
        instance: Any = reservation.instances[0]
        instance.autoscaling_group = group
        instance._state.name, instance._state.code = "pending", 0
        state = InstanceState(
            instance,
            lifecycle_state="Pending",
            protected_from_scale_in=group.new_instances_protected_from_scale_in,
        )
        group.instance_states.append(state)
        seconds = self._context.pace.compress(DURATIONS["ec2:launch"].seconds)
        self._context.pace.note(
            "ec2:launch", resource=instance.id, region=region, lab_seconds=seconds
        )
        with self._lock:
            self._launches[instance.id] = _Launch(
                state=state, group=group, ready_at=time.monotonic() + seconds
            )
        self._activities.note(group, "Successful", f"Launching a new EC2 instance: {instance.id}")
        return True

    def _terminate(self, group: FakeAutoScalingGroup, states: list[InstanceState]) -> None:
        names = [state.instance.id for state in states]
        for state in states:
            group.instance_states.remove(state)
            self._activities.note(
                group, "Successful", f"Terminating EC2 instance: {state.instance.id}"
            )
        if names:
            for target_group in elbv2_backends[ACCOUNT][group.region].target_groups.values():
                target_group.deregister_terminated_instances(names)
            ec2_backends[ACCOUNT][group.region].terminate_instances(names)
        self._end(names)
        self._context.changed.set()

    def _end(self, names: list[str]) -> None:
        with self._lock:
            gone = [self._launches.pop(name) for name in names if name in self._launches]
        for launch in gone:
            if launch.host:
                launch.host.kill()

    def bury(self, region: str, names: list[str]) -> None:
        """Take terminated instances out of their groups and launch others in their place."""
        for group in autoscaling_backends[ACCOUNT][region].autoscaling_groups.values():
            dead = [state for state in group.instance_states if state.instance.id in names]
            if dead:
                for state in dead:
                    group.instance_states.remove(state)
                self.converge(group)
        self._end(names)

    def tend(self) -> None:
        """Bring launched instances into service and replace dead ones."""
        with self._lock:
            launches = list(self._launches.values())
        for launch in launches:
            if not self._context.is_alive(launch.group.region):
                continue
            if launch.host is None and launch.state.lifecycle_state == "Pending":
                if time.monotonic() >= launch.ready_at:
                    self._enter_service(launch)
            elif self._is_lost(launch):
                self._replace(launch)
        self._converge_all()

    def _enter_service(self, launch: _Launch) -> None:
        instance: Any = launch.state.instance
        user_data = b64decode(str(instance.user_data or "")).decode()
        host: Host | None = None
        if "/etc/standby/host.env" in user_data:
            host = self._launcher.launch(
                run_dir=self._context.run_dir,
                instance_id=instance.id,
                address=loopback(instance.private_ip),
                region=launch.group.region,
                user_data=user_data,
                environment=self._environment,
            )
        with self._context.lock:
            region_died = not self._context.is_alive(launch.group.region)
            if launch.state not in launch.group.instance_states or region_died:
                if host:
                    host.kill()
                return
            launch.host = host
            instance._state.name, instance._state.code = "running", 16
            launch.state.lifecycle_state = "InService"
            launch.in_service_at = time.monotonic()
            backend = launch.group.autoscaling_backend
            if launch.group.name in backend.autoscaling_groups:
                autoscaling.register_targets(backend, launch.group.name)
        self._context.changed.set()

    def _is_lost(self, launch: _Launch) -> bool:
        """Whether an instance in service is to be replaced: dead, or unhealthy as its group asks.

        AWS notices a dead instance by its status checks, a minute apart; the balancer's verdict
        counts after the grace period and only where the group's health check type is ELB.
        """
        if launch.state.lifecycle_state != "InService":
            return False
        now = time.monotonic()
        if launch.host is not None and not launch.host.alive:
            launch.dead_since = launch.dead_since or now
            patience = self._context.pace.compress(DURATIONS["ec2:replace"].seconds)
            return now - launch.dead_since >= patience
        if launch.state.health_status != "Healthy":
            return True
        if launch.group.health_check_type != "ELB":
            return False
        grace = self._context.pace.compress(float(launch.group.health_check_grace_period or 0))
        reports = (self._health.get(arn, {}) for arn in launch.group.target_group_arns)
        sick = any(one.get(launch.state.instance.id) == "unhealthy" for one in reports)
        return sick and now - launch.in_service_at > grace

    def _replace(self, launch: _Launch) -> None:
        with self._context.lock:
            if launch.state in launch.group.instance_states:
                self._terminate(launch.group, [launch.state])

    def _converge_all(self) -> None:
        for region, backend in list(autoscaling_backends[ACCOUNT].items()):
            if not self._context.is_alive(region):
                continue
            for group in list(backend.autoscaling_groups.values()):
                if len(autoscaling.lives(group)) != group.desired_capacity:
                    with self._context.lock:
                        self.converge(group)

    def _kill(self, region: str) -> None:
        with self._lock:
            launches = [one for one in self._launches.values() if one.group.region == region]
        victims = [one.host for one in launches if one.host]
        if victims:
            with ThreadPoolExecutor(len(victims)) as pool:
                list(pool.map(_kill_host, victims))


def _kill_host(host: Host) -> None:
    host.kill()
