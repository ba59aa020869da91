"""Promoting the replica at the target, and the snapshot of the new active database."""

from __future__ import annotations

import time
from datetime import timedelta

from recovery import naming
from recovery.cloud import databases
from recovery.cloud.errors import ConflictError, DeniedError, RejectedError
from recovery.database import gate, postgres
from recovery.engine import wait
from recovery.engine.errors import OutsideError, RefusedError, StepFailedError
from recovery.engine.plan import Report, Seen
from recovery.steps.case import Case
from recovery.steps.reach import Unseen, ask, connection, described

FORECAST = timedelta(minutes=5)
"""Amazon RDS User Guide, "Promoting a read replica": several minutes or longer, by the size of the
database, and a reboot. Four minutes and one are taken."""
_SNAPSHOT_SECONDS = 600.0
_OPENING_SECONDS = 10.0


def standby_is_writer(case: Case) -> Seen:
    """Say whether RDS calls the database a writer that is available, and it says so itself."""
    database = described(case)
    if database is None:
        return Seen(holds=False, text=f"{case.deployment.database} does not exist")
    if database.source is not None:
        return Seen(holds=False, text=f"{database.id} is {database.status}, still a replica")
    if database.status != databases.AVAILABLE:
        return Seen(holds=False, text=f"{database.id} is promoted and {database.status}")
    replication = ask(case, database, postgres.replication, maintenance=True)
    if isinstance(replication, Unseen):
        return Seen(
            holds=True,
            text=f"{database.id} is a writer; it could not be asked itself ({replication.why})",
        )
    if replication.in_recovery:
        return Seen(holds=False, text=f"{database.id} says that it is still in recovery")
    return Seen(holds=True, text=f"{database.id} is a writer")


def promote(case: Case, report: Report) -> None:
    """Promote the replica and wait until it accepts writes, at most the product's RTO."""
    deadline = time.monotonic() + case.rto_seconds
    asked = wait.until(lambda: _asked(case, report), seconds=case.rto_seconds)
    if asked is None:
        raise StepFailedError(
            f"{case.deployment.database} could not be promoted within the RTO "
            f"({case.rto_seconds:.0f} s)"
        )
    seen = wait.until(
        lambda: standby_is_writer(case).holds or None, seconds=deadline - time.monotonic()
    )
    if seen is None:
        raise StepFailedError(
            f"{case.deployment.database} was promoted and is not a writer after the RTO "
            f"({case.rto_seconds:.0f} s): {standby_is_writer(case).text}"
        )


def _asked(case: Case, report: Report) -> bool | None:
    """Ask for the promotion unless it is under way; None: RDS is not ready to be asked."""
    database = described(case)
    if database is None:
        raise StepFailedError(f"{case.deployment.database} has vanished from {case.site.region}")
    if database.source is None:
        return True
    if database.status != databases.AVAILABLE:
        return None
    try:
        databases.promote(case.here, database.id, case.deployment.backup_retention_days)
    except RejectedError as error:
        if error.code != databases.BUSY:
            raise RefusedError(f"RDS refused the promotion: {error}") from error
        report.say(f"RDS is not ready to promote: {error}")
        return None
    except DeniedError as error:
        raise RefusedError(str(error)) from error
    return True


def is_open(case: Case) -> Seen:
    """Say whether the database takes sessions; what a switchover closed replicates as closed."""
    name, database = case.deployment.database_name, described(case)
    if case.product.engine != "postgres" or database is None:
        return Seen(holds=True, text=f"{case.product.engine} is never closed")
    found = ask(case, database, lambda session: gate.is_open(session, name), maintenance=True)
    if isinstance(found, Unseen):
        return Seen(holds=False, text=f"{name} could not be asked ({found.why})")
    return Seen(
        holds=found is not False, text=f"{name} is {'closed' if found is False else 'open'}"
    )


def open_(case: Case) -> None:
    """Open the promoted database to sessions; raise an OutsideError where it cannot be reached."""
    name = case.deployment.database_name

    def opened() -> bool | None:
        if (database := described(case)) is None:
            return None
        with connection(case, database, maintenance=True) as session:
            gate.open_(session, name)
        return True

    if wait.until(opened, seconds=_OPENING_SECONDS) is None:
        raise StepFailedError(f"{case.deployment.database} has vanished from {case.site.region}")


def open_if_reached(case: Case, report: Report) -> None:
    """Open the database; from outside the site's network go on, as it is hardly ever closed."""
    try:
        open_(case)
    except OutsideError as error:
        report.deviate(
            f"nobody could see whether a switchover left the database closed ({error}); if the "
            "service does not work, run again on a control host"
        )


def is_snapshot_begun(case: Case, epoch: int) -> Seen:
    """Say whether the new active's snapshot exists, or is being made."""
    name = naming.snapshot_id(case.deployment.database, epoch)
    status = databases.snapshot_status(case.here, name)
    if status is None:
        return Seen(holds=False, text=f"no snapshot {name}")
    return Seen(holds=status in {"creating", "available"}, text=f"snapshot {name} is {status}")


def begin_snapshot(case: Case, epoch: int, report: Report) -> None:
    """Start the snapshot, from which a restore can begin; without it the plan goes on."""
    name = naming.snapshot_id(case.deployment.database, epoch)

    def started() -> bool | None:
        try:
            databases.create_snapshot(case.here, case.deployment.database, name)
        except ConflictError:
            return True
        except RejectedError as error:
            if error.code != databases.BUSY:
                raise
            return None
        return True

    try:
        begun = wait.until(started, seconds=_SNAPSHOT_SECONDS)
    except OutsideError as error:
        report.deviate(f"no snapshot of the new active database: {error}")
        return
    if not begun or not is_snapshot_begun(case, epoch).holds:
        report.deviate(f"{is_snapshot_begun(case, epoch).text}; take one by hand")
