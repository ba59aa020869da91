"""The tables of a loss ledger: which rows only the old database has, and how to put them back."""

from __future__ import annotations

import re
from dataclasses import dataclass

from recovery.database import differences
from recovery.database.comparison import Listed
from recovery.database.errors import DatabaseDeniedError, QueryFailedError
from recovery.database.postgres import Connection
from recovery.steps.ledger_files import File, Lines, Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What was found in one table; None: not compared, and `note` says why."""

    table: str
    only_old: int | None
    changed: int | None
    note: str = ""
    renumbered: int = 0
    """Of `only_old`, those that replay.sql puts back under a new number."""
    file: File | None = None


class Comparison:
    """The old database beside the active one, table by table.

    `replay` gets a statement for each row that only the old one has.
    """

    def __init__(self, theirs: Connection, ours: Connection, writer: Writer, replay: Lines) -> None:
        self._theirs = theirs
        self._ours = ours
        self._writer = writer
        self._replay = replay
        self._moved: set[str] = set()
        """Tables of which rows get new numbers, or may point to such rows."""

    def tables(self) -> tuple[Table, ...]:
        """Compare them all, in the order in which their rows can be put back."""
        differences.open_snapshot(self._theirs)
        differences.normalise(self._ours)
        there = {table.name: table for table in differences.tables(self._ours)}
        return tuple(
            self._table(table, there.get(table.name), number)
            for number, table in enumerate(differences.tables(self._theirs), start=1)
        )

    def _table(self, table: Listed, other: Listed | None, number: int) -> Table:
        """Compare one table; one that cannot be read is said, and does not hold up the others."""
        self._theirs.execute("savepoint one_table")
        try:
            return self._rows(table, other, number)
        except (QueryFailedError, DatabaseDeniedError) as error:
            self._theirs.execute("rollback to savepoint one_table")
            why = f"could not be compared: {error.message}"
            return Table(table=table.name, only_old=None, changed=None, note=why)

    def _rows(self, table: Listed, other: Listed | None, number: int) -> Table:
        columns = differences.shared(table, other) if other else ()
        if other is None or not table.key or not set(table.key) <= set(columns):
            note = self._counted(table, other)
            return Table(table=table.name, only_old=None, changed=None, note=note)
        only_old = changed = renumbered = 0
        doubtful = sorted(table.parents & self._moved)
        safe = re.sub(r"[^A-Za-z0-9_.-]", "_", table.name)
        with self._writer.file(f"{number:04}-{safe}.jsonl") as file:
            for row in differences.differences(self._theirs, self._ours, table, columns):
                if row.other is None:
                    only_old += 1
                    renumbered += row.renumbered
                    points_to_itself = row.renumbered and table.name in table.parents
                    in_doubt = doubtful or points_to_itself
                    self._replay.line(_commented(row.insert) if in_doubt else row.insert)
                    file.line(f'{{"kind": "only-old", "row": {row.row}}}')
                else:
                    changed += 1
                    file.line(f'{{"kind": "changed", "row": {row.row}, "active": {row.other}}}')
            file.wanted = only_old + changed > 0
        if renumbered or (doubtful and only_old):
            self._moved.add(table.name)
        left = [column.name for column in table.columns if column.name not in columns]
        notes = {
            f"compared without {', '.join(left)}, other in the active one": left,
            f"{renumbered} rows get new numbers: the active one goes on from older": renumbered,
            f"in replay.sql as comments: rows of {', '.join(doubtful)} get new numbers": (
                doubtful and only_old
            ),
            "in replay.sql as comments: rows with new numbers may point to each other": (
                renumbered and table.name in table.parents
            ),
        }
        return Table(
            table=table.name,
            only_old=only_old,
            changed=changed,
            renumbered=renumbered,
            note="; ".join(note for note, holds in notes.items() if holds),
            file=file.made,
        )

    def _counted(self, table: Listed, other: Listed | None) -> str:
        rows = differences.count(self._theirs, table)
        if other is None:
            return f"{rows} rows; the active database has no such table"
        why = "its key is another one there" if table.key else "it has no primary key"
        return f"{rows} rows, {differences.count(self._ours, other)} in the active database; {why}"


def _commented(statement: str) -> str:
    """Return the statement as a comment, whatever its literals hold.

    A comment of SQL ends with a line feed or a carriage return (PostgreSQL's scan.l).
    """
    return "-- " + re.sub(r"\r\n|\r|\n", lambda end: f"{end.group()}-- ", statement)
