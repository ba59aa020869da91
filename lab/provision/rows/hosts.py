"""Security groups and what runs in them: launch templates, groups of hosts, single instances."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from lab.provision.clients import until
from lab.provision.rows import tags
from lab.provision.rows.row import Change, Naming, Row, pascal_all, props, update

if TYPE_CHECKING:
    from lab.provision.values import Properties


def _where(name: str, value: str) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": [value]}]


# Security groups and their rules


def _create_group(change: Change) -> str:
    made = change.aws.create_security_group(
        GroupName=change.new["name"],
        Description=change.new.get("description", "Managed by Pulumi"),
        **change.pick("vpcId"),
        **tags.specified(change, "security-group"),
    )
    _without_default_egress(change.of(made["GroupId"]))
    return made["GroupId"]


def _without_default_egress(change: Change) -> None:
    """Revoke AWS's allow-all egress rule, as the provider does for every new group."""
    group = change.aws.describe_security_groups(GroupIds=[change.id])["SecurityGroups"][0]
    if group["IpPermissionsEgress"]:
        change.aws.revoke_security_group_egress(
            GroupId=change.id, IpPermissions=group["IpPermissionsEgress"]
        )


def _read_group(change: Change) -> Properties | None:
    found = change.aws.describe_security_groups(GroupIds=[change.id])["SecurityGroups"][0]
    owner = found["OwnerId"]
    return {
        "arn": f"arn:aws:ec2:{change.region}:{owner}:security-group/{change.id}",
        "ownerId": owner,
        "vpcId": found.get("VpcId"),
        "description": found["Description"],
    }


def _find_group(change: Change) -> str | None:
    where = _where("group-name", change.new["name"]) + _where("vpc-id", change.new["vpcId"])
    found = change.aws.describe_security_groups(Filters=where)["SecurityGroups"]
    id_ = change.one((g["GroupId"], True) for g in found)
    if id_:
        _without_default_egress(change.of(id_))
    return id_


SECURITY_GROUP = Row(
    type="aws:ec2/securityGroup:SecurityGroup",
    service="ec2",
    source="internal/service/ec2/vpc_security_group.go",
    replace=props("description name vpcId"),
    local=props("revokeRulesOnDelete"),
    updates=(tags.EC2_TAGS,),
    create=_create_group,
    read=_read_group,
    delete=lambda c: c.aws.delete_security_group(GroupId=c.id),
    find=_find_group,
    naming=Naming(property="name"),
)


def _permission(change: Change) -> list[dict[str, Any]]:
    new = change.new
    about = change.pick("description")
    sources: Properties = {}
    if "cidrIpv4" in new:
        sources["IpRanges"] = [{"CidrIp": new["cidrIpv4"], **about}]
    if "referencedSecurityGroupId" in new:
        sources["UserIdGroupPairs"] = [{"GroupId": new["referencedSecurityGroupId"], **about}]
    if "prefixListId" in new:
        sources["PrefixListIds"] = [{"PrefixListId": new["prefixListId"], **about}]
    return [{**change.pick("ipProtocol", "fromPort", "toPort"), **sources}]


def _find_rule(change: Change, *, egress: bool) -> str | None:
    where = _where("group-id", change.new["securityGroupId"])
    found = change.aws.describe_security_group_rules(Filters=where)["SecurityGroupRules"]
    wanted = _rule(change.pick("ipProtocol", "fromPort", "toPort", "cidrIpv4", "prefixListId"))
    source = change.new.get("referencedSecurityGroupId")
    return change.one(
        (
            r["SecurityGroupRuleId"],
            r["IsEgress"] == egress
            and _rule(r) == wanted
            and r.get("ReferencedGroupInfo", {}).get("GroupId") == source,
        )
        for r in found
    )


def _rule(fields: Any) -> tuple[Any, ...]:
    ports = [fields.get("FromPort"), fields.get("ToPort")]
    if fields.get("IpProtocol") == "-1":
        ports = []  # AWS answers -1 where none were given
    return (fields.get("IpProtocol"), *ports, fields.get("CidrIpv4"), fields.get("PrefixListId"))


def _create_rule(change: Change, *, egress: bool) -> str:
    authorise = (
        change.aws.authorize_security_group_egress
        if egress
        else change.aws.authorize_security_group_ingress
    )
    made = authorise(
        GroupId=change.new["securityGroupId"],
        IpPermissions=_permission(change),
        **tags.specified(change, "security-group-rule"),
    )
    return made["SecurityGroupRules"][0]["SecurityGroupRuleId"]


def _delete_rule(change: Change, *, egress: bool) -> None:
    revoke = (
        change.aws.revoke_security_group_egress
        if egress
        else change.aws.revoke_security_group_ingress
    )
    revoke(GroupId=change.new["securityGroupId"], SecurityGroupRuleIds=[change.id])


def _modify_rule(change: Change) -> None:
    rule = change.pick(
        "ipProtocol",
        "fromPort",
        "toPort",
        "cidrIpv4",
        "prefixListId",
        "description",
        ReferencedGroupId="referencedSecurityGroupId",
    )
    change.aws.modify_security_group_rules(
        GroupId=change.new["securityGroupId"],
        SecurityGroupRules=[{"SecurityGroupRuleId": change.id, "SecurityGroupRule": rule}],
    )


def _rule_row(kind: str, *, egress: bool) -> Row:
    lower = kind[:1].lower() + kind[1:]
    return Row(
        type=f"aws:vpc/{lower}:{kind}",
        service="ec2",
        source=f"internal/service/ec2/vpc_security_group_{'e' if egress else 'in'}gress_rule.go",
        replace=props("securityGroupId"),
        updates=(
            update(
                "cidrIpv4 description fromPort ipProtocol prefixListId referencedSecurityGroupId "
                "toPort",
                _modify_rule,
            ),
            tags.EC2_TAGS,
        ),
        create=lambda c: _create_rule(c, egress=egress),
        read=lambda c: {"securityGroupRuleId": c.id},
        delete=lambda c: _delete_rule(c, egress=egress),
        find=lambda c: _find_rule(c, egress=egress),
    )


INGRESS_RULE = _rule_row("SecurityGroupIngressRule", egress=False)
EGRESS_RULE = _rule_row("SecurityGroupEgressRule", egress=True)


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
    where = _where("launch-template-name", change.new["name"])
    found = change.aws.describe_launch_templates(Filters=where)["LaunchTemplates"]
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


AUTOSCALING_GROUP = Row(
    type="aws:autoscaling/group:Group",
    service="autoscaling",
    source="internal/service/autoscaling/group.go",
    replace=props("name placementGroup"),
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
    delete=lambda c: c.aws.delete_auto_scaling_group(AutoScalingGroupName=c.id, ForceDelete=True),
    find=lambda c: c.new["name"] if _hosts(c) else None,
    naming=Naming(property="name"),
)


# Capacity reservation


def _reservation(change: Change) -> Any:
    found = change.aws.describe_capacity_reservations(CapacityReservationIds=[change.id])
    return found["CapacityReservations"][0]


def _read_reservation(change: Change) -> Properties | None:
    found = _reservation(change)
    return {"arn": found["CapacityReservationArn"], "ownerId": found["OwnerId"]}


def _find_reservation(change: Change) -> str | None:
    found = change.aws.describe_capacity_reservations()["CapacityReservations"]
    wanted = change.pick("availabilityZone", "instanceType")
    return change.one(
        (
            r["CapacityReservationId"],
            wanted.items() <= r.items() and r["State"] == "active" and tags.carries(r, change),
        )
        for r in found
    )


CAPACITY_RESERVATION = Row(
    type="aws:ec2/capacityReservation:CapacityReservation",
    service="ec2",
    source="internal/service/ec2/ec2_capacity_reservation.go",
    replace=props(
        "availabilityZone ebsOptimized ephemeralStorage instanceMatchCriteria instancePlatform "
        "instanceType tenancy"
    ),
    updates=(
        update(
            "instanceCount endDate endDateType",
            lambda c: c.aws.modify_capacity_reservation(
                CapacityReservationId=c.id, **c.pick("instanceCount", "endDate", "endDateType")
            ),
        ),
        tags.EC2_TAGS,
    ),
    create=lambda c: c.aws.create_capacity_reservation(
        **c.pick(
            "availabilityZone",
            "ebsOptimized",
            "endDate",
            "endDateType",
            "instanceCount",
            "instanceMatchCriteria",
            "instancePlatform",
            "instanceType",
            "tenancy",
        ),
        **tags.specified(c, "capacity-reservation"),
        ClientToken=c.token,
    )["CapacityReservation"]["CapacityReservationId"],
    read=_read_reservation,
    delete=lambda c: c.aws.cancel_capacity_reservation(CapacityReservationId=c.id),
    find=_find_reservation,
)


# Single instance


def _instance(change: Change) -> Any:
    found = change.aws.describe_instances(InstanceIds=[change.id])["Reservations"]
    return found[0]["Instances"][0]


def _run_instance(change: Change) -> str:
    profile = change.new.get("iamInstanceProfile")
    root = change.new.get("rootBlockDevice")
    made = change.aws.run_instances(
        MinCount=1,
        MaxCount=1,
        ImageId=change.new["ami"],
        ClientToken=change.token,
        **change.pick("instanceType", "subnetId", "userData", "ebsOptimized", "privateIpAddress"),
        **change.pick(SecurityGroupIds="vpcSecurityGroupIds"),
        **({"IamInstanceProfile": {"Name": profile}} if profile else {}),
        **(
            {"MetadataOptions": pascal_all(change.new["metadataOptions"])}
            if "metadataOptions" in change.new
            else {}
        ),
        **({"BlockDeviceMappings": [_root(root)]} if root else {}),
        **tags.specified(change, "instance"),
    )
    id_ = made["Instances"][0]["InstanceId"]
    until(lambda: _state(change.of(id_)) == "running", f"{id_} to run")
    return id_


def _root(device: Properties) -> Properties:
    # The root device of Amazon Linux 2023's images.
    return {"DeviceName": "/dev/xvda", "Ebs": pascal_all(device)}


def _state(change: Change) -> str:
    return _instance(change)["State"]["Name"]


def _read_instance(change: Change) -> Properties | None:
    found = _instance(change)
    owner = change.client("sts").get_caller_identity()["Account"]
    return {
        "arn": f"arn:aws:ec2:{change.region}:{owner}:instance/{change.id}",
        "instanceState": found["State"]["Name"],
        "privateIp": found.get("PrivateIpAddress"),
        "privateDns": found.get("PrivateDnsName"),
        "publicIp": found.get("PublicIpAddress", ""),
        "publicDns": found.get("PublicDnsName", ""),
        "availabilityZone": found["Placement"]["AvailabilityZone"],
        "primaryNetworkInterfaceId": next(
            (i["NetworkInterfaceId"] for i in found.get("NetworkInterfaces", [])), None
        ),
    }


def _find_instance(change: Change) -> str | None:
    reservations = change.aws.describe_instances()["Reservations"]
    found = [i for r in reservations for i in r["Instances"]]
    return change.one(
        (
            i["InstanceId"],
            i["State"]["Name"] in {"pending", "running"}
            and i.get("SubnetId") == change.new.get("subnetId")
            and tags.carries(i, change),
        )
        for i in found
    )


def _terminate(change: Change) -> None:
    change.aws.terminate_instances(InstanceIds=[change.id])
    until(lambda: _state(change) == "terminated", f"{change.id} to be terminated")


def _retype(change: Change) -> None:
    """Stop, change and start again, as the provider does for what a running host cannot change."""
    change.aws.stop_instances(InstanceIds=[change.id])
    until(lambda: _state(change) == "stopped", f"{change.id} to stop")
    if "instanceType" in change.changed:
        kind = {"Value": change.new["instanceType"]}
        change.aws.modify_instance_attribute(InstanceId=change.id, InstanceType=kind)
    if "userData" in change.changed:
        data = {"Value": change.new.get("userData", "").encode()}
        change.aws.modify_instance_attribute(InstanceId=change.id, UserData=data)
    change.aws.start_instances(InstanceIds=[change.id])
    until(lambda: _state(change) == "running", f"{change.id} to run")


INSTANCE = Row(
    type="aws:ec2/instance:Instance",
    service="ec2",
    source="internal/service/ec2/ec2_instance.go",
    replace=props("ami ebsOptimized iamInstanceProfile rootBlockDevice subnetId"),
    local=props("userDataReplaceOnChange"),
    updates=(
        update("instanceType userData", _retype),
        update(
            "vpcSecurityGroupIds",
            lambda c: c.aws.modify_instance_attribute(
                InstanceId=c.id, Groups=c.new["vpcSecurityGroupIds"]
            ),
        ),
        update(
            "metadataOptions",
            lambda c: c.aws.modify_instance_metadata_options(
                InstanceId=c.id, **pascal_all(c.new["metadataOptions"])
            ),
        ),
        tags.EC2_TAGS,
    ),
    create=_run_instance,
    read=_read_instance,
    delete=_terminate,
    find=_find_instance,
)


def user_data_digest(text: str) -> str:
    """Return user data as the provider keeps it: its SHA-1."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


ROWS = (
    SECURITY_GROUP,
    INGRESS_RULE,
    EGRESS_RULE,
    LAUNCH_TEMPLATE,
    AUTOSCALING_GROUP,
    CAPACITY_RESERVATION,
    INSTANCE,
)
