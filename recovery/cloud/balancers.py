"""Load balancers: the health of their targets, and refusing traffic at the listener."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recovery.cloud.call import uses

if TYPE_CHECKING:
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
            "StatusCode": "503",
            "ContentType": "application/json",
            "MessageBody": '{"error": "this site no longer serves"}',
        },
    }
    balancing.modify_listener(ListenerArn=listener, DefaultActions=[refusal])
    pages = balancing.get_paginator("describe_rules").paginate(ListenerArn=listener)
    for rule in (rule for page in pages for rule in page["Rules"]):
        if not rule.get("IsDefault"):
            balancing.modify_rule(RuleArn=rule.get("RuleArn", ""), Actions=[refusal])
