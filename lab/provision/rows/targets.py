"""Target groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.provision.rows import tags
from lab.provision.rows.balancing import TAGS, attributes, named, suffix
from lab.provision.rows.row import Change, Naming, Row, props, update

if TYPE_CHECKING:
    from lab.provision.values import Properties


_GROUP_ATTRIBUTES = {
    "deregistrationDelay": "deregistration_delay.timeout_seconds",
    "loadBalancingAlgorithmType": "load_balancing.algorithm.type",
    "slowStart": "slow_start.duration_seconds",
}

_HEALTH = {
    "enabled": "HealthCheckEnabled",
    "healthyThreshold": "HealthyThresholdCount",
    "interval": "HealthCheckIntervalSeconds",
    "path": "HealthCheckPath",
    "port": "HealthCheckPort",
    "protocol": "HealthCheckProtocol",
    "timeout": "HealthCheckTimeoutSeconds",
    "unhealthyThreshold": "UnhealthyThresholdCount",
}


def _health(change: Change) -> Properties:
    check = change.new.get("healthCheck", {})
    made: Properties = {aws: check[name] for name, aws in _HEALTH.items() if name in check}
    if "HealthCheckPort" in made:
        made["HealthCheckPort"] = str(made["HealthCheckPort"])
    if "matcher" in check:
        made["Matcher"] = {"HttpCode": check["matcher"]}
    return made


def _targets(change: Change) -> Any:
    return change.aws.describe_target_groups(TargetGroupArns=[change.id])["TargetGroups"][0]


def _read_targets(change: Change) -> Properties | None:
    found = _targets(change)
    return {
        "arn": change.id,
        "arnSuffix": suffix(change.id),
        "ipAddressType": found.get("IpAddressType", "ipv4"),
        "protocolVersion": found.get("ProtocolVersion", "HTTP1"),
        "loadBalancerArns": found.get("LoadBalancerArns", []),
    }


TARGET_GROUP = Row(
    type="aws:lb/targetGroup:TargetGroup",
    service="elbv2",
    source="internal/service/elbv2/target_group.go",
    replace=props("ipAddressType name port protocol protocolVersion targetType vpcId"),
    updates=(
        update(
            "healthCheck",
            lambda c: c.aws.modify_target_group(TargetGroupArn=c.id, **_health(c)),
        ),
        update(
            " ".join(_GROUP_ATTRIBUTES),
            lambda c: c.aws.modify_target_group_attributes(
                TargetGroupArn=c.id, Attributes=attributes(_GROUP_ATTRIBUTES, c)
            ),
            at_creation=True,
        ),
        TAGS,
    ),
    create=lambda c: c.aws.create_target_group(
        **c.pick("name", "port", "protocol", "protocolVersion", "vpcId", "targetType"),
        **_health(c),
        **tags.given(c),
    )["TargetGroups"][0]["TargetGroupArn"],
    read=_read_targets,
    delete=lambda c: c.aws.delete_target_group(TargetGroupArn=c.id),
    find=lambda c: named(c, "target_groups", "TargetGroups", "TargetGroupArn"),
    naming=Naming(property="name", limit=32),
)

ROWS = (TARGET_GROUP,)
