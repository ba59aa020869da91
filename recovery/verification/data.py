"""The data, asked over a connection where the database can be reached."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from recovery.database import checks
from recovery.steps import reach
from recovery.verification.findings import Finding, failed, ok, unverified

if TYPE_CHECKING:
    from collections.abc import Callable

    from recovery.database.checks import Budget, Result, Table
    from recovery.database.postgres import Connection
    from recovery.steps.case import Case

SECONDS = 10.0
"""What each of the checks may take."""
_SHOWN = 3


def data(case: Case, seconds: float = SECONDS) -> list[Finding]:
    """Check constraints, keys, sequences, row counts and the newest rows of any schema."""
    if case.product.engine != "postgres":
        return [unverified("data", f"{case.product.engine} databases are not looked into")]
    database = reach.described(case)
    if database is None or database.host is None:
        return [unverified("data", f"there is no database {case.deployment.database} to ask")]
    found = reach.ask(case, database, lambda connection: inspect(connection, seconds))
    if isinstance(found, reach.Unseen):
        return [unverified("data", f"{found.why}; run it on a control host of the site")]
    return found


def inspect(connection: Connection, seconds: float = SECONDS) -> list[Finding]:
    """Return what the checks find over this connection."""
    looks: tuple[tuple[str, Callable[[Connection, Budget], Result], str], ...] = (
        ("constraints", checks.constraints, "hold"),
        ("foreign keys", checks.foreign_keys, "point to rows"),
        ("sequences", checks.sequences, "are ahead of their columns"),
    )
    found = [
        _judged(what, check(connection, checks.Budget(seconds)), good)
        for what, check, good in looks
    ]
    return [*found, _counted(checks.tables(connection, checks.Budget(seconds)))]


def _judged(what: str, result: Result, good: str) -> Finding:
    if result.problems:
        return failed(f"data {what}", _listed(result.problems))
    if result.skipped:
        return unverified(f"data {what}", f"{result.checked} {good}; {_listed(result.skipped)}")
    return ok(f"data {what}", f"{result.checked} {good}")


def _listed(notes: tuple[checks.Note, ...]) -> str:
    shown = "; ".join(f"{note.what} {note.detail}" for note in notes[:_SHOWN])
    return shown + (f"; and {len(notes) - _SHOWN} more" if len(notes) > _SHOWN else "")


def _counted(tables: tuple[Table, ...]) -> Finding:
    """Judge the counts. Without a figure to compare with they say what is there, no more."""
    if not tables:
        return unverified("data rows", "the database has no table")
    counted = [table.rows for table in tables if table.rows is not None]
    said = f"{len(tables)} tables, {sum(counted):,} rows"
    if rest := [table for table in tables if table.rows is None]:
        about = sum(table.estimate for table in rest)
        first = "; ".join(f"{table.name} {table.skipped}" for table in rest[:_SHOWN])
        said += f" and about {about:,} in {len(rest)} that were not counted ({first})"
    newest = max(
        ((table.newest, table.name) for table in tables if table.newest is not None), default=None
    )
    if newest is not None:
        age = max(0.0, (datetime.now(UTC) - newest[0]).total_seconds())
        said += f"; newest row {age:,.0f} s old, in {newest[1]}"
    return ok("data rows", said) if counted else unverified("data rows", said)
