"""The published facts of both sites: one JSON document that recovery starts from.

The link stack writes it into a bucket of both regions; an SSM parameter in each region holds its
place and SHA-256, because a parameter holds 4 KB. The document carries no secret: secrets are
named here and read from Secrets Manager in the region where they are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

SCHEMA_VERSION = 1

Engine = Literal["postgres", "mysql"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service of a product: a port on its hosts, and the path the balancer sends it."""

    name: str
    port: int
    path: str
    """Path pattern of the balancer's rule, such as `/api/*`; `/*` is the default action."""
    health_path: str = "/health"
    """Shallow check: answers 200 on a standby's idle hosts too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One step of a product's journey, run in order through the product's public name.

    `${NAME}` in path and body is replaced by what an earlier step captured, by `${username}` and
    `${password}` of the probe secret, or by `${nonce}`, which is new in every run.
    """

    name: str
    service: str
    method: str
    path: str
    body: dict[str, str | int | float | bool] | None = None
    status: int = 200
    capture: dict[str, str] | None = None
    """Name → key of the JSON answer; `token` is sent as bearer token in later steps."""
    contains: str | None = None
    """Text that the answer must contain, after replacement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """Where a product's hosts can be cut off from its database: the network ACL they are behind."""

    acl: str
    """Id of the ACL."""
    rule: int
    """Number of the outbound entry that is the product's; lower than those that let through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One product at one site."""

    database: str
    database_name: str
    secret: str
    probe_secret: str
    load_balancer_arn: str
    load_balancer_dns: str
    listener_arn: str
    target_groups: dict[str, str]
    """Service name → target group ARN."""
    host_group: str
    """Name of the Auto Scaling group."""
    image: str
    instance_type: str
    hosts_active: int
    hosts_standby: int
    backup_retention_days: int
    file_bucket: str
    frontend_bucket: str
    health_check: str
    """Id of the Route 53 health check of this site's failover record."""
    fence: Fence | None = None
    """None in a document that was published before there was one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A product, its objectives and where it is deployed."""

    name: str
    title: str
    domain: str
    """Public name, fully qualified without the final dot."""
    engine: Engine
    rto_seconds: int
    rpo_seconds: int
    services: tuple[Service, ...]
    journey: tuple[Request, ...]
    api_tests: tuple[str, ...]
    """Command of the product's own API tests; empty: none. Run with STANDBY_URL set."""
    contacts: tuple[str, ...]
    deployments: dict[str, Deployment]
    """Site name → deployment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place: one region, and what recovery keeps there."""

    name: str
    region: str
    control_table: str
    bucket: str
    topic: str
    """ARN of the topic that tells people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """The third region: one table, no product."""

    region: str
    control_table: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What the guards on the hosts go by, in seconds."""

    ttl_seconds: float = 60.0
    drift_seconds: float = 1.0
    heartbeat_seconds: float = 1.0
    switch_seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Both sites, the witness and all products."""

    schema_version: int
    organisation: str
    account: str
    zone: str
    zone_id: str
    https_port: int
    guard: Guard
    witness: Witness
    sites: dict[str, Site]
    products: tuple[Product, ...]

    def site_in(self, region: str) -> Site | None:
        """Return the site in `region`, or None."""
        return next((site for site in self.sites.values() if site.region == region), None)

    def peer_of(self, site: str) -> Site:
        """Return the other site."""
        return next(other for name, other in self.sites.items() if name != site)

    def product(self, name: str) -> Product | None:
        """Return the product called `name`, or None."""
        return next((product for product in self.products if product.name == name), None)


class MalformedTopologyError(ValueError):
    """The document is not a topology of this schema version; the message says where."""


def encode(topology: Topology) -> bytes:
    """Return the document: indented JSON with sorted keys, so that equal facts are equal bytes."""
    return msgspec.json.format(msgspec.json.encode(topology, order="sorted"), indent=2)


def decode(document: bytes) -> Topology:
    """Return the topology in `document`.

    Raise MalformedTopologyError with the path of the first thing that is wrong.
    """
    try:
        version = msgspec.json.decode(document, type=_Version).schema_version
        if version != SCHEMA_VERSION:
            msg = f"schema_version is {version}; this program reads {SCHEMA_VERSION}"
            raise MalformedTopologyError(msg)
        topology = msgspec.json.decode(document, type=Topology)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedTopologyError(str(error)) from error
    _check(topology)
    return topology


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    schema_version: int


_SITES = 2


def _check(topology: Topology) -> None:
    if len(topology.sites) != _SITES:
        msg = f"sites are {sorted(topology.sites)}; exactly two are needed"
        raise MalformedTopologyError(msg)
    for product in topology.products:
        if missing := set(topology.sites) - set(product.deployments):
            msg = f"product {product.name} has no deployment at {sorted(missing)}"
            raise MalformedTopologyError(msg)
