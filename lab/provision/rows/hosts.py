"""What a group of hosts is made of: launch template and Auto Scaling group."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lab.provision.rows import tags
from lab.provision.rows.row import Change, Naming, Row, pascal_all, props, update, where

if TYPE_CHECKING:
    from lab.provision.values import Properties


# Launch template

_DATA = (
    "imageId instanceType userData keyName ebsOptimized iamInstanceProfile monitoring "
    "metadataOptions networkInterfaces vpcSecurityGroupIds blockDeviceMappings tagSpecifications "
    "instanceInitiatedShutdownBehavior disableApiTermination capacityReservationSpecification"
)


def _template_data(change: Change) -> Properties:
    """Return `LaunchTemplateData`: most of it is the property with AWS's capitals."""
    data = {
        name[:1].upper() + name[1:]: pascal_all(change.new[name])
        for name in _DATA.split()
        if name in change.new
    }
    if "VpcSecurityGroupIds" in data:
        data["SecurityGroupIds"] = data.pop("VpcSecurityGroupIds")
    if "TagSpecifications" in data:
        data["TagSpecifications"] = [
            {"ResourceType": s["resourceType"], "Tags": tags.listed(s.get("tags", {}))}
            for s in change.new["tagSpecifications"]
        ]
    for interface in data.get("NetworkInterfaces", []):
        if "SecurityGroups" in interface:
            interface["Groups"] = interface.pop("SecurityGroups")
        _truths(interface, "AssociatePublicIpAddress", "DeleteOnTermination")
    for mapping in data.get("BlockDeviceMappings", []):
        _truths(mapping.get("Ebs", {}), "DeleteOnTermination", "Encrypted")
    _truths(data, "EbsOptimized")
    return data


def _truths(fields: Properties, *names: str) -> None:
    """Turn into booleans what the provider's schema types as strings."""
    for name in names:
        if name in fields:
            fields[name] = fields[name] in {True, "true"}


def _template(change: Change) -> Any:
    found = change.aws.describe_launch_templates(LaunchTemplateIds=[change.id])
    return found["LaunchTemplates"][0]


def _new_version(change: Change) -> None:
    change.aws.create_launch_template_version(
        LaunchTemplateId=change.id,
        LaunchTemplateData=_template_data(change),
        **change.pick(VersionDescription="description"),
    )


def _set_default(change: Change) -> None:
    found = _template(change)
    wanted = change.new.get("defaultVersion")
    if wanted is None and change.new.get("updateDefaultVersion"):
        wanted = found["LatestVersionNumber"]
    if wanted is not None and wanted != found["DefaultVersionNumber"]:
        change.aws.modify_launch_template(LaunchTemplateId=change.id, DefaultVersion=str(wanted))


def _read_template(change: Change) -> Properties | None:
    found = _template(change)
    account = change.client("sts").get_caller_identity()["Account"]
    return {
        "arn": f"arn:aws:ec2:{change.region}:{account}:launch-template/{change.id}",
        "latestVersion": found["LatestVersionNumber"],
        "defaultVersion": found["DefaultVersionNumber"],
    }


def _find_template(change: Change) -> str | None:
    filters = where(launch_template_name=change.new["name"])
    found = change.aws.describe_launch_templates(Filters=filters)["LaunchTemplates"]
    return change.one((t["LaunchTemplateId"], True) for t in found)


LAUNCH_TEMPLATE = Row(
    type="aws:ec2/launchTemplate:LaunchTemplate",
    service="ec2",
    source="internal/service/ec2/ec2_launch_template.go",
    replace=props("name"),
    updates=(
        update(f"{_DATA} description", _new_version),
        # Any new version may have to become the default one.
        update(f"{_DATA} description defaultVersion updateDefaultVersion", _set_default),
        tags.EC2_TAGS,
    ),
    create=lambda c: c.aws.create_launch_template(
        LaunchTemplateName=c.new["name"],
        LaunchTemplateData=_template_data(c),
        ClientToken=c.token,
        **c.pick(VersionDescription="description"),
        **tags.specified(c, "launch-template"),
    )["LaunchTemplate"]["LaunchTemplateId"],
    read=_read_template,
    delete=lambda c: c.aws.delete_launch_template(LaunchTemplateId=c.id),
    find=_find_template,
    moving=props("latestVersion defaultVersion"),
    naming=Naming(property="name", limit=125),
)


# Auto Scaling group

_SIZES = (
    "minSize maxSize desiredCapacity vpcZoneIdentifiers launchTemplate healthCheckType "
    "healthCheckGracePeriod defaultCooldown defaultInstanceWarmup terminationPolicies "
    "capacityRebalance maxInstanceLifetime protectFromScaleIn"
)


def _group(change: Change) -> Properties:
    group = {
        "AutoScalingGroupName": change.new["name"],
        **change.pick(
            *(n for n in _SIZES.split() if n not in {"vpcZoneIdentifiers", "launchTemplate"})
        ),
    }
    if "ProtectFromScaleIn" in group:
        group["NewInstancesProtectedFromScaleIn"] = group.pop("ProtectFromScaleIn")
    if "vpcZoneIdentifiers" in change.new:
        group["VPCZoneIdentifier"] = ",".join(change.new["vpcZoneIdentifiers"])
    if template := change.new.get("launchTemplate"):
        names = {"id": "LaunchTemplateId", "name": "LaunchTemplateName", "version": "Version"}
        group["LaunchTemplate"] = {names[key]: str(value) for key, value in template.items()}
    return group


def _group_tags(change: Change) -> list[dict[str, Any]]:
    return [
        {
            "Key": tag["key"],
            "Value": tag["value"],
            "PropagateAtLaunch": tag["propagateAtLaunch"],
            "ResourceId": change.new["name"],
            "ResourceType": "auto-scaling-group",
        }
        for tag in change.new.get("tags", [])
    ]


def _create_hosts(change: Change) -> str:
    change.aws.create_auto_scaling_group(
        **_group(change),
        **change.pick(TargetGroupARNs="targetGroupArns"),
        **({"Tags": _group_tags(change)} if change.new.get("tags") else {}),
    )
    return change.new["name"]


def _attach_targets(change: Change) -> None:
    before = set(change.old.get("targetGroupArns", []))
    now = set(change.new.get("targetGroupArns", []))
    if gone := sorted(before - now):
        change.aws.detach_load_balancer_target_groups(
            AutoScalingGroupName=change.id, TargetGroupARNs=gone
        )
    if added := sorted(now - before):
        change.aws.attach_load_balancer_target_groups(
            AutoScalingGroupName=change.id, TargetGroupARNs=added
        )


def _tag_hosts(change: Change) -> None:
    keep = {tag["key"] for tag in change.new.get("tags", [])}
    gone = [tag["key"] for tag in change.old.get("tags", []) if tag["key"] not in keep]
    if gone:
        kind = {"ResourceId": change.id, "ResourceType": "auto-scaling-group"}
        change.aws.delete_tags(Tags=[{"Key": key, **kind} for key in gone])
    if keep:
        change.aws.create_or_update_tags(Tags=_group_tags(change))


def _suspend(change: Change) -> None:
    before = set(change.old.get("suspendedProcesses", []))
    now = set(change.new.get("suspendedProcesses", []))
    name = {"AutoScalingGroupName": change.id}
    if resumed := sorted(before - now):
        change.aws.resume_processes(**name, ScalingProcesses=resumed)
    if suspended := sorted(now - before):
        change.aws.suspend_processes(**name, ScalingProcesses=suspended)


def _hosts(change: Change) -> Any:
    found = change.aws.describe_auto_scaling_groups(AutoScalingGroupNames=[change.new["name"]])
    return next(iter(found["AutoScalingGroups"]), None)


def _read_hosts(change: Change) -> Properties | None:
    found = _hosts(change)
    return found and {
        "arn": found["AutoScalingGroupARN"],
        "availabilityZones": found["AvailabilityZones"],
        "defaultCooldown": found["DefaultCooldown"],
        "desiredCapacity": found["DesiredCapacity"],
        "healthCheckType": found["HealthCheckType"],
        "serviceLinkedRoleArn": found.get("ServiceLinkedRoleARN"),
        "targetGroupArns": found.get("TargetGroupARNs", []),
        "loadBalancers": found.get("LoadBalancerNames", []),
        "predictedCapacity": 0,
        "warmPoolSize": 0,
    }


def _observe_hosts(change: Change) -> Properties | None:
    found = _hosts(replace(change, new={"name": change.id}))
    return found and {
        "name": found["AutoScalingGroupName"],
        "minSize": found["MinSize"],
        "maxSize": found["MaxSize"],
        "desiredCapacity": found["DesiredCapacity"],
    }


AUTOSCALING_GROUP = Row(
    type="aws:autoscaling/group:Group",
    service="autoscaling",
    source="internal/service/autoscaling/group.go",
    replace=props("name"),
    local=props(
        "forceDelete waitForCapacityTimeout waitForElbCapacity minElbCapacity metricsGranularity "
        "ignoreFailedScalingActivities"
    ),
    updates=(
        update(_SIZES, lambda c: c.aws.update_auto_scaling_group(**_group(c))),
        update("targetGroupArns", _attach_targets),
        update("tags", _tag_hosts),
        update("suspendedProcesses", _suspend, at_creation=True),
    ),
    create=_create_hosts,
    read=_read_hosts,
    observe=_observe_hosts,
    delete=lambda c: c.aws.delete_auto_scaling_group(AutoScalingGroupName=c.id, ForceDelete=True),
    find=lambda c: c.new["name"] if _hosts(c) else None,
    naming=Naming(property="name"),
)


ROWS = (LAUNCH_TEMPLATE, AUTOSCALING_GROUP)
