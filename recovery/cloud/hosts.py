"""Auto Scaling groups, images and instance types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recovery.cloud.call import uses

if TYPE_CHECKING:
    from recovery.cloud.client import Region

IN_SERVICE = "InService"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """An Auto Scaling group as it is now."""

    name: str
    desired: int
    minimum: int
    maximum: int
    in_service: frozenset[str]
    """Ids of the instances that are in service."""


@uses("autoscaling:DescribeAutoScalingGroups")
def describe(region: Region, group: str) -> Group | None:
    """Return the group, or None when the region has none of that name."""
    answer = region.client("autoscaling").describe_auto_scaling_groups(
        AutoScalingGroupNames=[group]
    )
    if not answer["AutoScalingGroups"]:
        return None
    found = answer["AutoScalingGroups"][0]
    return Group(
        name=found["AutoScalingGroupName"],
        desired=found["DesiredCapacity"],
        minimum=found["MinSize"],
        maximum=found["MaxSize"],
        in_service=frozenset(
            instance["InstanceId"]
            for instance in found.get("Instances", ())
            if instance["LifecycleState"] == IN_SERVICE
        ),
    )


@uses("autoscaling:UpdateAutoScalingGroup")
def scale(region: Region, group: str, desired: int) -> None:
    """Ask for that many hosts and no fewer; more than the maximum is a RejectedError.

    Raising the minimum with it keeps scaling policies from taking the hosts away again.
    """
    region.client("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName=group, MinSize=desired, DesiredCapacity=desired
    )


@uses("ec2:DescribeImages")
def image_state(region: Region, image: str) -> str | None:
    """Return the image's state, such as `available`, or None when the region has none."""
    answer = region.client("ec2").describe_images(
        Filters=[{"Name": "image-id", "Values": [image]}], IncludeDeprecated=True
    )
    return next((found.get("State") for found in answer["Images"]), None)


@uses("ec2:DescribeInstanceTypes")
def vcpus(region: Region, instance_type: str) -> int:
    """Return how many vCPUs one host of that type counts for."""
    answer = region.client("ec2").describe_instance_types(
        Filters=[{"Name": "instance-type", "Values": [instance_type]}]
    )
    for found in answer["InstanceTypes"]:
        return found.get("VCpuInfo", {}).get("DefaultVCpus", 0)
    return 0
