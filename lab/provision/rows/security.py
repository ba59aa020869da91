"""Security groups and their rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.provision.clients import existing
from lab.provision.rows import tags
from lab.provision.rows.row import Change, Naming, Row, props, update, where

if TYPE_CHECKING:
    from lab.provision.values import Properties


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
    default = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    revoke = change.aws.revoke_security_group_egress
    existing(lambda: revoke(GroupId=change.id, IpPermissions=default))


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
    filters = where(group_name=change.new["name"], vpc_id=change.new["vpcId"])
    found = change.aws.describe_security_groups(Filters=filters)["SecurityGroups"]
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
    filters = where(group_id=change.new["securityGroupId"])
    found = change.aws.describe_security_group_rules(Filters=filters)["SecurityGroupRules"]
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

ROWS = (SECURITY_GROUP, INGRESS_RULE, EGRESS_RULE)
