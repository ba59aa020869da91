"""The data, asked over a connection where the database can be reached.

What `python -m recovery.verify --record` saw while all was well is the measure: a problem that the
data had then is told and held against nobody, and a table that had rows must still have some.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from recovery.database import checks
from recovery.engine.errors import OutsideError
from recovery.steps import reach
from recovery.verification import records
from recovery.verification.findings import Finding, failed, ok, unverified

if TYPE_CHECKING:
    from collections.abc import Callable

    from recovery.database.checks import Budget, Result, Table
    from recovery.database.postgres import Connection
    from recovery.steps.case import Case

SECONDS = 10.0
"""What each of the checks may take."""
_SHOWN = 3


T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What the data was like when it was recorded."""

    taken_at: datetime
    rows: dict[str, int | None]
    """Table → rows; None where they were not counted."""
    problems: tuple[str, ...]


def baseline_key(product: str) -> str:
    """Return where a site's bucket keeps the product's baseline."""
    return f"manifests/{product}-data.json"


def record(case: Case, seconds: float = SECONDS) -> Finding:
    """Take the baseline of the data at the case's site, and leave it in both sites' buckets."""

    def take(connection: Connection) -> Baseline:
        return Baseline(
            taken_at=datetime.now(UTC),
            rows={table.name: table.rows for table in _tables(connection, seconds)},
            problems=tuple(
                _told(note)
                for _, result, _ in _results(connection, seconds)
                for note in result.problems
            ),
        )

    try:
        baseline = _asked(case, take)
        if isinstance(baseline, Finding):
            return baseline
        records.keep(case, baseline_key(case.product.name), baseline)
    except OutsideError as error:
        return failed("data", str(error))
    return ok("data", f"{len(baseline.rows)} tables, {len(baseline.problems)} known problems")


def data(case: Case, seconds: float = SECONDS) -> list[Finding]:
    """Check constraints, keys, sequences, row counts and the newest rows of any schema."""
    baseline = records.kept(case, baseline_key(case.product.name), Baseline)
    found = _asked(case, lambda connection: inspect(connection, baseline, seconds))
    return [found] if isinstance(found, Finding) else found


def inspect(
    connection: Connection, baseline: Baseline | None = None, seconds: float = SECONDS
) -> list[Finding]:
    """Return what the checks find over this connection, measured by the baseline."""
    known = set(baseline.problems) if baseline else set[str]()
    found = [
        _judged(what, result, good, known) for what, result, good in _results(connection, seconds)
    ]
    return [*found, _counted(_tables(connection, seconds), baseline)]


def _asked(case: Case, question: Callable[[Connection], T]) -> T | Finding:
    """Return the answer over a connection, or the finding that there is none."""
    if case.product.engine != "postgres":
        return unverified("data", f"{case.product.engine} databases are not looked into")
    database = reach.described(case)
    if database is None or database.host is None:
        return unverified("data", f"there is no database {case.deployment.database} to ask")
    found = reach.ask(case, database, question)
    if isinstance(found, reach.Unseen):
        return unverified("data", f"{found.why}; run it on a control host of the site")
    return found


def _results(connection: Connection, seconds: float) -> list[tuple[str, Result, str]]:
    looks: tuple[tuple[str, Callable[[Connection, Budget], Result], str], ...] = (
        ("constraints", checks.constraints, "hold"),
        ("foreign keys", checks.foreign_keys, "point to rows"),
        ("sequences", checks.sequences, "are ahead of their columns"),
    )
    return [(what, check(connection, checks.Budget(seconds)), good) for what, check, good in looks]


def _tables(connection: Connection, seconds: float) -> tuple[Table, ...]:
    return checks.tables(connection, checks.Budget(seconds))


def _judged(what: str, result: Result, good: str, known: set[str]) -> Finding:
    told = [_told(note) for note in result.problems]
    if fresh := [each for each in told if each not in known]:
        return failed(f"data {what}", _listed(fresh))
    said = f"{result.checked - len(told)} {good}"
    if told:
        said += f"; as it was when recorded: {_listed(told)}"
    if result.skipped:
        skipped = _listed([_told(note) for note in result.skipped])
        return unverified(f"data {what}", f"{said}; not looked at: {skipped}")
    return ok(f"data {what}", said)


def _told(note: checks.Note) -> str:
    return f"{note.what} {note.detail}"


def _listed(told: list[str]) -> str:
    more = f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return "; ".join(told[:_SHOWN]) + more


def _counted(tables: tuple[Table, ...], baseline: Baseline | None) -> Finding:
    """Judge the counts; without a baseline they say what is there, no more."""
    if not tables:
        return unverified("data rows", "the database has no table")
    said = _described(tables)
    counted = {table.name: table.rows for table in tables}
    if baseline is not None:
        gone = [name for name in baseline.rows if name not in counted]
        emptied = [name for name, rows in baseline.rows.items() if rows and counted.get(name) == 0]
        if gone or emptied:
            told = [f"{name} is gone" for name in gone] + [f"{name} is empty" for name in emptied]
            return failed("data rows", f"{_listed(told)}; recorded otherwise; {said}")
        both = [(rows, baseline.rows.get(name)) for name, rows in counted.items()]
        change = sum(now - then for now, then in both if now is not None and then is not None)
        said += f"; {change:+,} since recorded"
    if all(rows is None for rows in counted.values()):
        return unverified("data rows", said)
    return ok("data rows", said)


def _described(tables: tuple[Table, ...]) -> str:
    counted = [table.rows for table in tables if table.rows is not None]
    said = f"{len(tables)} tables, {sum(counted):,} rows"
    if rest := [table for table in tables if table.rows is None]:
        about = sum(table.estimate for table in rest)
        why = _listed([f"{table.name} {table.skipped}" for table in rest])
        said += f" and about {about:,} in {len(rest)} that were not counted ({why})"
    newest = max(
        ((table.newest, table.name) for table in tables if table.newest is not None), default=None
    )
    if newest is not None:
        age = max(0.0, (datetime.now(UTC) - newest[0]).total_seconds())
        said += f"; newest row {age:,.0f} s old, in {newest[1]}"
    return said
