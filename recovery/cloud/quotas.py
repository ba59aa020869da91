"""How many vCPUs an account may run in a region, and how many it does."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from recovery.cloud import hosts
from recovery.cloud.call import uses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recovery.cloud.client import Region

STANDARD_ON_DEMAND = "L-1216C47A"
"""Quota code of "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", in vCPUs
(Service Quotas console, EC2)."""

_STANDARD_FAMILIES = tuple("acdhimrtz")


@uses("servicequotas:GetServiceQuota")
def vcpus(region: Region) -> float:
    """Return the quota for standard on-demand instances in vCPUs."""
    answer = region.client("service-quotas").get_service_quota(
        ServiceCode="ec2", QuotaCode=STANDARD_ON_DEMAND
    )
    return answer["Quota"].get("Value", 0.0)


@uses("ec2:DescribeInstances", "ec2:DescribeInstanceTypes")
def vcpus_in_use(region: Region) -> int:
    """Return the vCPUs of the standard on-demand instances that run now, by their types."""
    running = Counter(_running(region))
    return sum(number * hosts.vcpus(region, kind) for kind, number in running.items())


def _running(region: Region) -> Iterator[str]:
    """Yield the type of each instance that counts."""
    pages = (
        region.client("ec2")
        .get_paginator("describe_instances")
        .paginate(Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}])
    )
    for page in pages:
        for reservation in page["Reservations"]:
            for instance in reservation.get("Instances", ()):
                kind = instance.get("InstanceType", "")
                if kind.startswith(_STANDARD_FAMILIES) and not instance.get("InstanceLifecycle"):
                    yield kind
