"""What can be asked of any product's data, whatever its schema.

Every check only reads, in the order of size so that most is seen before the time runs out, and
says what it could not look at. Excluded are the system's schemas and our own, `standby`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from recovery.database import catalogue
from recovery.database.errors import DatabaseDeniedError, QueryFailedError
from recovery.database.postgres import QUERY_CANCELED

if TYPE_CHECKING:
    from datetime import datetime

    from recovery.database.postgres import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something about one object of the database."""

    what: str
    """The object, quoted where SQL needs it, such as `rlg.payments_id_seq`."""
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one check saw."""

    checked: int
    """How many objects it looked at."""
    problems: tuple[Note, ...]
    skipped: tuple[Note, ...]
    """What it could not look at, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table; partitions count for the table they belong to."""

    name: str
    """With its schema, quoted where SQL needs it."""
    rows: int | None
    """Counted; None where it was not, and `skipped` says why."""
    estimate: int
    """What the planner believes; 0 when it was never analysed."""
    newest: datetime | None
    """Latest time, up to now, in the columns that look like a row's time of writing."""
    skipped: str = ""


class Budget:
    """Seconds that a check may take, shared by its statements; counted from its making."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def slice(self) -> float:
        """Return the seconds that the next statement may take; a moment even when none is left.

        A moment is enough to ask a small table, and whatever an index answers.
        """
        return max(_MOMENT_SECONDS, self._end - time.monotonic())


_MOMENT_SECONDS = 0.02


def tables(connection: Connection, budget: Budget) -> tuple[Table, ...]:
    """Return every table with its count of rows and its newest row, smallest first."""
    return tuple(
        _count(connection, budget, _Listed(*found))
        for found in connection.rows(catalogue.TABLES, (catalogue.LARGE_PAGES,) * 2)
    )


def constraints(connection: Connection, budget: Budget) -> Result:
    """Look at the constraints and unique indexes that the server does not vouch for.

    A validated constraint holds by the server's word. One declared NOT VALID is evaluated here
    against the rows; an invalid unique index is a problem.
    """
    found = connection.rows(catalogue.CONSTRAINTS)
    tally = _Tally(connection, budget)
    for name, validated, statement in found:
        if validated:
            tally.checked += 1
        elif statement is None:
            tally.problem(name, "is an invalid index: reindex it")
        else:
            tally.look(name, statement, "is declared NOT VALID, and there are rows against it")
    return tally.result()


def foreign_keys(connection: Connection, budget: Budget) -> Result:
    """Look for rows that point to nothing: all rows of small tables, a sample of large ones.

    Triggers keep foreign keys, and whoever disables them (a restore, a replication tool) leaves
    orphans behind that no constraint reports.
    """
    tally = _Tally(connection, budget)
    for name, statement in connection.rows(catalogue.FOREIGN_KEYS, (catalogue.LARGE_PAGES,) * 2):
        tally.look(name, statement, "has rows that point to nothing")
    return tally.result()


def sequences(connection: Connection, budget: Budget) -> Result:
    """Look for sequences whose next value is already behind the unique column they feed.

    The first insert after a failover would then fail with a duplicate key.
    """
    tally = _Tally(connection, budget)
    for name, column, statement in connection.rows(catalogue.SEQUENCES):
        tally.look(name, statement, f"is not ahead of {column}: the next insert may collide")
    return tally.result()


class _Tally:
    """Collects what statements find; each returns a row where there is a problem."""

    def __init__(self, connection: Connection, budget: Budget) -> None:
        self._connection = connection
        self._budget = budget
        self.checked = 0
        self._problems: list[Note] = []
        self._skipped: list[Note] = []

    def look(self, what: str, statement: str, detail: str) -> None:
        try:
            found = self._connection.rows(statement, seconds=self._budget.slice())
        except (QueryFailedError, DatabaseDeniedError) as error:
            self._skipped.append(Note(what=what, detail=_why(error)))
            return
        self.checked += 1
        if found:
            self.problem(what, detail)

    def problem(self, what: str, detail: str) -> None:
        self._problems.append(Note(what=what, detail=detail))

    def result(self) -> Result:
        return Result(
            checked=self.checked,
            problems=tuple(self._problems),
            skipped=tuple(self._skipped),
        )


class _Listed(NamedTuple):
    """A row of `catalogue.TABLES`."""

    name: str
    estimate: int
    counting: str
    """Statement for the count and, in a small table, the newest time."""
    latest: str | None
    """Statement for the newest time of a large table, where an index has it."""
    unlogged: bool


def _count(connection: Connection, budget: Budget, listed: _Listed) -> Table:
    counted: tuple[Any, ...] = (None, None)
    skipped = ""
    try:
        if listed.latest is not None:
            counted = (None, *connection.rows(listed.latest, seconds=budget.slice())[0])
        rows, newest = connection.rows(listed.counting, seconds=budget.slice())[0]
        counted = (rows, newest or counted[1])
    except (QueryFailedError, DatabaseDeniedError) as error:
        skipped = "is unlogged: not replicated" if listed.unlogged else _why(error)
    return Table(
        name=listed.name,
        rows=counted[0],
        newest=counted[1],
        estimate=listed.estimate,
        skipped=skipped,
    )


def _why(error: QueryFailedError | DatabaseDeniedError) -> str:
    return "took too long" if error.code == QUERY_CANCELED else error.message
