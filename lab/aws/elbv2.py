"""Balancers: their rules, their addresses, and the health that the net process reports."""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from moto.elbv2 import models
from moto.elbv2.models import FakeHealthStatus

from lab.aws.errors import RefusedError
from lab.durations import DURATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moto.elbv2.models import ELBv2Backend, FakeLoadBalancer, FakeTargetGroup

    from lab.aws.context import Context

# Elastic Load Balancing endpoints and quotas, AWS General Reference.
_ZONES = {
    "us-east-1": "Z35SXDOTRQ7X7K",
    "us-east-2": "Z3AADJGX6KTTL2",
    "us-west-1": "Z368ELLRRE2KJ0",
    "us-west-2": "Z1H1FL5HABSF5",
    "eu-west-1": "Z32O12XQLNTSW2",
    "eu-central-1": "Z215JYRZR1TBD5",
}
_TWO = 2


def install(context: Context, health: Mapping[str, dict[str, str]]) -> None:
    """Put the lab's rules and health in place of moto's."""
    backend: Any = models.ELBv2Backend
    create = backend.create_load_balancer
    delete = backend.delete_load_balancer
    plain_health = models.FakeTargetGroup.health_for

    def create_load_balancer(self: ELBv2Backend, *arguments: Any, **named: Any) -> FakeLoadBalancer:
        made = create(self, *arguments, **named)
        zones = {subnet.availability_zone for subnet in made.subnets}
        if made.type == "application" and len(zones) < _TWO:
            del self.load_balancers[made.arn]
            msg = "At least two subnets in two different Availability Zones must be specified"
            raise RefusedError("ValidationError", msg)
        made.canonical_hosted_zone_id = _ZONES.get(self.region_name, "Z2P70J7EXAMPLE")
        seconds = context.pace.compress(DURATIONS["elbv2:provision"].seconds)
        context.pace.note(
            "elbv2:provision", resource=made.name, region=self.region_name, lab_seconds=seconds
        )
        made.lab_active_at = _now() + seconds
        return made

    def activate(self: Any) -> None:
        if self.state == "provisioning" and _now() >= getattr(self, "lab_active_at", 0.0):
            self.state = "active"

    def delete_load_balancer(self: ELBv2Backend, arn: str) -> None:
        found = self.load_balancers.get(arn)
        if found and found.attrs.get("deletion_protection.enabled") == "true":
            msg = f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled"
            raise RefusedError("OperationNotPermitted", msg)
        delete(self, arn)

    def health_for(self: FakeTargetGroup, target: dict[str, Any], ec2: Any) -> FakeHealthStatus:
        if target["Id"] not in self.targets:
            return plain_health(self, target, ec2)
        return _health(self, target["Id"], health.get(self.arn, {}))

    backend.create_load_balancer = create_load_balancer
    backend.delete_load_balancer = delete_load_balancer
    models.FakeLoadBalancer.activate = activate  # type: ignore[method-assign]
    models.FakeTargetGroup.health_for = health_for  # type: ignore[method-assign]


def _now() -> float:
    return time.monotonic()


def _health(group: FakeTargetGroup, instance: str, reported: Mapping[str, str]) -> FakeHealthStatus:
    """Return a registered target's health: what is reported, `unused` behind no balancer."""
    port, probe = group.targets[instance]["Port"], group.health_check_port
    if not group.load_balancer_arns:
        text = "Target group is not configured to receive traffic from the load balancer"
        return FakeHealthStatus(instance, port, probe, "unused", "Target.NotInUse", text)
    state = reported.get(instance, "initial")
    if state == "initial":
        text = "Target registration is in progress"
        return FakeHealthStatus(instance, port, probe, state, "Elb.RegistrationInProgress", text)
    if state == "unhealthy":
        text = "Health checks failed"
        return FakeHealthStatus(instance, port, probe, state, "Target.FailedHealthChecks", text)
    return FakeHealthStatus(instance, port, probe, state)
