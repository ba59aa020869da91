"""What can be asked of any product's data, whatever its schema.

Every check reads only, within the time it is given, and says what it could not look at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from recovery.database.postgres import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table outside the system's schemas."""

    schema: str
    name: str
    rows: int | None
    """Counted; None when counting would have taken too long."""
    estimate: int
    newest: datetime | None
    """Greatest value of its newest-looking time column, where one is indexed or the table small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something about the data that is not as it should be."""

    what: str
    """The object, such as `rlg.payments_id_seq`."""
    detail: str


def tables(connection: Connection, *, budget_seconds: float = 10.0) -> tuple[Table, ...]:
    """Return every table with its count of rows, in the order of their names."""
    raise NotImplementedError


def unvalidated_constraints(connection: Connection) -> tuple[Problem, ...]:
    """Return constraints that were never checked (NOT VALID), and invalid indexes."""
    raise NotImplementedError


def sequences_behind(connection: Connection) -> tuple[Problem, ...]:
    """Return sequences whose next value is not beyond the greatest in their column."""
    raise NotImplementedError


def orphans(connection: Connection, *, budget_seconds: float = 10.0) -> tuple[Problem, ...]:
    """Return foreign keys with rows that point to nothing."""
    raise NotImplementedError
