"""A product, as the configuration's list describes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from infra import rules
from recovery.topology import Engine, Request, Service

if TYPE_CHECKING:
    from infra.reading import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A product, its services, sizes, objectives and how it is verified."""

    name: str
    title: str
    domain: str
    services: tuple[Service, ...]
    hosts: Hosts
    database: Database
    rto_minutes: int
    rpo_minutes: int
    journey: tuple[Request, ...]
    api_tests: tuple[str, ...]
    contacts: tuple[str, ...]

    @property
    def database_name(self) -> str:
        """The name of the database, and of its owner: the product's, as SQL can spell it."""
        return self.name.replace("-", "_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """The fleet of a product at one site."""

    type: str
    active: int
    """Hosts at full scale."""
    standby: int
    reserve: bool
    """Reserve the capacity of full scale at both sites beforehand."""
    image: str
    """SSM parameter that holds the image's id, so that each region names its own copy."""
    command: str
    """What the guard on a host runs: the product's services, staying in the foreground."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A product's database."""

    engine: Engine
    version: str
    instance_class: str
    storage_gib: int
    retention_days: int
    password_version: int
    """A higher one writes a new password into secret and database."""

    @property
    def port(self) -> int:
        """The port that the engine listens on."""
        return 5432 if self.engine == "postgres" else 3306

    @property
    def family(self) -> str:
        """The family of parameter groups, such as `postgres18` or `mysql8.4`."""
        parts = self.version.split(".")
        return self.engine + (parts[0] if self.engine == "postgres" else ".".join(parts[:2]))


def parse(reading: Reading, zone: str) -> Product:
    """Return the product that `reading` describes; its domain lies in `zone`."""
    objectives = reading.mapping("objectives")
    services = tuple(_service(service) for service in reading.mappings("services", 1))
    product = Product(
        name=reading.text("name", rules.NAME_RULE, rules.NAME),
        title=reading.text("title", "a text of 1 to 60 characters", ".{1,60}"),
        domain=reading.text("domain", f"a name below {zone}", rules.below(zone)),
        services=services,
        hosts=_hosts(reading.mapping("hosts")),
        database=_database(reading.mapping("database")),
        rto_minutes=objectives.integer("rto_minutes", 1, 7 * 24 * 60),
        rpo_minutes=objectives.integer("rpo_minutes", 1, 7 * 24 * 60),
        journey=tuple(_request(step, services) for step in reading.mappings("journey")),
        api_tests=reading.texts("api_tests", "one word of a command", ".+"),
        contacts=reading.texts("contacts", "an email address", r"[^@\s]+@[^@\s]+\.[^@\s]+", 1),
    )
    objectives.close()
    reading.close()
    return product


def _service(reading: Reading) -> Service:
    service = Service(
        name=reading.text("name", rules.NAME_RULE, rules.NAME),
        port=reading.integer("port", 1, 65535),
        path=reading.text("path", rules.PATH_RULE, rules.PATH),
        health_path=reading.text("health_path", rules.PATH_RULE, rules.PATH, default="/health"),
    )
    reading.close()
    return service


def _hosts(reading: Reading) -> Hosts:
    hosts = Hosts(
        type=reading.text("type", "an instance type such as m6i.large", rules.INSTANCE_TYPE),
        active=reading.integer("active", 1, 1000),
        standby=reading.integer("standby", 0, 1000),
        reserve=reading.boolean("reserve", default=False),
        image=reading.text("image", rules.PARAMETER_RULE, rules.PARAMETER, rules.AMAZON_LINUX),
        command=reading.text("command", rules.COMMAND_RULE, rules.COMMAND, rules.SERVICES),
    )
    if not rules.has_whole_words(hosts.command):
        raise reading.refuse("command", rules.COMMAND_RULE)
    if hosts.standby > hosts.active:
        raise reading.refuse("standby", f"at most active, {hosts.active}")
    reading.close()
    return hosts


def _database(reading: Reading) -> Database:
    engine = reading.choice("engine", get_args(Engine), default="postgres")
    version_rule, version = rules.VERSIONS[engine]
    database = Database(
        engine=engine,
        version=reading.text("version", version_rule, version),
        instance_class=reading.text("class", "such as db.m6g.large", rules.INSTANCE_CLASS),
        storage_gib=reading.integer("storage_gib", 20, 32768),
        retention_days=reading.integer("retention_days", 1, 35),
        password_version=reading.integer("password_version", 1, 1_000_000, default=1),
    )
    reading.close()
    return database


def _request(reading: Reading, services: tuple[Service, ...]) -> Request:
    present = reading.names()
    request = Request(
        name=reading.text("name", rules.NAME_RULE, rules.NAME),
        service=reading.choice("service", [service.name for service in services]),
        method=reading.choice("method", ("GET", "POST", "PUT", "PATCH", "DELETE")),
        path=reading.text("path", "a path that starts with /", r"/\S*"),
        body=reading.mapping("body").scalars() if "body" in present else None,
        status=reading.integer("status", 100, 599, default=200),
        capture=_capture(reading.mapping("capture")) if "capture" in present else None,
        contains=reading.text("contains", "a text", ".+") if "contains" in present else None,
    )
    reading.close()
    return request


def _capture(reading: Reading) -> dict[str, str]:
    return {name: reading.text(name, "a key of the answer", ".+") for name in reading.names()}
