"""The heartbeat: one row that the active site's guards keep writing, and replication carries.

What has arrived of it tells a standby how much was replicated before an outage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recovery.database.errors import QueryFailedError
from recovery.database.postgres import UNDEFINED_TABLE

if TYPE_CHECKING:
    from datetime import datetime

    from recovery.database.postgres import Connection

SCHEMA = "standby"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The last beat that this server has."""

    at: datetime
    """By the clock of the server that wrote it."""
    site: str
    epoch: int
    beats: int


def install(connection: Connection) -> None:
    """Make the schema and the table where they are missing; any number of guards may call it.

    The lock is there because `if not exists` does not keep two sessions from making the same
    thing at once (PostgreSQL then reports a duplicate key of its own catalogue).
    """
    connection.execute(
        """
        select pg_advisory_xact_lock(hashtext('standby.heartbeat'));
        create schema if not exists standby;
        create table if not exists standby.heartbeat (
            id    integer primary key check (id = 1),
            at    timestamptz not null,
            site  text not null,
            epoch bigint not null,
            beats bigint not null
        );
        """
    )


def beat(connection: Connection, *, site: str, epoch: int) -> None:
    """Write the heartbeat, at the server's own time.

    Raise DatabaseReadOnlyError on a standby, QueryFailedError (code UNDEFINED_TABLE) before
    `install`. A beat of an older epoch than the one written leaves the row alone.
    """
    connection.execute(
        """
        insert into standby.heartbeat as present (id, at, site, epoch, beats)
        values (1, clock_timestamp(), %s, %s, 1)
        on conflict (id) do update
        set at = excluded.at, site = excluded.site, epoch = excluded.epoch,
            beats = present.beats + 1
        where present.epoch <= excluded.epoch
        """,
        (site, epoch),
    )


def read(connection: Connection) -> Heartbeat | None:
    """Return the last heartbeat, or None when there was none yet."""
    try:
        found = connection.row("select at, site, epoch, beats from standby.heartbeat where id = 1")
    except QueryFailedError as error:
        if error.code == UNDEFINED_TABLE:
            return None
        raise
    if found is None:
        return None
    at, site, epoch, beats = found
    return Heartbeat(at=at, site=site, epoch=epoch, beats=beats)
