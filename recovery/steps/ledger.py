"""The loss ledger: what only the old site has, in files that an analyst can read and replay.

One JSON-lines file for each table that differs, `replay.sql` with inserts that leave present rows
alone, one for objects, and a manifest with counts and digests that is written last. They lie in the
active's site bucket, encrypted by its key, and hold customers' data; no secret is among them.
"""

from __future__ import annotations

import json
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
from recovery.database.errors import DatabaseDeniedError
from recovery.database.postgres import CLOSED_WORDS
from recovery.engine.errors import StepFailedError
from recovery.engine.plan import Report
from recovery.steps import reach
from recovery.steps.both_buckets import bucket_pairs, paired
from recovery.steps.case import Case
from recovery.steps.ledger_files import MANIFEST, File, Writer
from recovery.steps.ledger_tables import Comparison, Table
from recovery.steps.old_database import look

STATEMENT_SECONDS = 600.0


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
        tables = Comparison(theirs, ours, writer, replay).tables()
        replay.line("commit;")
        replay.wanted = any(each.only_old for each in tables)
    report.say(f"{len(tables)} tables compared")
    return tables, replay.made


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
