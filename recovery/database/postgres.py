"""A connection to PostgreSQL: encrypted, verified, with timeouts that are said."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, cast

from recovery.database import errors

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

CONNECT_SECONDS = 2
STATEMENT_SECONDS = 5.0
SILENCE_SECONDS = 5
"""How long a peer may say nothing at all before the connection counts as broken."""

UNDEFINED_TABLE = "42P01"
QUERY_CANCELED = "57014"
"""SQLSTATE, also of a statement that ran out of its time (PostgreSQL manual, appendix A)."""


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

    def __init__(self, session: Any, target: Target, statement_seconds: float) -> None:
        self._session = session
        self._target = target
        self._seconds = statement_seconds

    def rows(
        self,
        statement: str,
        parameters: Sequence[object] = (),
        *,
        seconds: float | None = None,
    ) -> list[tuple[Any, ...]]:
        """Run the statement and return all rows; `seconds` bounds it and what follows.

        Out of time it is a QueryFailedError with the code QUERY_CANCELED. Placeholders are `%s`;
        without parameters the text is sent as it is.
        """
        if seconds is not None and seconds != self._seconds:
            self._run(f"set statement_timeout = {max(1, round(seconds * 1000))}", ())
            self._seconds = seconds
        return self._run(statement, parameters)

    def row(self, statement: str, parameters: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """Run the statement and return its first row, or None."""
        return next(iter(self.rows(statement, parameters)), None)

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> None:
        """Run the statement; several in one text are one transaction."""
        self._run(statement, parameters)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close; closing twice is fine."""
        self._session.close()

    def _run(self, statement: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        with _translated(self._target), self._session.cursor() as cursor:
            cursor.execute(statement, tuple(parameters) or None)
            return cursor.fetchall() if cursor.description else []


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
    import psycopg2  # noqa: PLC0415

    settings = {
        "statement_timeout": max(1, round(statement_seconds * 1000)),
        "timezone": "UTC",
        "row_security": "off",  # a count that a policy shortens is an error, not a smaller count
        "default_transaction_read_only": "on" if read_only else "off",
    }
    with _translated(target):
        session = psycopg2.connect(
            host=target.host,
            hostaddr=target.address,
            port=target.port,
            dbname=target.name,
            user=credentials.username,
            password=credentials.password,
            sslmode="verify-full",
            connect_timeout=CONNECT_SECONDS,
            tcp_user_timeout=SILENCE_SECONDS * 1000,
            keepalives_idle=SILENCE_SECONDS - 2,
            keepalives_interval=1,
            keepalives_count=2,
            client_encoding="UTF8",
            application_name=application,
            options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
        )
    session.autocommit = True
    return Connection(session, target, statement_seconds)


def replication(connection: Connection) -> Replication:
    """Return how the server stands to its source.

    `streaming` is seen by any user: only the details of the receiver need pg_read_all_stats.
    """
    found = connection.row(
        """
        select pg_is_in_recovery(),
               exists (select from pg_stat_wal_receiver
                       where pid is not null and coalesce(status, 'streaming') = 'streaming'),
               extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8,
               pg_last_wal_replay_lsn()::text
        """
    )
    assert found is not None
    in_recovery, streaming, lag, lsn = found
    return Replication(
        in_recovery=in_recovery,
        streaming=streaming,
        replay_lag_seconds=lag if in_recovery else None,
        last_replayed_lsn=lsn,
    )


CLOSED_WORDS = "is not currently accepting connections"
"""What a server says of a database that was closed to all (datallowconn is false)."""

# What libpq says of a refused sign-in; it hands no SQLSTATE out before a session stands.
_DENIED_WORDS = (
    "password authentication failed",
    "no pg_hba.conf entry",
    "no password supplied",
    "does not exist",
    "is not permitted to log in",
    CLOSED_WORDS,
    "permission denied for database",
)
_DENIED_CLASSES = ("28", "3D")
_DENIED_CODES = {"42501"}
_READ_ONLY = "25006"
_UNREACHABLE_CLASSES = ("08", "57P", "53")


@contextmanager
def _translated(target: Target) -> Generator[None]:
    import psycopg2  # noqa: PLC0415

    try:
        yield
    except psycopg2.Error as error:
        raise _translate(error, target) from error


def _translate(error: Exception, target: Target) -> errors.DatabaseError:
    code = cast("str", getattr(error, "pgcode", None) or "")
    message = str(error).strip()
    if "root certificate file" in message:
        message = f"{message}; set PGSSLROOTCERT to the authority's file (RDS: its global bundle)"
        return errors.DatabaseDeniedError(str(target), message)
    return _kind(error, code, message)(str(target), message, code)


def _kind(error: Exception, code: str, message: str) -> type[errors.DatabaseError]:
    import psycopg2  # noqa: PLC0415

    if code == _READ_ONLY:
        return errors.DatabaseReadOnlyError
    if code in _DENIED_CODES or code.startswith(_DENIED_CLASSES):
        return errors.DatabaseDeniedError
    if code.startswith(_UNREACHABLE_CLASSES):
        return errors.DatabaseUnreachableError
    if not code and isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
        denied = any(words in message for words in _DENIED_WORDS)
        return errors.DatabaseDeniedError if denied else errors.DatabaseUnreachableError
    return errors.QueryFailedError
