"""The world as the net and DNS processes need it, by versions that they wait for."""

# moto and the documents of AWS are untyped.
# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends
from moto.route53.models import route53_backends

from lab.aws.acls import kept_from
from lab.aws.addresses import Balancers, loopback
from lab.aws.context import ACCOUNT
from lab.aws.rds_servers import LINK_PORT

if TYPE_CHECKING:
    from collections.abc import Callable

    from moto.elbv2.models import FakeListener, FakeLoadBalancer, FakeTargetGroup

    from lab.aws.context import Context
    from lab.aws.rds_servers import Servers

_SETTLE_SECONDS = 0.01
_POSTGRES_PORT = 5432
_KEEP_ALIVE_SECONDS = 3600
"""Elastic Load Balancing's default of `client_keep_alive.seconds` (its API reference)."""


class World:
    """Rebuilds the world when something changed and counts a version when it then differs."""

    def __init__(
        self,
        context: Context,
        servers: Servers,
        health_checks: Callable[[], dict[str, dict[str, Any]]],
    ) -> None:
        self._context = context
        self._servers = servers
        self._health_checks = health_checks
        self._addresses = Balancers(tuple(context.regions))
        self._turn = threading.Condition()
        self._version = 0
        self._body = b"{}"
        self._last: dict[str, Any] = {}

    def keep(self) -> None:
        """Wait for a change, then publish the world as it is."""
        self._context.changed.wait()
        time.sleep(_SETTLE_SECONDS)
        self._context.changed.clear()
        self.refresh()

    def refresh(self) -> None:
        """Publish the world as it is, as a new version if it differs."""
        with self._context.lock:
            current = self._build()
        if current == self._last:
            return
        with self._turn:
            self._last = current
            self._version += 1
            self._body = json.dumps({"version": self._version, **current}).encode()
            self._turn.notify_all()

    def after(self, version: int, seconds: float) -> bytes:
        """Return the world once its version is greater, or as it is after `seconds`."""
        with self._turn:
            self._turn.wait_for(lambda: self._version > version, seconds)
            return self._body

    def _build(self) -> dict[str, Any]:
        regions = self._context.regions
        return {
            "speed": self._context.pace.speed,
            "regions": {name: "up" if state.alive else "dead" for name, state in regions.items()},
            "links": {
                f"{source}>{target}": {"state": link.state, "delay_ms": link.delay_ms}
                for (source, target), link in self._context.links.items()
            },
            "balancers": [
                self._balancer(region, balancer)
                for region in regions
                for balancer in elbv2_backends[ACCOUNT][region].load_balancers.values()
            ],
            "target_groups": {
                group.arn: _target_group(region, group)
                for region in regions
                for group in elbv2_backends[ACCOUNT][region].target_groups.values()
            },
            "databases": self._databases(),
            "replicas": self._replicas(),
            "zones": [_zone(zone) for zone in route53_backends[ACCOUNT]["aws"].zones.values()],
            "health_checks": self._health_checks(),
        }

    def _balancer(self, region: str, balancer: FakeLoadBalancer) -> dict[str, Any]:
        return {
            "arn": balancer.arn,
            "name": balancer.name,
            "dns": balancer.dns_name,
            "region": region,
            "address": self._addresses.address(balancer.arn, region),
            "keep_alive": float(
                balancer.attrs.get("client_keep_alive.seconds", _KEEP_ALIVE_SECONDS)
            ),
            "listeners": [_listener(listener) for listener in balancer.listeners.values()],
        }

    def _databases(self) -> list[dict[str, Any]]:
        return [
            {
                "id": database.id,
                "region": database.region,
                "arn": database.arn,
                "endpoint": database.instance.address,
                "address": database.address,
                "port": int(database.instance.port or _POSTGRES_PORT),
                "socket": str(database.folder / "socket"),
                "state": self._state(database),
                "closed_to": kept_from(
                    database.region,
                    database.address,
                    int(database.instance.port or _POSTGRES_PORT),
                ),
            }
            for database in self._servers
        ]

    def _state(self, database: Any) -> str:
        alive = self._context.is_alive(database.region) and database.runs
        return "up" if alive else "down"

    def _replicas(self) -> list[dict[str, Any]]:
        return [
            {
                "id": database.id,
                "source_arn": database.source.arn,
                "link_address": database.link_address,
                "link_port": LINK_PORT,
                "source_socket": str(database.source.folder / "socket"),
                "source_region": database.source.region,
                "region": database.region,
            }
            for database in self._servers
            if database.source and database.link_address
        ]


def _listener(listener: FakeListener) -> dict[str, Any]:
    rules = [rule for rule in listener.rules.values() if not rule.is_default]
    return {
        "port": int(listener.port),
        "protocol": listener.protocol,
        "default": _action(listener.default_actions),
        "rules": [
            {
                "priority": int(rule.priority),
                "paths": _paths(rule.conditions),
                "action": _action(rule.actions),
            }
            for rule in sorted(rules, key=lambda one: int(one.priority))
        ],
    }


def _paths(conditions: list[dict[str, Any]]) -> list[str]:
    found: list[str] = []
    for condition in conditions:
        if condition.get("Field") == "path-pattern":
            found += condition.get("PathPatternConfig", {}).get("Values") or []
            found += condition.get("Values") or []
    return list(dict.fromkeys(found))


def _action(actions: list[Any]) -> dict[str, Any]:
    """Return where a rule leads: the last of its actions, after any authentication."""
    data = actions[-1].data
    match data.get("Type"):
        case "forward":
            groups = data.get("ForwardConfig", {}).get("TargetGroups") or []
            arn = data.get("TargetGroupArn") or groups[0]["TargetGroupArn"]
            return {"target_group": arn}
        case "fixed-response":
            config = data["FixedResponseConfig"]
            return {"fixed": int(config["StatusCode"]), "body": config.get("MessageBody") or ""}
        case "redirect":
            config = data["RedirectConfig"]
            return {"redirect": config}
        case other:
            return {"fixed": 501, "body": f"the lab does not model the action {other}"}


def _target_group(region: str, group: FakeTargetGroup) -> dict[str, Any]:
    ec2 = ec2_backends[ACCOUNT][region]
    targets: list[dict[str, Any]] = []
    for name, target in group.targets.items():
        instance = ec2.get_instance_by_id(name)
        if instance and instance.state == "running":
            address = loopback(str(instance.private_ip))
            targets.append({"id": name, "address": address, "port": int(target["Port"])})
    health: dict[str, Any] = {
        "path": group.health_check_path or "/",
        "interval": float(group.health_check_interval_seconds),
        "threshold_healthy": int(group.healthy_threshold_count),
        "threshold_unhealthy": int(group.unhealthy_threshold_count),
        "timeout": float(group.health_check_timeout_seconds),
        "matcher": str(getattr(group, "matcher", {}).get("HttpCode", "200")),
    }
    if str(group.health_check_port).isdigit():
        health["port"] = int(str(group.health_check_port))
    return {"region": region, "health": health, "targets": targets}


def _zone(zone: Any) -> dict[str, Any]:
    return {"name": zone.name, "id": zone.resource_id, "records": [_record(r) for r in zone.rrsets]}


def _record(record: Any) -> dict[str, Any]:
    alias = record.alias_target
    return {
        "name": record.name,
        "type": record.type,
        "ttl": int(record.ttl or 60),
        "values": [_value(value) for value in record.records or []],
        "alias": {"name": alias["DNSName"]} if alias else None,
        "failover": record.failover or None,
        "set_id": record.set_identifier,
        "health_check": record.health_check_id or None,
    }


def _value(value: Any) -> str:
    """Return a record's value; moto keeps those of its own SOA record wrapped."""
    return str(value["Value"] if isinstance(value, dict) else value)
