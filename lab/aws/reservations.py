"""Capacity reservations (moto has none): open ones, that matching instances fill by themselves.

What a reservation holds unused counts toward the vCPU quota as if it ran (Amazon EC2 User Guide,
On-Demand Capacity Reservations).
"""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
from __future__ import annotations

from typing import Any
from uuid import uuid4

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.ec2.models import ec2_backends
from moto.ec2.responses import EC2Response

from lab.aws.context import ACCOUNT
from lab.aws.errors import RefusedError
from lab.aws.patch import replace
from lab.aws.quotas import Quotas, vcpus_of


class Reservations:
    """Every reservation, by region and id."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas
        self._made: dict[str, dict[str, dict[str, Any]]] = {}
        quotas.idle = self.idle_vcpus

    def create(self, response: Any) -> ActionResult:
        """Reserve what the quota allows."""
        region, kind = response.region, response._get_param("InstanceType")
        count = response._get_int_param("InstanceCount") or 0
        if refusal := self._quotas.refusal(region, kind, count, reserving=True):
            raise RefusedError("VcpuLimitExceeded", refusal)
        name = f"cr-{uuid4().hex[:17]}"
        arn = f"arn:aws:ec2:{region}:{ACCOUNT}:capacity-reservation/{name}"
        made = {
            "CapacityReservationId": name,
            "CapacityReservationArn": arn,
            "OwnerId": ACCOUNT,
            "InstanceType": kind,
            "InstancePlatform": response._get_param("InstancePlatform"),
            "AvailabilityZone": response._get_param("AvailabilityZone"),
            "Tenancy": response._get_param("Tenancy") or "default",
            "TotalInstanceCount": count,
            "EbsOptimized": response._get_bool_param("EbsOptimized", False),
            "EphemeralStorage": False,
            "State": "active",
            "StartDate": utcnow(),
            "EndDateType": response._get_param("EndDateType") or "unlimited",
            "InstanceMatchCriteria": response._get_param("InstanceMatchCriteria") or "open",
            "CreateDate": utcnow(),
        }
        self._made.setdefault(region, {})[name] = made
        tags = response._parse_tag_specification().get("capacity-reservation", {})
        if tags:
            response.ec2_backend.create_tags([name], tags)
        return ActionResult({"CapacityReservation": self._described(region, made)})

    def describe(self, response: Any) -> ActionResult:
        """Return the reservations asked for, or all of the region."""
        made = self._made.get(response.region, {})
        names = response._get_param("CapacityReservationIds", []) or list(made)
        found = [self._described(response.region, self._find(response, name)) for name in names]
        return ActionResult({"CapacityReservations": found})

    def modify(self, response: Any) -> ActionResult:
        """Change how many instances a reservation holds."""
        made = self._find(response, response._get_param("CapacityReservationId"))
        count = response._get_int_param("InstanceCount")
        if count is not None:
            more = count - made["TotalInstanceCount"]
            refusal = self._quotas.refusal(
                response.region, made["InstanceType"], more, reserving=True
            )
            if more > 0 and refusal:
                raise RefusedError("VcpuLimitExceeded", refusal)
            made["TotalInstanceCount"] = count
        return ActionResult({"Return": True})

    def cancel(self, response: Any) -> ActionResult:
        """Let a reservation go."""
        made = self._find(response, response._get_param("CapacityReservationId"))
        made["State"] = "cancelled"
        return ActionResult({"Return": True})

    def _find(self, response: Any, name: str) -> dict[str, Any]:
        made = self._made.get(response.region, {}).get(name)
        if made is None:
            msg = f"The capacity reservation '{name}' does not exist."
            raise RefusedError("InvalidCapacityReservationId.NotFound", msg)
        return made

    def _described(self, region: str, made: dict[str, Any]) -> dict[str, Any]:
        tags = ec2_backends[ACCOUNT][region].describe_tags(
            {"resource-id": [made["CapacityReservationId"]]}
        )
        return {
            **made,
            "AvailableInstanceCount": self._free(region, made),
            "Tags": [{"Key": tag["key"], "Value": tag["value"]} for tag in tags],
        }

    def _free(self, region: str, made: dict[str, Any]) -> int:
        if made["State"] != "active":
            return 0
        filling = sum(
            instance.instance_type == made["InstanceType"]
            and instance.placement.zone == made["AvailabilityZone"]
            and instance.state in {"pending", "running"}
            for instance in ec2_backends[ACCOUNT][region].all_instances()
        )
        return max(0, made["TotalInstanceCount"] - filling)

    def idle_vcpus(self, region: str) -> int:
        """Return the vCPUs that are reserved in a region and not filled."""
        return sum(
            self._free(region, made) * vcpus_of(made["InstanceType"])
            for made in self._made.get(region, {}).values()
        )


def install(reservations: Reservations) -> None:
    """Add the operations, before the first request is dispatched."""
    replace(EC2Response, "create_capacity_reservation", reservations.create)
    replace(EC2Response, "describe_capacity_reservations", reservations.describe)
    replace(EC2Response, "modify_capacity_reservation", reservations.modify)
    replace(EC2Response, "cancel_capacity_reservation", reservations.cancel)
