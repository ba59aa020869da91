"""Network ACLs: what EC2 refuses of them, and whom they keep from an address."""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.responses.network_acls import NetworkACLs

from lab.aws.context import ACCOUNT
from lab.aws.errors import RefusedError
from lab.aws.patch import wrap

if TYPE_CHECKING:
    from moto.ec2.models.network_acls import NetworkAcl

_MOST_RULES = 20
"""Rules in one direction of an ACL by default (VPC User Guide, "Amazon VPC quotas")."""
_LAST_RULE = 32766
_FINAL_RULE = 32767
"""The rule that denies whatever no other matches; nobody makes or deletes it."""
_ALL, _TCP = {"-1", "all"}, {"6", "tcp"}
_WITH_PORTS = {*_TCP, "17", "udp"}


def install() -> None:
    """Put the lab's rules in place of moto's."""
    wrap(EC2Backend, "create_network_acl", _create_acl)
    wrap(EC2Backend, "describe_network_acls", _describe)
    wrap(NetworkACLs, "create_network_acl_entry", _create_entry)
    wrap(NetworkACLs, "replace_network_acl_entry", _replace_entry)
    wrap(NetworkACLs, "delete_network_acl_entry", _delete_entry)


def kept_from(region: str, address: str, port: int) -> list[str]:
    """Return the running instances whose subnet's ACL lets no TCP out to that port of an address.

    Only the ACL that they leave through is looked at: neither the way back, nor the other end's.
    """
    backend = ec2_backends[ACCOUNT][region]
    acls = {
        association.subnet_id: acl
        for acl in backend.network_acls.values()
        for association in acl.associations
    }
    closed = {
        subnet for subnet, acl in acls.items() if not _lets_out(acl, address=address, port=port)
    }
    if not closed:
        return []
    return sorted(
        instance.id
        for instance in backend.all_instances()
        if instance.state == "running" and instance.subnet_id in closed
    )


def _lets_out(acl: NetworkAcl, *, address: str, port: int) -> bool:
    """Say what the first rule that matches decides; without one nothing passes."""
    rules = sorted(
        (one for one in acl.network_acl_entries if _is_egress(one) and one.cidr_block),
        key=lambda one: int(one.rule_number),
    )
    for rule in rules:
        first, last = int(rule.port_range_from or 0), int(rule.port_range_to or 65535)
        protocol = str(rule.protocol)
        matches = protocol in _ALL or (protocol in _TCP and first <= port <= last)
        if matches and ipaddress.ip_address(address) in ipaddress.ip_network(rule.cidr_block):
            return rule.rule_action == "allow"
    return False


def _is_egress(entry: Any) -> bool:
    return str(entry.egress).lower() == "true"


def _create_acl(original: Any, backend: EC2Backend, *arguments: Any, **named: Any) -> Any:
    """Give a new ACL the rules that deny everything, as AWS shows them; moto's has none."""
    acl = original(backend, *arguments, **named)
    if not acl.default:
        for egress in (True, False):
            backend.create_network_acl_entry(
                network_acl_id=acl.id,
                rule_number=_FINAL_RULE,
                protocol="-1",
                rule_action="deny",
                egress=egress,
                cidr_block="0.0.0.0/0",
                icmp_code=None,
                icmp_type=None,
                port_range_from=None,
                port_range_to=None,
                ipv6_cidr_block=None,
            )
    return acl


def _describe(original: Any, backend: EC2Backend, *arguments: Any, **named: Any) -> Any:
    for each in (arguments[0] if arguments else named.get("network_acl_ids")) or ():
        backend.get_network_acl(each)  # whose error is EC2's; moto speaks of a route table
    return original(backend, *arguments, **named)


def _create_entry(original: Any, response: NetworkACLs) -> Any:
    _require_valid(response)
    acl, egress, _ = _named(response)
    present = [
        one
        for one in acl.network_acl_entries
        if _is_egress(one) == egress and int(one.rule_number) != _FINAL_RULE
    ]
    number = int(response._get_param("RuleNumber"))
    if len(present) >= _MOST_RULES and all(int(one.rule_number) != number for one in present):
        msg = f"The maximum number of entries has been reached for network ACL '{acl.id}'."
        raise RefusedError("NetworkAclEntryLimitExceeded", msg)
    return original(response)


def _replace_entry(original: Any, response: NetworkACLs) -> Any:
    _require_valid(response)
    _require_present(response)
    return original(response)


def _delete_entry(original: Any, response: NetworkACLs) -> Any:
    _require_present(response)
    return original(response)


def _named(response: NetworkACLs) -> tuple[NetworkAcl, bool, int]:
    acl = response.ec2_backend.get_network_acl(response._get_param("NetworkAclId"))
    egress = str(response._get_param("Egress")).lower() == "true"
    return acl, egress, int(response._get_param("RuleNumber"))


def _require_present(response: NetworkACLs) -> None:
    acl, egress, number = _named(response)
    for one in acl.network_acl_entries:
        if _is_egress(one) == egress and int(one.rule_number) == number:
            return
    msg = f"The network acl entry identified by {number} does not exist in '{acl.id}'."
    raise RefusedError("InvalidNetworkAclEntry.NotFound", msg)


def _require_valid(response: NetworkACLs) -> None:
    """Refuse numbers, blocks and ports that EC2 does not take (its API reference)."""
    number = int(response._get_param("RuleNumber"))
    if not 1 <= number <= _LAST_RULE:
        msg = f"Value ({number}) for parameter ruleNumber is invalid. It must be 1 to {_LAST_RULE}."
        raise RefusedError("InvalidParameterValue", msg)
    block = response._get_param("CidrBlock")
    try:
        ipaddress.IPv4Network(block or "", strict=False)
    except ValueError as error:
        msg = f"Value ({block}) for parameter cidrBlock is invalid."
        raise RefusedError("InvalidParameterValue", msg) from error
    ports = response._get_param("PortRange.From"), response._get_param("PortRange.To")
    if str(response._get_param("Protocol")) in _WITH_PORTS and None in ports:
        msg = "The request must contain the parameter PortRange"
        raise RefusedError("MissingParameter", msg)
