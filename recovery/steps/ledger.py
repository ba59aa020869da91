"""The loss ledger: what only the old site has, in files that an analyst can read and replay.

One JSON-lines file for each table that differs, `replay.sql` with inserts that leave present rows
alone, one for objects, and a manifest with counts and digests that is written last. They lie in the
active's site bucket, encrypted by its key, and hold customers' data; no secret is among them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

import msgspec

from recovery import naming
from recovery.cloud import objects
from recovery.cloud.databases import Database
from recovery.cloud.errors import NotFoundError
from recovery.cloud.objects import Object
from recovery.database import differences, gate
from recovery.database.differences import Listed
from recovery.database.errors import DatabaseDeniedError, QueryFailedError
from recovery.database.postgres import CLOSED_WORDS, Connection
from recovery.engine.errors import StepFailedError
from recovery.engine.plan import Report
from recovery.steps import reach
from recovery.steps.both_buckets import bucket_pairs, paired
from recovery.steps.case import Case
from recovery.steps.ledger_files import MANIFEST, File, Lines, Writer
from recovery.steps.old_database import look

STATEMENT_SECONDS = 600.0


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The manifest."""

    product: str
    epoch: int
    execution: str
    written_at: datetime
    old_database: str
    snapshot: str
    compared: str
    """How the databases were compared."""
    tables: tuple[Table, ...]
    replay: File | None
    only_old_objects: int
    newer_old_objects: int
    deleted_since_objects: int
    """Objects that customers deleted at the active site: no loss, and still in the old bucket."""
    objects: File | None
    not_compared: str = "sequences, large objects and unlogged tables"

    @property
    def text(self) -> str:
        """Say in one line what only the old site has."""
        told = [f"{each.only_old} rows in {each.table}" for each in self.tables if each.only_old]
        rows = ", ".join(told) or "0 rows"
        said = f"only there: {rows}, {self.only_old_objects} objects"
        if changed := [f"{each.changed} in {each.table}" for each in self.tables if each.changed]:
            said += f"; rows that differ: {', '.join(changed)}"
        if self.newer_old_objects:
            said += f"; {self.newer_old_objects} objects newer there"
        if unread := [each for each in self.tables if each.only_old is None]:
            said += f"; {len(unread)} tables not compared"
        return said if self.tables else f"{said} ({self.compared})"


def read(case: Case, epoch: int) -> Ledger | None:
    """Return the ledger of the epoch, None before it is whole."""
    key = naming.ledger_key(case.product.name, epoch, MANIFEST)
    try:
        document = objects.read(case.here, case.site.bucket, key)
    except NotFoundError:
        return None
    return msgspec.json.decode(document, type=Ledger)


def write(case: Case, epoch: int, standing_execution: str, report: Report) -> None:
    """Compare both sites and write the ledger; a file of an unfinished one is written anew."""
    old = look(case, epoch).old
    active = reach.described(case)
    if old is None or active is None:
        raise StepFailedError("a database vanished while the loss was to be told")
    writer = Writer(case, epoch)
    ledger = Ledger(
        product=case.product.name,
        epoch=epoch,
        execution=case.execution,
        written_at=datetime.now(UTC),
        old_database=old.id,
        snapshot=naming.kept_snapshot_id(case.peer_deployment.database, epoch),
        compared="row by row",
        tables=(),
        replay=None,
        only_old_objects=0,
        newer_old_objects=0,
        deleted_since_objects=0,
        objects=None,
    )
    if closed := why_closed(case, old, standing_execution):
        ledger = replace(ledger, compared=closed)
    else:
        tables, replay = _compare(case, old, active, writer, report)
        ledger = replace(ledger, tables=tables, replay=replay)
    ledger = _with_objects(case, ledger, writer)
    writer.finish(json.dumps(asdict(ledger), indent=2, default=str).encode())
    report.say(ledger.text)
    for each in ledger.tables:
        if each.note:
            report.say(f"{each.table}: {each.note}")


def why_closed(case: Case, old: Database, standing_execution: str) -> str | None:
    """Say why the old database cannot be read but need not be; None where it can.

    A switchover closes it once everything of it had replicated, and proves that by its position in
    the log before it promotes. Raise StepFailedError where it is closed and no switchover was.
    """
    try:
        with reach.connection(case.turned, old, read_only=True):
            return None
    except DatabaseDeniedError as error:
        if CLOSED_WORDS not in error.message:
            raise
        if not standing_execution.startswith("switchover"):
            raise StepFailedError(
                f"{old.id} is closed, and no switchover closed it: alter database "
                f"{case.deployment.database_name} with allow_connections true, from its database "
                f"{gate.MAINTENANCE}"
            ) from error
    with reach.connection(case.turned, old, maintenance=True, read_only=True) as connection:
        position = connection.row("select pg_current_wal_lsn()::text")
    return (
        f"closed by {standing_execution}, which proved that everything had replicated; "
        f"its log ends at {position[0] if position else 'an unknown position'}"
    )


def _compare(
    case: Case, old: Database, active: Database, writer: Writer, report: Report
) -> tuple[tuple[Table, ...], File | None]:
    """Compare every table over two connections, the old one in one snapshot of it all."""
    with (
        reach.connection(
            case.turned, old, read_only=True, statement_seconds=STATEMENT_SECONDS
        ) as theirs,
        reach.connection(case, active, read_only=True, statement_seconds=STATEMENT_SECONDS) as ours,
        writer.file("replay.sql") as replay,
    ):
        replay.line(
            f"-- Rows that only {old.id} has. Look at them, then: psql -f replay.sql\n"
            f"begin;\n{differences.AS_TEXT};"
        )
        tables = _Comparison(theirs, ours, writer, replay).tables()
        replay.line("commit;")
        replay.wanted = any(each.only_old for each in tables)
    report.say(f"{len(tables)} tables compared")
    return tables, replay.made


class _Comparison:
    """The old database beside the active one, table by table."""

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
                    self._replay.line(
                        f"-- {row.insert}" if doubtful or points_to_itself else row.insert
                    )
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


def _with_objects(case: Case, ledger: Ledger, writer: Writer) -> Ledger:
    counts = {"only-old": 0, "newer-old": 0, "deleted-since": 0}
    with writer.file("objects.jsonl") as file:
        for ours, theirs in bucket_pairs(case):
            for kind, found in _left(case, ours, theirs):
                counts[kind] += 1
                file.line(
                    json.dumps(
                        {
                            "kind": kind,
                            "bucket": theirs,
                            "key": found.key,
                            "version": objects.version(case.turned.here, theirs, found.key),
                            "size": found.size,
                            "last_modified": found.last_modified.isoformat(),
                        }
                    )
                )
        file.wanted = sum(counts.values()) > 0
    return replace(
        ledger,
        only_old_objects=counts["only-old"],
        newer_old_objects=counts["newer-old"],
        deleted_since_objects=counts["deleted-since"],
        objects=file.made,
    )


def _left(case: Case, ours: str, theirs: str) -> Iterator[tuple[str, Object]]:
    """Yield what the old bucket has and the active one lacks, or has in an older state."""
    both = paired(objects.listing(case.here, ours), objects.listing(case.turned.here, theirs))
    for one, other in both:
        if other is None:
            continue
        if one is None:
            gone = objects.deleted(case.here, ours, other.key)
            yield ("deleted-since" if gone else "only-old"), other
        elif other.last_modified > one.last_modified and (other.size, other.etag) != (
            one.size,
            one.etag,
        ):
            yield "newer-old", other
