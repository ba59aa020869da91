"""The real servers behind RDS instances, and the operations that take time on them.

An operation runs in a thread of its own: it sets a status, does the real thing, waits out what
AWS would take, and sets the next status. A region's death ends its servers at once; healing
starts them as they were.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import contextlib
import itertools
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg2

from lab.data.programs import ProgramError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from moto.rds.models import DBInstance

    from lab.aws.context import Context
    from lab.aws.postgres import Postgres, Server

    Phase = tuple[str, str | None, Callable[[], None]]
    """A status, the operation of lab.durations that it lasts for, and what is really done."""

LINK_PORT = 5432
_CONNECT_SECONDS = 60.0
_RETRY_SECONDS = 0.1


@dataclass(slots=True, kw_only=True)
class Database:
    """An RDS instance's server and where it is reached."""

    instance: DBInstance
    arn: str
    region: str
    address: str
    folder: Path
    server: Server | None = None
    source: Database | None = None
    """What it replicates; None for a writer."""
    link_address: str | None = None
    slot: str
    """The replication slot that this database uses on its source; it keeps it when renamed."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Keeps starting, stopping, promoting and killing the server apart."""
    stopped: bool = False
    """By StopDBInstance: a healed region does not start it."""

    @property
    def id(self) -> str:
        """The instance's identifier."""
        return self.instance.db_instance_identifier

    @property
    def runs(self) -> bool:
        """Whether its server runs."""
        return self.server is not None and self.server.is_running


class Servers:
    """Every database of the lab, by ARN."""

    def __init__(self, context: Context, postgres: Postgres, links: str) -> None:
        self._context = context
        self._postgres = postgres
        self._databases: dict[str, Database] = {}
        self._links = (f"{links}.{number}" for number in itertools.count(1))
        self._failures = (postgres.ServerError, ProgramError, psycopg2.Error, OSError)
        self._abandoned_slots: list[tuple[Database, str]] = []
        context.died.append(self._kill)
        context.healed.append(self._heal)

    def __iter__(self) -> Iterator[Database]:
        """Go through all databases as they are now."""
        return iter(list(self._databases.values()))

    def find(self, arn: str) -> Database | None:
        """Return the database with that ARN, or None."""
        return self._databases.get(arn)

    def add(self, instance: DBInstance, address: str, source: Database | None = None) -> Database:
        """Take up an instance that has no server yet."""
        folder = self._context.run_dir / "pg" / f"{instance.region}.{instance.resource_id}"
        if any(each.folder == folder for each in self):  # of one that was renamed since
            folder = folder.with_name(f"{folder.name}.{len(self._databases)}")
        database = Database(
            instance=instance,
            arn=instance.arn,
            region=instance.region,
            address=address,
            folder=folder,
            source=source,
            slot=f"rds_{instance.region}_{instance.db_instance_identifier}".replace("-", "_")[:63],
        )
        if source:
            database.link_address = next(self._links)
        self._databases[instance.arn] = database
        self._context.changed.set()
        return database

    def rename(self, database: Database, act: Callable[[], None]) -> None:
        """Find a database by the ARN that its instance has after `act`, done under the lock."""
        with self._context.lock:
            act()
            self._databases[database.instance.arn] = self._databases.pop(database.arn)
            database.arn = database.instance.arn

    def operate(
        self,
        database: Database,
        phases: tuple[Phase, ...],
        finally_: Callable[[], None] = lambda: None,
    ) -> None:
        """Go through phases of (status, duration, act) in the background, then `available`.

        `finally_` is called under the lock at the moment of the last status.
        """
        database.instance.status = phases[0][0]
        self._context.start(
            f"rds {database.id}", lambda: self._go_through(database, phases, finally_)
        )

    def _go_through(
        self, database: Database, phases: tuple[Phase, ...], finally_: Callable[[], None]
    ) -> None:
        for status, duration, act in phases:
            self._set(database, status)
            began = time.monotonic()
            try:
                act()
            except self._failures as error:
                if not self._context.is_alive(database.region):
                    break
                self._context.failures.append(f"rds {database.id} {status}: {error}")
                self._set(database, "failed")
                return
            if not self._context.is_alive(database.region):
                _kill_server(database)
                break
            self._context.changed.set()
            if duration is None:
                continue
            spent = time.monotonic() - began
            self._context.pace.wait(
                duration, resource=database.id, region=database.region, spent=spent
            )
        with self._context.lock:
            finally_()
            self._set(database, "available")

    def _set(self, database: Database, status: str) -> None:
        with self._context.lock:
            if database.instance.status != "deleting":
                database.instance.status = status
        self._context.changed.set()

    def initialise(self, database: Database, password: str, parameters: dict[str, str]) -> None:
        """Make the server of a new writer."""
        instance = database.instance
        database.server = self._postgres.initialise(
            database.folder,
            username=instance.master_username or "postgres",
            password=password,
            database=instance.db_name or "postgres",
            parameters=parameters,
        )

    def replicate(self, database: Database, parameters: dict[str, str]) -> None:
        """Make the server of a new replica, through its link, which may take a moment to be up."""
        assert database.link_address
        deadline = time.monotonic() + _CONNECT_SECONDS
        while True:
            try:
                database.server = self._postgres.replicate(
                    database.folder,
                    source_host=database.link_address,
                    source_port=LINK_PORT,
                    slot=database.slot,
                    parameters=parameters,
                )
            except (self._postgres.ServerError, ProgramError):
                if time.monotonic() > deadline or not self._context.is_alive(database.region):
                    raise
                time.sleep(_RETRY_SECONDS)
            else:
                return

    def restore(self, database: Database, snapshot: Path, parameters: dict[str, str]) -> None:
        """Make the server of an instance that is restored from a snapshot."""
        database.server = self._postgres.restore(
            database.folder, snapshot=snapshot, parameters=parameters
        )

    def promote(self, database: Database) -> None:
        """Start a replica's server as a writer; its stream and its link end."""
        with database.lock:
            if database.server:
                database.server.start()
                database.server.promote()

    def detach(self, database: Database) -> None:
        """Forget what a promoted database replicated; drop its slot once the source can be."""
        source, database.source, database.link_address = database.source, None, None
        if source:
            self._abandoned_slots.append((source, database.slot))
            self._drop_abandoned_slots()

    def go_down(self, database: Database) -> None:
        """Stop the server for a while; its connections end."""
        with database.lock:
            if database.server:
                database.server.stop()

    def reboot(self, database: Database) -> None:
        """Restart the server; its connections end."""
        with database.lock:
            if database.server:
                database.server.stop()
                database.server.start()

    def stop(self, database: Database) -> None:
        """Stop the server until it is told to start."""
        with database.lock:
            database.stopped = True
            if database.server:
                database.server.stop()
        self._context.changed.set()

    def start(self, database: Database) -> None:
        """Start the server of a stopped instance."""
        with database.lock:
            database.stopped = False
            if database.server:
                database.server.start()

    def remove(self, database: Database) -> None:
        """End the server and delete its data."""
        _kill_server(database)
        if database.source:
            self.detach(database)
        with database.lock:
            database.server = None
            shutil.rmtree(database.folder, ignore_errors=True)
        self._databases.pop(database.arn, None)
        self._context.changed.set()

    def _kill(self, region: str) -> None:
        victims = [one for one in self if one.region == region and one.server]
        if victims:
            with ThreadPoolExecutor(len(victims)) as pool:
                list(pool.map(_kill_server, victims))

    def _heal(self, region: str) -> None:
        for database in self:
            if database.region == region and database.server and not database.stopped:
                self._context.start(f"rds {database.id}", lambda one=database: self._revive(one))

    def _revive(self, database: Database) -> None:
        with database.lock:
            if database.server:
                database.server.start()
        self._drop_abandoned_slots()
        self._context.changed.set()

    def _drop_abandoned_slots(self) -> None:
        for entry in list(self._abandoned_slots):
            source, slot = entry
            if source.runs and source.server:
                try:
                    source.server.drop_slot(slot)
                except self._failures:
                    continue
                with contextlib.suppress(ValueError):  # another thread was faster
                    self._abandoned_slots.remove(entry)


_PATIENCE_SECONDS = 1.0


def _kill_server(database: Database) -> None:
    """End a server at once; one that is just starting or stopping is waited for a moment."""
    waited = database.lock.acquire(timeout=_PATIENCE_SECONDS)
    try:
        if database.server:
            database.server.kill()
    finally:
        if waited:
            database.lock.release()
