"""A connection to PostgreSQL: encrypted, verified, with timeouts that are said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

CONNECT_SECONDS = 2
STATEMENT_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who signs in; the password is not shown."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which database. The certificate must name `host`; `address` says where that is, if known."""

    host: str
    port: int
    name: str
    address: str | None = None

    def __str__(self) -> str:
        return f"{self.name} at {self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replication:
    """How a server stands to its source."""

    in_recovery: bool
    """True: a standby, which takes no writes."""
    streaming: bool
    replay_lag_seconds: float | None
    """Age of the last replayed commit; it grows while the source writes nothing. None: none yet."""
    last_replayed_lsn: str | None


class Connection:
    """One session in autocommit, used by one thread at a time; closed at the end of `with`."""

    def __init__(self, driver: Any, target: Target) -> None: ...

    def rows(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run the statement and return all rows."""
        raise NotImplementedError

    def row(self, statement: str, parameters: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """Run the statement and return its first row, or None."""
        raise NotImplementedError

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> None:
        """Run the statement; several in one text are one transaction."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close; closing twice is fine."""


def connect(
    target: Target,
    credentials: Credentials,
    *,
    read_only: bool = False,
    statement_seconds: float = STATEMENT_SECONDS,
    application: str = "standby-recovery",
) -> Connection:
    """Open a session over TLS whose certificate names the host.

    The authority comes from PGSSLROOTCERT, as for any PostgreSQL client. Raise
    DatabaseUnreachableError after 2 s, DatabaseDeniedError for wrong credentials.
    """
    raise NotImplementedError


def replication(connection: Connection) -> Replication:
    """Return how the server stands to its source."""
    raise NotImplementedError
