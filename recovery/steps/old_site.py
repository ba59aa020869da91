"""The site that a planned move leaves, while it is alive: its database, and all three tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from recovery import assignment
from recovery.assign import shown
from recovery.assignment import Assignment
from recovery.cloud import databases
from recovery.cloud.client import Region
from recovery.cloud.databases import Database
from recovery.database.errors import DatabaseUnreachableError
from recovery.database.postgres import Connection
from recovery.engine.errors import OutsideError
from recovery.steps import check
from recovery.steps.case import Case
from recovery.steps.reach import connection
from recovery.steps.takeover import Takeover

T = TypeVar("T")
VERB = "switchover"


def region(case: Case) -> Region:
    """Return the peer's region as one that is alive: with retries, and time to answer."""
    return Region(case.peer.region)


def is_needed(going: Takeover) -> bool:
    """Say whether a planned move still needs the old site: until its recovery point is recorded.

    The point says that the old database is closed and the new one has all of it. From then on the
    promotion may have been asked for, and that cannot be taken back. An execution that wrote the
    point knows that none before it asked.
    """
    if going.promoted:
        return False
    if going.recorded:
        return True
    return not (going.resumes and is_planned(going) and going.is_recorded().holds)


def is_planned(going: Takeover) -> bool:
    """Say whether a switchover began this epoch, and not a failover."""
    return going.begun.startswith(f"{VERB}-")


def database(case: Case) -> Database | None:
    """Return what RDS says of the peer's database."""
    return databases.describe(region(case), case.peer_deployment.database)


def ask(case: Case, question: Callable[[Connection], T]) -> T:
    """Ask the peer's server in its maintenance database; raise an OutsideError if it is away."""
    found = database(case)
    if found is None:
        raise DatabaseUnreachableError(case.peer_deployment.database, "there is no such instance")
    with connection(case, found, maintenance=True) as session:
        return question(session)


def standing(case: Case) -> Assignment | None:
    """Return the newest assignment that any of the three tables holds.

    The peer's counts where it is newer: what an earlier switchover wrote may have reached that
    table alone. Raise RefusedError where neither of the others answers.
    """
    known = check.standing(case)
    try:
        theirs = assignment.read(region(case), case.peer.control_table, case.product.name)
    except OutsideError:
        return known
    return assignment.newest([known, theirs])


def newest(case: Case) -> tuple[Assignment | None, list[str]]:
    """Return the newest assignment and the regions whose tables lack it.

    Raise an OutsideError where a table does not answer.
    """
    told: dict[str, Assignment | None] = {}
    for name, answer in shown(case).items():
        if isinstance(answer, OutsideError):
            raise answer
        told[name] = answer
    now = assignment.newest(told.values())
    lacking = [
        name
        for name, each in told.items()
        if now and (each is None or (each.site, each.epoch) != (now.site, now.epoch))
    ]
    return now, lacking


def write(case: Case, wanted: Assignment) -> None:
    """Write the assignment into all three tables.

    The two that a failover reads come first: what reached the old site's alone would be unknown
    once that site is dark. All three answer, so none is enough alone any more.
    """
    for where, table in (
        (case.here, case.site.control_table),
        (case.witness, case.topology.witness.control_table),
        (region(case), case.peer.control_table),
    ):
        assignment.write(where, table, case.product.name, replace(wanted, alone=""))
