"""What a guard does for its host, each duty in a thread of its own.

None waits for another's dead peer; none raises for what the world does to it.
"""

from __future__ import annotations

import functools
import json
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, NoReturn

from recovery import assignment, names, naming
from recovery.cloud import client, metrics, secrets
from recovery.cloud.client import Region
from recovery.database import errors, heartbeat, postgres
from recovery.engine.errors import OutsideError
from recovery.tenure import Held, Tenure

if TYPE_CHECKING:
    from collections.abc import Callable

    from recovery.database.postgres import Connection
    from recovery.topology import Product, Site, Topology

_HEALTH_SECONDS = 1.0
_HEARTBEAT_AGES = 5
"""A heartbeat of up to so many intervals ago still counts as written."""

_saying = threading.RLock()
"""Held while a line is written, as every duty has lines to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What this host is, as its launch template says."""

    product: str
    site: str
    region: str
    address: str
    """Where the services of this host listen."""
    database_host: str
    database_port: int
    database_name: str
    resolver: str | None


@dataclass(slots=True, kw_only=True)
class Guard:
    """One guard at work."""

    host: Host
    topology: Topology
    product: Product
    site: Site
    peer: Site
    tenure: Tenure
    _beaten: float = float("-inf")
    _healthy_at: float | None = None
    _session: Connection | None = None
    _credentials: postgres.Credentials | None = None
    _said: dict[str, str] = field(default_factory=dict[str, str])

    def run(self) -> NoReturn:
        """Guard until the process ends."""
        goes_by = self.topology.guard
        tables = {each.region: each.control_table for each in (self.site, self.peer)}
        tables[self.topology.witness.region] = self.topology.witness.control_table
        duties: list[tuple[Callable[[], None], float]] = [
            (self.beat, goes_by.heartbeat_seconds),
            (self.look, goes_by.switch_seconds),
            (functools.partial(self.publish, self.site), goes_by.switch_seconds),
            (functools.partial(self.publish, self.peer), goes_by.switch_seconds),
        ]
        duties += [
            (functools.partial(self.listen, region, table), goes_by.ttl_seconds / 3)
            for region, table in tables.items()
        ]
        for duty, seconds in duties:
            threading.Thread(target=self._keep_at, args=(duty, seconds), daemon=True).start()
        while True:
            time.sleep(3600)

    def listen(self, region: str, table: str) -> None:
        """Read the assignment in one table."""
        asked = _boot_clock()
        try:
            found = assignment.read(Region(region, once=True), table, self.product.name)
        except OutsideError as error:
            self._say(f"table in {region}", "no answer", str(error))
        else:
            self.tenure.hear(region, found, asked=asked)
            said = f"{found.site} in epoch {found.epoch}" if found else "no item"
            self._say(f"table in {region}", said)
        match self.tenure.at(_boot_clock()):
            case Held(epoch=epoch):
                self._say("assignment", f"held in epoch {epoch}")
            case refused:
                self._say("assignment", "not held", refused.why)

    def beat(self) -> None:
        """Write the heartbeat while the site is assigned; else let go of the database."""
        held = self.tenure.at(_boot_clock())
        if not isinstance(held, Held):
            self._let_go()
            return
        try:
            self._write(held.epoch)
        except errors.DatabaseDeniedError as error:
            self._credentials = None  # perhaps it was changed: read it again
            self._let_go()
            self._say("heartbeat", "denied", str(error))
        except OutsideError as error:
            self._let_go()
            self._say("heartbeat", "not written", str(error))
        else:
            self._beaten = _boot_clock()
            self._say("heartbeat", "written")

    def look(self) -> None:
        """See whether this host is well: heartbeat written, each service answers its check."""
        if not self._beats():
            return
        for service in self.product.services:
            if ill := _ill(self.host.address, service.port, service.health_path):
                self._say("services", "unhealthy", f"{service.name}: {ill}")
                return
        self._healthy_at = time.time()
        self._say("services", "healthy")

    def publish(self, there: Site) -> None:
        """Tell one region, while the site is assigned, who claims the traffic and when it was well.

        The claim of a site is published in its own region; the peer's is taken back in the peer's.
        Traffic follows the database: nothing is told before the heartbeat is written here.
        """
        held = self.tenure.at(_boot_clock())
        if not isinstance(held, Held) or not self._beats():
            return
        claim = float(held.claim) if there == self.site else 0.0
        values = [(naming.CLAIM_METRIC, self._dimensions(there), claim)]
        if self._healthy_at is not None:
            values.append((naming.HEALTHY_METRIC, self._dimensions(self.site), self._healthy_at))
        try:
            metrics.publish(Region(there.region, once=True), naming.SWITCH_NAMESPACE, values)
        except OutsideError as error:
            self._say(f"metrics in {there.region}", "not published", str(error))
        else:
            self._say(f"metrics in {there.region}", f"published, claim {claim:.0f}")

    def _beats(self) -> bool:
        """Say whether this site's database takes writes: the last heartbeat is not old."""
        ages = _HEARTBEAT_AGES * self.topology.guard.heartbeat_seconds
        return _boot_clock() - self._beaten <= max(ages, postgres.STATEMENT_SECONDS)

    def _keep_at(self, duty: Callable[[], None], seconds: float) -> None:
        client.calling_step.set(f"{self.product.name}/guard")
        due = time.monotonic()
        while True:
            duty()
            due = max(due + seconds, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))

    def _write(self, epoch: int) -> None:
        if self._session is None:
            self._session = self._connect()
        try:
            heartbeat.beat(self._session, site=self.site.name, epoch=epoch)
        except errors.QueryFailedError as error:
            if error.code != postgres.UNDEFINED_TABLE:
                raise
            heartbeat.install(self._session)
            heartbeat.beat(self._session, site=self.site.name, epoch=epoch)

    def _connect(self) -> Connection:
        host = self.host
        if self._credentials is None:
            secret = self.product.deployments[self.site.name].secret
            found = secrets.read_json(Region(host.region), secret)
            self._credentials = postgres.Credentials(
                username=found.get("username", ""), password=found.get("password", "")
            )
        address = names.resolve(host.database_host, host.resolver)[0]
        target = postgres.Target(
            host=host.database_host,
            address=address,
            port=host.database_port,
            name=host.database_name,
        )
        return postgres.connect(target, self._credentials, application="standby-guard")

    def _let_go(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _dimensions(self, site: Site) -> dict[str, str]:
        return naming.switch_dimensions(self.product.name, site.name)

    def _say(self, topic: str, state: str, why: str = "") -> None:
        with _saying:
            if self._said.get(topic) != state:
                self._said[topic] = state
                announce(self.host, topic, state, why)


def _boot_clock() -> float:
    """Return seconds since boot; unlike the monotonic clock it counts while the host is frozen."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _ill(address: str, port: int, path: str) -> str | None:
    connection = HTTPConnection(address, port, timeout=_HEALTH_SECONDS)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()
    return None if status == 200 else f"HTTP {status}"  # noqa: PLR2004 - HTTP's OK


def announce(host: Host, topic: str, state: str, why: str = "") -> None:
    """Print one JSON line about a change; nothing in it is secret."""
    line = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "product": host.product,
        "site": host.site,
        "topic": topic,
        "state": state,
    }
    try:
        with _saying:
            sys.stdout.write(json.dumps(line | ({"why": why} if why else {})) + "\n")
            sys.stdout.flush()
    except OSError:
        return  # a full disk under the log stops no guard
