"""The project's configuration, parsed once: every program starts from these dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from pulumi.runtime.config import CONFIG, get_config_env

from infra import products, rules
from infra.reading import InvalidSettingError, Reading
from recovery.topology import Guard

if TYPE_CHECKING:
    import ipaddress
    from collections.abc import Mapping

    import pulumi

SiteName = Literal["primary", "dr"]
Role = Literal["active", "standby"]
Peer = Literal["lit", "dark"]

SITES: tuple[SiteName, ...] = get_args(SiteName)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place: one region and its addresses."""

    name: SiteName
    region: str
    cidr: ipaddress.IPv4Network
    zones: tuple[str, ...]
    """Two availability zones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What all stacks share."""

    organisation: str
    zone: str
    account: str
    sites: Mapping[SiteName, Site]
    witness_region: str
    https_port: int
    guard: Guard
    secrets_home: SiteName
    """The site whose stack owns the secrets; its peer reads their replicas, in either role."""
    products: tuple[products.Product, ...]

    def peer_of(self, site: SiteName) -> Site:
        """Return the other site."""
        return next(other for name, other in self.sites.items() if name != site)

    @property
    def contacts(self) -> tuple[str, ...]:
        """Everybody who is told when something is wrong, once."""
        return tuple(dict.fromkeys(who for product in self.products for who in product.contacts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What one site's stack adds: where it is, who serves, and whether the peer can be named."""

    site: SiteName
    role: Role
    peer: Peer
    generations: Mapping[str, int]
    """Product → generation of its database here; it grows, because an old primary never rejoins."""


def load(config: pulumi.Config) -> Settings:
    """Return the settings of the project; raise InvalidSettingError for the first that is wrong."""
    _refuse_unknown(f"{config.name}:")
    return parse(_values(config, texts=_TEXTS, objects=_OBJECTS))


def load_placement(config: pulumi.Config, settings: Settings, stack: str) -> Placement:
    """Return what the stack of a site adds to the settings."""
    values = _values(config, texts=("site", "role", "peer"), objects=("generations",))
    reading = Reading("", values)
    if values.get("site") != stack:
        raise reading.refuse("site", f"{stack}, the name of the stack")
    generations = reading.mapping("generations", default={})
    placement = Placement(
        site=reading.choice("site", SITES),
        role=reading.choice("role", get_args(Role)),
        peer=reading.choice("peer", get_args(Peer), default="lit"),
        generations={
            product.name: generations.integer(product.name, 1, 9999, default=1)
            for product in settings.products
        },
    )
    generations.close()
    return placement


def load_active(config: pulumi.Config) -> SiteName:
    """Return the site that the link replicates from."""
    reading = Reading("", _values(config, texts=("active",), objects=()))
    return reading.choice("active", SITES)


_TEXTS = ("organisation", "zone", "account", "secrets_home")
_OBJECTS = ("sites", "witness", "https_port", "guard", "products")
_OF_STACKS = ("site", "role", "peer", "generations", "active")


def _refuse_unknown(namespace: str) -> None:
    """Refuse a key that no program reads: spelled wrongly, it would do nothing."""
    known = {*_TEXTS, *_OBJECTS, *_OF_STACKS}
    # The CLI hands the configuration over in the environment; whoever runs the programs through
    # the SDK sets it in the process.
    given: dict[str, object] = {**get_config_env(), **CONFIG.get()}
    for key, value in given.items():
        name = key.removeprefix(namespace)
        if key.startswith(namespace) and name not in known:
            rule = f"left out: this key is unknown; known are {', '.join(sorted(known))}"
            raise InvalidSettingError(key, value, rule)


def _values(
    config: pulumi.Config, *, texts: tuple[str, ...], objects: tuple[str, ...]
) -> dict[str, object]:
    # A text is not JSON: an account of digits would become a number and lose its leading zeros.
    found: dict[str, object] = {key: config.get(key) for key in texts}
    return found | {key: config.get_object(key) for key in objects}


def parse(values: Mapping[str, object]) -> Settings:
    """Return the settings in `values`, the configuration's keys without their namespace."""
    reading = Reading("", dict(values))
    zone = reading.text("zone", rules.DOMAIN_RULE, rules.DOMAIN)
    settings = Settings(
        organisation=reading.text("organisation", rules.NAME_RULE, rules.NAME),
        zone=zone,
        account=reading.text("account", "an AWS account of 12 digits", r"\d{12}"),
        sites=_sites(reading.mapping("sites")),
        witness_region=_witness(reading.mapping("witness")),
        https_port=reading.integer("https_port", 1, 65535, default=443),
        guard=_guard(reading.mapping("guard", default={})),
        secrets_home=reading.choice("secrets_home", SITES, default="primary"),
        products=tuple(
            products.parse(product, zone) for product in reading.mappings("products", 1)
        ),
    )
    rules.check(settings)
    return settings


def _sites(reading: Reading) -> dict[SiteName, Site]:
    sites: dict[SiteName, Site] = {}
    for name in SITES:
        of_site = reading.mapping(name)
        region = of_site.text("region", rules.REGION_RULE, rules.REGION)
        cidr = of_site.text("cidr", rules.CIDR_RULE, ".*")
        network = rules.network(cidr)
        if network is None:
            raise of_site.refuse("cidr", rules.CIDR_RULE)
        zones = of_site.texts("zones", f"a zone of {region}", region + "[a-z]")
        if zones and len(set(zones)) != len(SITES):
            raise of_site.refuse("zones", "two different availability zones")
        sites[name] = Site(
            name=name, region=region, cidr=network, zones=zones or (f"{region}a", f"{region}b")
        )
        of_site.close()
    reading.close()
    return sites


def _witness(reading: Reading) -> str:
    region = reading.text("region", rules.REGION_RULE, rules.REGION)
    reading.close()
    return region


def _guard(reading: Reading) -> Guard:
    default = Guard()
    guard = Guard(
        ttl_seconds=reading.number("ttl_seconds", 1, 3600, default.ttl_seconds),
        drift_seconds=reading.number("drift_seconds", 0, 60, default.drift_seconds),
        heartbeat_seconds=reading.number("heartbeat_seconds", 0.1, 60, default.heartbeat_seconds),
        switch_seconds=reading.number("switch_seconds", 0.1, 60, default.switch_seconds),
    )
    if guard.drift_seconds >= guard.ttl_seconds:
        raise reading.refuse("drift_seconds", f"below ttl_seconds, {guard.ttl_seconds}")
    reading.close()
    return guard
