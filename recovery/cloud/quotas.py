"""How many vCPUs an account may run in a region, and how many it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recovery.cloud.call import uses

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

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
    """Return the vCPUs of the standard on-demand instances that count against the quota now."""
    pages = (
        region.client("ec2")
        .get_paginator("describe_instances")
        .paginate(Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}])
    )
    return sum(
        _vcpus(instance)
        for page in pages
        for reservation in page["Reservations"]
        for instance in reservation.get("Instances", ())
        if _counts(instance)
    )


def _counts(instance: InstanceTypeDef) -> bool:
    on_demand = not instance.get("InstanceLifecycle")
    return on_demand and instance.get("InstanceType", "").startswith(_STANDARD_FAMILIES)


def _vcpus(instance: InstanceTypeDef) -> int:
    options = instance.get("CpuOptions", {})
    return options.get("CoreCount", 0) * options.get("ThreadsPerCore", 0)
