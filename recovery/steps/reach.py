"""The product's database at the target, as far as this machine can reach it.

Databases are private: from a control host in the site's network they answer, from elsewhere they
do not, and recovery says what it therefore could not see.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypedDict, TypeVar, Unpack

from recovery import names
from recovery.cloud import databases, secrets
from recovery.cloud.databases import Database
from recovery.database import gate, postgres
from recovery.database.errors import DatabaseUnreachableError
from recovery.database.postgres import Connection
from recovery.engine.errors import OutsideError
from recovery.steps.case import Case

T = TypeVar("T")


class How(TypedDict, total=False):
    """How a connection is used, where it is not as always."""

    read_only: bool
    statement_seconds: float


@dataclass(frozen=True, slots=True)
class Unseen:
    """Why the database could not be asked."""

    why: str


def described(case: Case) -> Database | None:
    """Return what RDS says of the target's database."""
    return databases.describe(case.here, case.deployment.database)


def ask(
    case: Case,
    database: Database,
    question: Callable[[Connection], T],
    *,
    maintenance: bool = False,
) -> T | Unseen:
    """Return the answer of a question over a connection, or why there is none."""
    try:
        with connection(case, database, maintenance=maintenance) as connected:
            return question(connected)
    except OutsideError as error:
        return Unseen(str(error))


@contextmanager
def connection(
    case: Case,
    database: Database,
    *,
    maintenance: bool = False,
    **how: Unpack[How],
) -> Generator[Connection]:
    """Connect with the product's credentials, verifying the server's certificate.

    `maintenance`: not to the product's database, which may be closed, but to the server's own. The
    users and passwords of the peer's database are the same, as its catalogue replicates.
    """
    if database.host is None:
        raise DatabaseUnreachableError(database.id, "RDS has given it no endpoint yet")
    found = secrets.read_json(case.here, case.deployment.secret)
    connected = postgres.connect(
        postgres.Target(
            host=database.host,
            address=names.resolve(database.host, case.resolver)[0],
            port=database.port,
            name=gate.MAINTENANCE if maintenance else case.deployment.database_name,
        ),
        postgres.Credentials(
            username=found.get("username", ""), password=found.get("password", "")
        ),
        **how,
    )
    try:
        yield connected
    finally:
        connected.close()
