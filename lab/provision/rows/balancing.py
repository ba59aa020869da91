"""Application load balancers, their listeners, rules and target groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.provision.clients import existing, until
from lab.provision.rows import tags
from lab.provision.rows.row import Change, Naming, Row, pascal_all, props, update

if TYPE_CHECKING:
    from lab.provision.values import Properties

TAGS = tags.tagging(lambda c: {"ResourceArns": [c.id]}, tag="add_tags", untag="remove_tags")


def attributes(names: dict[str, str], change: Change) -> list[dict[str, str]]:
    """Return the declared attributes, or those that were and now return to AWS's default."""
    return [
        {"Key": key, "Value": _text(change.new[name])}
        for name, key in names.items()
        if name in change.new
    ]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def suffix(arn: str) -> str:
    """Return the part of an ARN by which CloudWatch's dimensions name a balancer or its group."""
    return arn.split(":", 5)[5].removeprefix("loadbalancer/")


# Load balancer

_BALANCER_ATTRIBUTES = {
    "clientKeepAlive": "client_keep_alive.seconds",
    "dropInvalidHeaderFields": "routing.http.drop_invalid_header_fields.enabled",
    "enableDeletionProtection": "deletion_protection.enabled",
    "enableHttp2": "routing.http2.enabled",
    "idleTimeout": "idle_timeout.timeout_seconds",
}


def _balancer(change: Change) -> Any:
    return change.aws.describe_load_balancers(LoadBalancerArns=[change.id])["LoadBalancers"][0]


def _create_balancer(change: Change) -> str:
    made = change.aws.create_load_balancer(
        Name=change.new["name"],
        Scheme="internal" if change.new.get("internal") else "internet-facing",
        **change.pick("subnets", "securityGroups", "ipAddressType", Type="loadBalancerType"),
        **tags.given(change),
    )
    arn = made["LoadBalancers"][0]["LoadBalancerArn"]
    until(lambda: _balancer(change.of(arn))["State"]["Code"] == "active", f"{arn} to be active")
    return arn


def _read_balancer(change: Change) -> Properties | None:
    found = _balancer(change)
    return {
        "arn": change.id,
        "arnSuffix": suffix(change.id),
        "dnsName": found["DNSName"],
        "zoneId": found["CanonicalHostedZoneId"],
        "vpcId": found["VpcId"],
        "internal": found["Scheme"] == "internal",
        "ipAddressType": found.get("IpAddressType", "ipv4"),
        "securityGroups": found.get("SecurityGroups", []),
        "subnets": [zone["SubnetId"] for zone in found["AvailabilityZones"]],
    }


def _find_balancer(change: Change) -> str | None:
    return named(change, "load_balancers", "LoadBalancers", "LoadBalancerArn")


def named(change: Change, kind: str, key: str, id_: str) -> str | None:
    """Return the ARN of the balancer or group of the declared name, if there is one."""
    describe = getattr(change.aws, f"describe_{kind}")
    found = existing(lambda: describe(Names=[change.new["name"]]))
    return change.one((item[id_], True) for item in found[key]) if found else None


LOAD_BALANCER = Row(
    type="aws:lb/loadBalancer:LoadBalancer",
    service="elbv2",
    source="internal/service/elbv2/load_balancer.go",
    replace=props("internal loadBalancerType name"),
    updates=(
        update(
            " ".join(_BALANCER_ATTRIBUTES),
            lambda c: c.aws.modify_load_balancer_attributes(
                LoadBalancerArn=c.id, Attributes=attributes(_BALANCER_ATTRIBUTES, c)
            ),
            at_creation=True,
        ),
        update(
            "subnets",
            lambda c: c.aws.set_subnets(LoadBalancerArn=c.id, Subnets=c.new["subnets"]),
        ),
        update(
            "securityGroups",
            lambda c: c.aws.set_security_groups(
                LoadBalancerArn=c.id, SecurityGroups=c.new["securityGroups"]
            ),
        ),
        update(
            "ipAddressType",
            lambda c: c.aws.set_ip_address_type(
                LoadBalancerArn=c.id, IpAddressType=c.new["ipAddressType"]
            ),
        ),
        TAGS,
    ),
    create=_create_balancer,
    read=_read_balancer,
    delete=lambda c: c.aws.delete_load_balancer(LoadBalancerArn=c.id),
    find=_find_balancer,
    naming=Naming(property="name", limit=32),
)


# Listener and its rules


def _actions(change: Change, name: str) -> list[Properties]:
    return [_action(action, at) for at, action in enumerate(change.new[name], start=1)]


def _action(action: Properties, order: int) -> Properties:
    made: Properties = {"Type": action["type"], "Order": action.get("order", order)}
    if "targetGroupArn" in action:
        made["TargetGroupArn"] = action["targetGroupArn"]
    if forward := action.get("forward"):
        groups = [
            {"TargetGroupArn": g["arn"], "Weight": g.get("weight", 1)}
            for g in forward["targetGroups"]
        ]
        made["ForwardConfig"] = {"TargetGroups": groups}
    if fixed := action.get("fixedResponse"):
        made["FixedResponseConfig"] = pascal_all(fixed)
        if "statusCode" in fixed:
            made["FixedResponseConfig"]["StatusCode"] = str(fixed["statusCode"])
    if redirect := action.get("redirect"):
        made["RedirectConfig"] = pascal_all(redirect)
    return made


def _listening(change: Change) -> Properties:
    certificate = change.new.get("certificateArn")
    return {
        **change.pick("port", "protocol", "sslPolicy"),
        **({"Certificates": [{"CertificateArn": certificate}]} if certificate else {}),
        "DefaultActions": _actions(change, "defaultActions"),
    }


def _read_listener(change: Change) -> Properties | None:
    found = change.aws.describe_listeners(ListenerArns=[change.id])["Listeners"][0]
    return {
        "arn": change.id,
        "protocol": found["Protocol"],
        "sslPolicy": found.get("SslPolicy", ""),
    }


def _find_listener(change: Change) -> str | None:
    found = change.aws.describe_listeners(LoadBalancerArn=change.new["loadBalancerArn"])
    return change.one(
        (i["ListenerArn"], i["Port"] == change.new["port"]) for i in found["Listeners"]
    )


LISTENER = Row(
    type="aws:lb/listener:Listener",
    service="elbv2",
    source="internal/service/elbv2/listener.go",
    replace=props("loadBalancerArn"),
    updates=(
        update(
            "certificateArn defaultActions port protocol sslPolicy",
            lambda c: c.aws.modify_listener(ListenerArn=c.id, **_listening(c)),
        ),
        TAGS,
    ),
    create=lambda c: c.aws.create_listener(
        LoadBalancerArn=c.new["loadBalancerArn"], **_listening(c), **tags.given(c)
    )["Listeners"][0]["ListenerArn"],
    read=_read_listener,
    delete=lambda c: c.aws.delete_listener(ListenerArn=c.id),
    find=_find_listener,
)

_CONDITIONS = {
    "pathPattern": ("path-pattern", "PathPatternConfig"),
    "hostHeader": ("host-header", "HostHeaderConfig"),
    "httpRequestMethod": ("http-request-method", "HttpRequestMethodConfig"),
    "sourceIp": ("source-ip", "SourceIpConfig"),
}


def _conditions(change: Change) -> list[Properties]:
    made: list[Properties] = []
    for condition in change.new["conditions"]:
        for name, value in condition.items():
            field, config = _CONDITIONS[name]
            made.append({"Field": field, config: {"Values": value["values"]}})
    return made


def _find_rule(change: Change) -> str | None:
    found = change.aws.describe_rules(ListenerArn=change.new["listenerArn"])["Rules"]
    wanted = str(change.new["priority"])
    return change.one((rule["RuleArn"], rule["Priority"] == wanted) for rule in found)


LISTENER_RULE = Row(
    type="aws:lb/listenerRule:ListenerRule",
    service="elbv2",
    source="internal/service/elbv2/listener_rule.go",
    replace=props("listenerArn"),
    updates=(
        update(
            "actions conditions",
            lambda c: c.aws.modify_rule(
                RuleArn=c.id, Actions=_actions(c, "actions"), Conditions=_conditions(c)
            ),
        ),
        update(
            "priority",
            lambda c: c.aws.set_rule_priorities(
                RulePriorities=[{"RuleArn": c.id, "Priority": c.new["priority"]}]
            ),
        ),
        TAGS,
    ),
    create=lambda c: c.aws.create_rule(
        **c.pick("listenerArn", "priority"),
        Actions=_actions(c, "actions"),
        Conditions=_conditions(c),
        **tags.given(c),
    )["Rules"][0]["RuleArn"],
    read=lambda c: {"arn": c.id},
    delete=lambda c: c.aws.delete_rule(RuleArn=c.id),
    find=_find_rule,
)


ROWS = (LOAD_BALANCER, LISTENER, LISTENER_RULE)
