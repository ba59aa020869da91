"""A single host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.provision.clients import until
from lab.provision.rows import tags
from lab.provision.rows.row import Change, Row, pascal_all, props, update, where

if TYPE_CHECKING:
    from lab.provision.values import Properties


# Single instance


def _instance(change: Change) -> Any:
    found = change.aws.describe_instances(InstanceIds=[change.id])["Reservations"]
    return found[0]["Instances"][0]


def _run_instance(change: Change) -> str:
    profile = change.new.get("iamInstanceProfile")
    root = change.new.get("rootBlockDevice")
    metadata = change.new.get("metadataOptions")
    made = change.aws.run_instances(
        MinCount=1,
        MaxCount=1,
        ImageId=change.new["ami"],
        ClientToken=change.token,
        **change.pick("instanceType", "subnetId", "userData", "ebsOptimized"),
        **change.pick(SecurityGroupIds="vpcSecurityGroupIds"),
        **({"IamInstanceProfile": {"Name": profile}} if profile else {}),
        **({"MetadataOptions": pascal_all(metadata)} if metadata else {}),
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


def _set_profile(change: Change) -> None:
    found = change.aws.describe_iam_instance_profile_associations(
        Filters=where(instance_id=change.id)
    )["IamInstanceProfileAssociations"]
    held = next((association["AssociationId"] for association in found), None)
    wanted = change.new.get("iamInstanceProfile")
    if wanted is None:
        change.aws.disassociate_iam_instance_profile(AssociationId=held)
    elif held:
        change.aws.replace_iam_instance_profile_association(
            AssociationId=held, IamInstanceProfile={"Name": wanted}
        )
    else:
        change.aws.associate_iam_instance_profile(
            InstanceId=change.id, IamInstanceProfile={"Name": wanted}
        )


def _replaced_by_user_data(change: Change) -> str | None:
    if "userData" in change.changed and change.new.get("userDataReplaceOnChange"):
        return "userData changes and user_data_replace_on_change is set: AWS would replace the host"
    return None


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
    replace=props("ami ebsOptimized rootBlockDevice subnetId"),
    local=props("userDataReplaceOnChange"),
    refuse=_replaced_by_user_data,
    updates=(
        update("instanceType userData", _retype),
        update("iamInstanceProfile", _set_profile),
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

ROWS = (INSTANCE,)
