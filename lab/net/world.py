"""The world as the network needs it: what exists at which address, and which regions live.

The AWS process serves it at `/_lab/world`; `follow` yields every new version. The wire form is
JSON with these very names.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from lab.net import messages

DEFAULT_URL = "http://127.0.53.1:4566"

RegionState = Literal["up", "dead"]

_RETRY = 0.1
_POLL_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What a balancer does with a request: forward it, or answer a fixed status."""

    target_group: str | None = None
    fixed: int | None = None
    body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A listener's rule; the lowest priority that matches wins."""

    priority: int
    paths: tuple[str, ...]
    action: Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A port of a balancer."""

    port: int
    default: Action
    protocol: str = "HTTPS"
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Balancer:
    """An application load balancer."""

    arn: str
    name: str
    dns: str
    region: str
    address: str
    keep_alive: float = 3600
    """How long it keeps a client's connection, in AWS's seconds."""
    listeners: tuple[Listener, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """How a target group's targets are checked; times in AWS's seconds."""

    path: str = "/"
    port: int | str | None = None
    """None or `traffic-port`: the target's own."""
    interval: float = 30
    timeout: float = 5
    threshold_healthy: int = 5
    threshold_unhealthy: int = 2
    matcher: str = "200"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One registered target."""

    id: str
    address: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetGroup:
    """Targets that serve the same thing."""

    region: str
    health: Check = field(default_factory=Check)
    targets: tuple[Target, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """An RDS instance."""

    id: str
    region: str
    arn: str
    endpoint: str
    address: str
    socket: str
    """Folder of the server's Unix socket."""
    port: int = 5432
    state: Literal["up", "down"] = "up"
    closed_to: tuple[str, ...] = ()
    """Ids of the instances whose packets a network ACL keeps from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """A standby's way to its source, through a link address."""

    id: str
    source_arn: str
    link_address: str
    link_port: int
    source_socket: str
    source_region: str
    region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One direction between two regions."""

    state: Literal["up", "cut", "slow"] = "up"
    delay_ms: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """The name that an alias record stands for."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record set of a hosted zone."""

    name: str
    type: str
    ttl: float | None = None
    values: tuple[str, ...] = ()
    alias: Alias | None = None
    failover: Literal["PRIMARY", "SECONDARY"] | None = None
    set_id: str | None = None
    health_check: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A hosted zone."""

    name: str
    id: str
    records: tuple[Record, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """A Route 53 health check, already evaluated."""

    type: str
    healthy: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One version of everything."""

    version: int
    speed: float = 1
    """How many times faster than AWS; 0: no modelled waits."""
    regions: dict[str, RegionState] = field(default_factory=dict[str, RegionState])
    links: dict[str, Link] = field(default_factory=dict[str, Link])
    """`from>to` → state; absent: up."""
    balancers: tuple[Balancer, ...] = ()
    target_groups: dict[str, TargetGroup] = field(default_factory=dict[str, TargetGroup])
    databases: tuple[Database, ...] = ()
    replicas: tuple[Replica, ...] = ()
    zones: tuple[Zone, ...] = ()
    health_checks: dict[str, HealthCheck] = field(default_factory=dict[str, HealthCheck])

    def is_up(self, region: str) -> bool:
        """Whether a region lives."""
        return self.regions.get(region, "up") == "up"

    def link(self, source: str, target: str) -> Link:
        """Return the state of the link from one region to another."""
        return self.links.get(f"{source}>{target}", Link())


async def follow(url: str = DEFAULT_URL) -> AsyncGenerator[World]:
    """Yield the world, and again whenever its version changes; for ever.

    An AWS process that does not answer, or answers nonsense, is asked again: the last world stays
    in force. One that was started anew may count from the beginning.
    """
    known = -1
    complaint = ""
    while True:
        try:
            answer = await asyncio.wait_for(
                messages.request(f"{url}/_lab/world?after={known}"), _POLL_TIMEOUT
            )
            world = msgspec.json.decode(answer.body, type=World) if answer.status == 200 else None  # noqa: PLR2004
        except (OSError, messages.MalformedError, TimeoutError, msgspec.DecodeError) as error:
            if complaint != str(error):
                complaint = str(error)
                print(f"the world at {url} cannot be read: {error!r}", flush=True)
            known = -1
            await asyncio.sleep(_RETRY)
            continue
        if world is None:
            await asyncio.sleep(_RETRY)
        elif world.version != known:
            known = world.version
            complaint = ""
            yield world
