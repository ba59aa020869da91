"""What a guard does for its host, each duty in a thread of its own, beside the governing one.

None waits for another's dead peer; none raises for what the world does to it.
"""

from __future__ import annotations

import functools
import threading
import time
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING

from recovery import assignment, names, naming
from recovery.cloud import client, metrics, secrets
from recovery.cloud.client import Region
from recovery.database import errors, heartbeat, postgres
from recovery.engine.errors import OutsideError
from recovery.governor import Governor
from recovery.host import Host, announce, saying
from recovery.idle import Idle
from recovery.paging import Pager
from recovery.tenure import Held, Tenure
from recovery.ward import boot_clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from recovery.database.postgres import Connection
    from recovery.topology import Product, Site, Topology

_HEALTH_SECONDS = 1.0
_HEARTBEAT_AGES = 5
"""A heartbeat of up to so many intervals ago still counts as written."""


@dataclass(slots=True, kw_only=True)
class Guard:
    """One guard at work."""

    host: Host
    topology: Topology
    product: Product
    site: Site
    peer: Site
    tenure: Tenure
    governor: Governor = field(init=False)
    _asked: set[str] = field(default_factory=set[str])
    _beaten: float = float("-inf")
    _healthy_at: float | None = None
    _session: Connection | None = None
    _credentials: postgres.Credentials | None = None
    _said: dict[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        idle = Idle(
            address=self.host.address,
            site=self.site.name,
            services=self.product.services,
            assigned=self._assigned,
        )
        self.governor = Governor(
            command=self.host.command,
            site=self.site.name,
            tenure=self.tenure,
            ttl=self.topology.guard.ttl_seconds,
            idle=None if self.host.is_worker else idle,
            decided=lambda: len(self._asked) == len(self._tables()),
            say=self._say,
        )

    def run(self) -> int:
        """Guard until the command ends, or this process is told to; return the exit status."""
        for duty, seconds in self._duties():
            threading.Thread(target=self._keep_at, args=(duty, seconds), daemon=True).start()
        return self.governor.govern()

    def _duties(self) -> list[tuple[Callable[[], None], float]]:
        goes_by, tables = self.topology.guard, self._tables()
        pager = Pager(
            product=self.product,
            site=self.site,
            tenure=self.tenure,
            tables=len(tables),
            ttl=goes_by.ttl_seconds,
        )
        listening: list[tuple[Callable[[], None], float]] = [
            (functools.partial(self.listen, region, table), goes_by.ttl_seconds / 3)
            for region, table in tables.items()
        ]
        listening.append((functools.partial(self.page, pager), goes_by.ttl_seconds / 12))
        if self.host.is_worker:
            return listening
        return [
            *listening,
            (self.beat, goes_by.heartbeat_seconds),
            (self.look, goes_by.switch_seconds),
            (functools.partial(self.publish, self.site), goes_by.switch_seconds),
            (functools.partial(self.publish, self.peer), goes_by.switch_seconds),
        ]

    def _tables(self) -> dict[str, str]:
        """Return region → control table there."""
        tables = {each.region: each.control_table for each in (self.site, self.peer)}
        return tables | {self.topology.witness.region: self.topology.witness.control_table}

    def listen(self, region: str, table: str) -> None:
        """Read the assignment in one table."""
        asked = boot_clock()
        try:
            found = assignment.read(Region(region, once=True), table, self.product.name)
        except OutsideError as error:
            self._say(f"table in {region}", "no answer", str(error))
        else:
            self.tenure.hear(region, found, asked=asked)
            said = f"{found.site} in epoch {found.epoch}" if found else "no item"
            self._say(f"table in {region}", said)
        self._asked.add(region)
        match self.tenure.at(boot_clock()):
            case Held(epoch=epoch):
                self._say("assignment", f"held in epoch {epoch}")
            case refused:
                self._say("assignment", "not held", refused.why)
        self.governor.wake()

    def page(self, pager: Pager) -> None:
        """Tell people, once each time, that the tenure runs down."""
        if result := pager.look(boot_clock()):
            announce(self.host, "page", result)

    def beat(self) -> None:
        """Write the heartbeat while the site is assigned; else let go of the database."""
        held = self.tenure.at(boot_clock())
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
            self._beaten = boot_clock()
            self._say("heartbeat", "written")

    def look(self) -> None:
        """See whether this host is well: heartbeat written, each service answers its check.

        While the command does not run, it is the guard itself that would answer.
        """
        if not self._beats() or not self.governor.is_running:
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
        held = self.tenure.at(boot_clock())
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
        return boot_clock() - self._beaten <= max(ages, postgres.STATEMENT_SECONDS)

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

    def _assigned(self) -> str | None:
        newest = self.tenure.newest
        return newest.site if newest else None

    def _dimensions(self, site: Site) -> dict[str, str]:
        return naming.switch_dimensions(self.product.name, site.name)

    def _say(self, topic: str, state: str, why: str = "") -> None:
        with saying:
            if self._said.get(topic) != state:
                self._said[topic] = state
                announce(self.host, topic, state, why)


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
