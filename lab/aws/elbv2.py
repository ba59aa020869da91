"""Balancers: their rules, their addresses, and the health that the net process reports."""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from moto.elbv2 import models
from moto.elbv2.models import FakeHealthStatus

from lab.aws.errors import RefusedError
from lab.aws.patch import replace, wrap
from lab.durations import DURATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moto.elbv2.models import ELBv2Backend, FakeTargetGroup

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

    def create(original: Any, backend: ELBv2Backend, *arguments: Any, **named: Any) -> Any:
        made = original(backend, *arguments, **named)
        zones = {subnet.availability_zone for subnet in made.subnets}
        if made.type == "application" and len(zones) < _TWO:
            del backend.load_balancers[made.arn]
            msg = "At least two subnets in two different Availability Zones must be specified"
            raise RefusedError("ValidationError", msg)
        made.canonical_hosted_zone_id = _ZONES.get(backend.region_name, "Z2P70J7EXAMPLE")
        seconds = context.pace.compress(DURATIONS["elbv2:provision"].seconds)
        context.pace.note(
            "elbv2:provision", resource=made.name, region=backend.region_name, lab_seconds=seconds
        )
        made.lab_active_at = time.monotonic() + seconds
        return made

    def health_for(original: Any, group: FakeTargetGroup, target: dict[str, Any], ec2: Any) -> Any:
        if target["Id"] not in group.targets:
            return original(group, target, ec2)
        return _health(group, target["Id"], health.get(group.arn, {}))

    wrap(models.ELBv2Backend, "create_load_balancer", create)
    wrap(models.ELBv2Backend, "delete_load_balancer", _delete)
    replace(models.FakeLoadBalancer, "activate", _activate)
    wrap(models.FakeTargetGroup, "health_for", health_for)


def _activate(balancer: Any) -> None:
    if balancer.state == "provisioning" and time.monotonic() >= balancer.lab_active_at:
        balancer.state = "active"


def _delete(original: Any, backend: ELBv2Backend, arn: str) -> None:
    found = backend.load_balancers.get(arn)
    if found and found.attrs.get("deletion_protection.enabled") == "true":
        msg = f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled"
        raise RefusedError("OperationNotPermitted", msg)
    original(backend, arn)


def _health(group: FakeTargetGroup, instance: str, reported: Mapping[str, str]) -> Any:
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
