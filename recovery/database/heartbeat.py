"""The heartbeat: one row that the active site's guards keep writing, and replication carries.

What has arrived of it tells a standby how much was replicated before an outage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    """Make the schema and the table where they are missing; any number of guards may call it."""
    raise NotImplementedError


def beat(connection: Connection, *, site: str, epoch: int) -> None:
    """Write the heartbeat, at the server's own time.

    Raise DatabaseReadOnlyError on a standby, QueryFailedError (code 42P01) before `install`. A
    beat of an older epoch than the one written leaves the row alone.
    """
    raise NotImplementedError


def read(connection: Connection) -> Heartbeat | None:
    """Return the last heartbeat, or None when there was none yet."""
    raise NotImplementedError
