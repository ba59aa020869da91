"""Load balancers: the health of their targets, and refusing traffic at the listener."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recovery.cloud.call import uses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_elbv2.type_defs import ActionTypeDef

    from recovery.cloud.client import Region

HEALTHY = "healthy"


@uses("elasticloadbalancing:DescribeTargetHealth")
def targets(region: Region, target_group: str) -> dict[str, str]:
    """Return target id → state, such as `healthy`, of a target group given by its ARN."""
    answer = region.client("elbv2").describe_target_health(TargetGroupArn=target_group)
    return {
        found.get("Target", {}).get("Id", ""): found.get("TargetHealth", {}).get("State", "")
        for found in answer["TargetHealthDescriptions"]
    }


@uses(
    "elasticloadbalancing:DescribeRules",
    "elasticloadbalancing:ModifyListener",
    "elasticloadbalancing:ModifyRule",
)
def refuse(region: Region, listener: str) -> None:
    """Make the listener answer 503 to everything: its default action and each of its rules."""
    balancing = region.client("elbv2")
    refusal: ActionTypeDef = {
        "Type": "fixed-response",
        "FixedResponseConfig": {
            "StatusCode": _REFUSAL,
            "ContentType": "application/json",
            "MessageBody": '{"error": "this site no longer serves"}',
        },
    }
    balancing.modify_listener(ListenerArn=listener, DefaultActions=[refusal])
    pages = balancing.get_paginator("describe_rules").paginate(ListenerArn=listener)
    for rule in (rule for page in pages for rule in page["Rules"]):
        if not rule.get("IsDefault"):
            balancing.modify_rule(RuleArn=rule.get("RuleArn", ""), Actions=[refusal])


@uses("elasticloadbalancing:DescribeRules")
def is_refusing(region: Region, listener: str) -> bool:
    """Say whether any rule of the listener answers as `refuse` made it."""
    pages = region.client("elbv2").get_paginator("describe_rules").paginate(ListenerArn=listener)
    return any(
        action.get("FixedResponseConfig", {}).get("StatusCode") == _REFUSAL
        for page in pages
        for rule in page["Rules"]
        for action in rule.get("Actions", ())
    )


@uses(
    "elasticloadbalancing:DescribeRules",
    "elasticloadbalancing:ModifyListener",
    "elasticloadbalancing:ModifyRule",
)
def forward(region: Region, listener: str, groups: Mapping[str, str]) -> None:
    """Let the listener forward again, after `refuse`: path pattern → target group ARN.

    The pattern `/*` is the default action; without it the default is 404. A rule whose patterns
    are none of these is left as it is.
    """
    balancing = region.client("elbv2")
    pages = balancing.get_paginator("describe_rules").paginate(ListenerArn=listener)
    for rule in [rule for page in pages for rule in page["Rules"] if not rule.get("IsDefault")]:
        patterns = {
            pattern
            for condition in rule.get("Conditions", ())
            for pattern in (
                *condition.get("PathPatternConfig", {}).get("Values", ()),
                *condition.get("Values", ()),
            )
        }
        if group := next((groups[each] for each in sorted(patterns) if each in groups), None):
            balancing.modify_rule(RuleArn=rule.get("RuleArn", ""), Actions=[_to(group)])
    whole = groups.get(_EVERYTHING)
    balancing.modify_listener(
        ListenerArn=listener, DefaultActions=[_to(whole) if whole else _NOTHING]
    )


_REFUSAL = "503"
_EVERYTHING = "/*"
_NOTHING: ActionTypeDef = {
    "Type": "fixed-response",
    "FixedResponseConfig": {"StatusCode": "404", "ContentType": "text/plain"},
}


def _to(group: str) -> ActionTypeDef:
    return {"Type": "forward", "TargetGroupArn": group}
