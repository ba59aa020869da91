"""Network ACLs, their rules, and the subnets that are behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.provision.rows import tags
from lab.provision.rows.row import Change, Row, props, where

if TYPE_CHECKING:
    from lab.provision.values import Properties


def _acl(change: Change, id_: str) -> Any:
    return change.aws.describe_network_acls(NetworkAclIds=[id_])["NetworkAcls"][0]


def _read_acl(change: Change) -> Properties | None:
    owner = _acl(change, change.id)["OwnerId"]
    return {
        "arn": f"arn:aws:ec2:{change.region}:{owner}:network-acl/{change.id}",
        "ownerId": owner,
    }


def _find_acl(change: Change) -> str | None:
    filters = where(vpc_id=change.new["vpcId"])
    found = change.aws.describe_network_acls(Filters=filters)["NetworkAcls"]
    return change.one(
        (a["NetworkAclId"], tags.carries(a, change) and not a["IsDefault"]) for a in found
    )


NETWORK_ACL = Row(
    type="aws:ec2/networkAcl:NetworkAcl",
    service="ec2",
    source="internal/service/ec2/vpc_network_acl.go",
    replace=props("vpcId"),
    updates=(tags.EC2_TAGS,),
    create=lambda c: c.aws.create_network_acl(
        **c.pick("vpcId"), **tags.specified(c, "network-acl")
    )["NetworkAcl"]["NetworkAclId"],
    read=_read_acl,
    delete=lambda c: c.aws.delete_network_acl(NetworkAclId=c.id),
    find=_find_acl,
)


# Rules


def _create_rule(change: Change) -> str:
    new = change.new
    ports: Properties = {}
    if "fromPort" in new:
        ports["PortRange"] = {"From": new["fromPort"], "To": new["toPort"]}
    change.aws.create_network_acl_entry(
        **change.pick("networkAclId", "ruleNumber", "egress", "protocol", "ruleAction"),
        **change.pick("cidrBlock"),
        **ports,
    )
    return _rule_id(change)


def _rule_id(change: Change) -> str:
    new = change.new
    return f"nacl-{new['networkAclId']}-{new['ruleNumber']}-{'e' if new['egress'] else 'i'}"


def _find_rule(change: Change) -> str | None:
    new = change.new
    there = any(
        entry["Egress"] == new["egress"] and entry["RuleNumber"] == new["ruleNumber"]
        for entry in _acl(change, new["networkAclId"])["Entries"]
    )
    return _rule_id(change) if there else None


NETWORK_ACL_RULE = Row(
    type="aws:ec2/networkAclRule:NetworkAclRule",
    service="ec2",
    source="internal/service/ec2/vpc_network_acl_rule.go",
    replace=props("cidrBlock egress fromPort networkAclId protocol ruleAction ruleNumber toPort"),
    create=_create_rule,
    delete=lambda c: c.aws.delete_network_acl_entry(
        **c.pick("networkAclId", "ruleNumber", "egress")
    ),
    find=_find_rule,
)


# Associations


def _associations(change: Change) -> list[Any]:
    """Return the subnet's association: it always has one, at first with the VPC's default ACL."""
    filters = [{"Name": "association.subnet-id", "Values": [change.new["subnetId"]]}]
    found = change.aws.describe_network_acls(Filters=filters)["NetworkAcls"]
    return [
        each
        for acl in found
        for each in acl["Associations"]
        if each["SubnetId"] == change.new["subnetId"]
    ]


def _put_behind(change: Change, acl: str) -> str:
    (now,) = _associations(change)
    return change.aws.replace_network_acl_association(
        AssociationId=now["NetworkAclAssociationId"], NetworkAclId=acl
    )["NewAssociationId"]


def _put_behind_default(change: Change) -> None:
    vpc = _acl(change, change.new["networkAclId"])["VpcId"]
    filters = [*where(vpc_id=vpc), {"Name": "default", "Values": ["true"]}]
    (default,) = change.aws.describe_network_acls(Filters=filters)["NetworkAcls"]
    _put_behind(change, default["NetworkAclId"])


def _find_association(change: Change) -> str | None:
    return change.one(
        (each["NetworkAclAssociationId"], each["NetworkAclId"] == change.new["networkAclId"])
        for each in _associations(change)
    )


NETWORK_ACL_ASSOCIATION = Row(
    type="aws:ec2/networkAclAssociation:NetworkAclAssociation",
    service="ec2",
    source="internal/service/ec2/vpc_network_acl_association.go",
    replace=props("networkAclId subnetId"),
    create=lambda c: _put_behind(c, c.new["networkAclId"]),
    delete=_put_behind_default,
    find=_find_association,
)

ROWS = (NETWORK_ACL, NETWORK_ACL_RULE, NETWORK_ACL_ASSOCIATION)
