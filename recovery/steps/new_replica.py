"""The replica of the active database in the region that is to be protected."""

from __future__ import annotations

from recovery import naming
from recovery.cloud import databases
from recovery.cloud.databases import AVAILABLE, FAILED, Database
from recovery.cloud.errors import ConflictError, RejectedError
from recovery.database import postgres
from recovery.engine.errors import RefusedError, StepFailedError
from recovery.engine.plan import Report, Seen
from recovery.steps import reach
from recovery.steps.case import Case
from recovery.steps.old_database import look
from recovery.steps.reach import Unseen
from recovery.steps.waiting import watch

REPLICA_SECONDS = 6 * 3600.0
"""A replica of a large database copies all of it first; the stacks allow as long."""
RETENTION_DAYS = 1
"""Backups of a replica are on, so that its promotion has not to switch them on."""


def replicates_active(case: Case, replica: Database) -> bool:
    """Say whether it is a replica of the active site's database, by ARN or identifier."""
    return (replica.source or "").rpartition(":")[2] == case.deployment.database


def is_streaming(case: Case, epoch: int) -> Seen:
    """Say whether the replica is there, keeps backups and follows."""
    name, replica = case.peer_deployment.database, look(case, epoch).replica
    if replica is None:
        return Seen(holds=False, text=f"there is no replica {name} in {case.peer.region}")
    if replica.status != AVAILABLE:
        return Seen(holds=False, text=f"replica {name} is {replica.status}")
    if replica.retention_days == 0:
        return Seen(holds=False, text=f"replica {name} keeps no backups")
    asked = reach.ask(case.turned, replica, postgres.replication)
    if isinstance(asked, Unseen):
        holds = replica.replication == "replicating"
        said = f"RDS calls it {replica.replication or 'nothing'}; {asked.why}"
        return Seen(holds=holds, text=f"replica {name} could not be asked itself: {said}")
    lag = asked.replay_lag_seconds
    behind = "nothing replayed yet" if lag is None else f"{lag:.1f} s behind"
    return Seen(
        holds=asked.streaming,
        text=f"replica {name} {'streams' if asked.streaming else 'does not stream'}, {behind}",
    )


def make(case: Case, epoch: int, report: Report) -> None:
    """Make the replica as its site's old database is placed; wait until it streams."""
    region = case.turned.here

    def going() -> Seen:
        replica = look(case, epoch).replica
        if replica is not None and replica.status == FAILED:
            raise StepFailedError(
                f"replica {replica.id} is {FAILED}: see its events in RDS, then delete it: aws rds "
                f"delete-db-instance --region {region.name} --db-instance-identifier {replica.id} "
                "--skip-final-snapshot"
            )
        if replica is None:
            _create(case, epoch)
        elif replica.status == AVAILABLE and replica.retention_days == 0:
            _unless_busy_keep_backups(case)
        return is_streaming(case, epoch)

    if not watch(going, report, seconds=REPLICA_SECONDS):
        raise StepFailedError(
            f"{is_streaming(case, epoch).text} after {REPLICA_SECONDS / 3600:.0f} h; look at the "
            f"instance's events in RDS ({region.name})"
        )


def _create(case: Case, epoch: int) -> None:
    region, name = case.turned.here, case.peer_deployment.database
    source = reach.described(case)
    if source is None:
        raise RefusedError(f"{case.deployment.database} vanished from {case.site.region}")
    like = databases.placement(region, naming.isolated_id(name, epoch))
    try:
        databases.create_replica(region, name, source, case.site.region, like)
    except ConflictError:
        return  # it is there already: asked for before, or the old name is not free yet
    except RejectedError as error:
        if error.code != databases.BUSY:
            raise RefusedError(f"RDS made no replica: {error}") from error


def _unless_busy_keep_backups(case: Case) -> None:
    try:
        databases.keep_backups(case.turned.here, case.peer_deployment.database, RETENTION_DAYS)
    except RejectedError as error:
        if error.code != databases.BUSY:
            raise
