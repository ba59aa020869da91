"""Entries of network ACLs that cut hosts off from a database.

An ACL is evaluated for each packet that enters or leaves a subnet, whatever let earlier ones
through: unlike a security group it is stateless (VPC User Guide, "Network ACL basics"). So an
entry that denies also cuts connections that are established. Rules are tried from the lowest
number on, and the first that matches decides (the same).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recovery.cloud.call import uses

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import CreateNetworkAclEntryRequestTypeDef

    from recovery.cloud.client import Region

_TCP = "6"
"""EC2 gives and takes IANA's number of a protocol."""
_EXISTS = "NetworkAclEntryAlreadyExists"
_NONE = "InvalidNetworkAclEntry.NotFound"


@uses("ec2:CreateNetworkAclEntry", "ec2:ReplaceNetworkAclEntry")
def deny(region: Region, acl: str, rule: int, *, address: str, port: int) -> None:
    """Let nothing leave the ACL's subnets for that TCP port of that address.

    An entry of that number is overwritten: it may name an address that the database had before.
    """
    entry: CreateNetworkAclEntryRequestTypeDef = {
        "NetworkAclId": acl,
        "RuleNumber": rule,
        "Egress": True,
        "Protocol": _TCP,
        "RuleAction": "deny",
        "CidrBlock": f"{address}/32",
        "PortRange": {"From": port, "To": port},
    }
    ec2 = region.client("ec2")
    try:
        ec2.create_network_acl_entry(**entry)
    except ec2.exceptions.ClientError as error:
        if error.response.get("Error", {}).get("Code") != _EXISTS:
            raise
        ec2.replace_network_acl_entry(**entry)


@uses("ec2:DescribeNetworkAcls")
def is_denied(region: Region, acl: str, rule: int) -> bool:
    """Say whether the ACL has an outbound entry of that number."""
    found = region.client("ec2").describe_network_acls(NetworkAclIds=[acl])["NetworkAcls"]
    return any(
        entry.get("Egress") and entry.get("RuleNumber") == rule
        for each in found
        for entry in each.get("Entries", ())
    )


@uses("ec2:DeleteNetworkAclEntry")
def allow(region: Region, acl: str, rule: int) -> None:
    """Take the outbound entry of that number away, if it is there."""
    ec2 = region.client("ec2")
    try:
        ec2.delete_network_acl_entry(NetworkAclId=acl, RuleNumber=rule, Egress=True)
    except ec2.exceptions.ClientError as error:
        if error.response.get("Error", {}).get("Code") != _NONE:
            raise
