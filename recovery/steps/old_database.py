"""The database of a site that lost the product: kept as a snapshot, then put aside under a name.

It can never rejoin (Amazon RDS User Guide, Working with read replicas: a replica is made anew).
Put aside, its identifier is free for the replica, which so gets the endpoint that the site's hosts
know already, and whatever still wrote to the old endpoint finds a database that takes no writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from recovery import naming
from recovery.cloud import databases
from recovery.cloud.databases import AVAILABLE, Database
from recovery.cloud.errors import ConflictError, RejectedError
from recovery.engine import wait
from recovery.engine.errors import StepFailedError
from recovery.engine.plan import Report, Seen
from recovery.steps.case import Case
from recovery.steps.waiting import watch

SNAPSHOT_SECONDS = 2 * 3600.0
RENAME_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What stands in the region that is to be protected, `case.peer`'s."""

    placed: Database | None
    """Under the identifier of the topology."""
    aside: Database | None
    """Under the name of what was put aside in this epoch."""

    @property
    def old(self) -> Database | None:
        """The database that lost its role, wherever it is; None: there is none any more."""
        if self.aside is not None:
            return self.aside
        return self.placed if self.placed is not None and self.placed.source is None else None

    @property
    def replica(self) -> Database | None:
        """The replica under the topology's identifier, None as long as there is none."""
        return self.placed if self.placed is not None and self.placed.source else None


def look(case: Case, epoch: int) -> Standing:
    """Return what stands there now."""
    name, region = case.peer_deployment.database, case.turned.here
    return Standing(
        placed=databases.describe(region, name),
        aside=databases.describe(region, naming.isolated_id(name, epoch)),
    )


def is_kept(case: Case, epoch: int) -> Seen:
    """Say whether the snapshot of what never replicated can be restored from."""
    name = naming.kept_snapshot_id(case.peer_deployment.database, epoch)
    status = databases.snapshot_status(case.turned.here, name)
    if status is None and look(case, epoch).old is None:
        return Seen(holds=True, text=f"no old database is left in {case.peer.region}")
    return Seen(holds=status == AVAILABLE, text=f"snapshot {name} is {status or 'not made yet'}")


def is_snapshot_begun(case: Case, epoch: int) -> bool:
    """Say whether the snapshot was asked for."""
    name = naming.kept_snapshot_id(case.peer_deployment.database, epoch)
    return databases.snapshot_status(case.turned.here, name) is not None


def keep(case: Case, epoch: int, report: Report) -> None:
    """Take the snapshot and wait until it is there."""
    name = naming.kept_snapshot_id(case.peer_deployment.database, epoch)

    def asked() -> bool | None:
        old = look(case, epoch).old
        if old is None:
            raise StepFailedError(f"the old database vanished from {case.peer.region}")
        try:
            databases.create_snapshot(case.turned.here, old.id, name)
        except ConflictError:
            return True
        except RejectedError as error:
            if error.code != databases.BUSY:
                raise
            return None
        return True

    if not wait.until(asked, seconds=SNAPSHOT_SECONDS):
        raise StepFailedError(f"RDS took no snapshot {name} within {SNAPSHOT_SECONDS / 3600:.0f} h")
    if not watch(lambda: is_kept(case, epoch), report, seconds=SNAPSHOT_SECONDS):
        raise StepFailedError(f"{is_kept(case, epoch).text} after {SNAPSHOT_SECONDS / 3600:.0f} h")


def is_isolated(case: Case, epoch: int) -> Seen:
    """Say whether nothing reaches the old database under its old name, or deletes it."""
    found, region = look(case, epoch), case.turned.here
    old = found.old
    if old is None:
        return Seen(holds=True, text=f"no old database is left in {case.peer.region}")
    if found.aside is None or (found.placed is not None and found.placed.source is None):
        return Seen(holds=False, text=f"{case.peer_deployment.database} is {old.status}, in place")
    if old.status != AVAILABLE:
        return Seen(holds=False, text=f"{old.id} is {old.status}")
    protected = databases.placement(region, old.id).deletion_protection
    said = "protected from deletion" if protected else "not protected from deletion"
    return Seen(holds=protected, text=f"the old database is {old.id}, {said}")


def isolate(case: Case, epoch: int, report: Report) -> None:
    """Give the old database its new name, wait until it has it, and protect it from deletion."""
    region, name = case.turned.here, case.peer_deployment.database
    aside = naming.isolated_id(name, epoch)

    def renamed() -> Seen:
        found = look(case, epoch)
        if found.aside is not None and found.placed is None:
            holds = found.aside.status == AVAILABLE
            return Seen(holds=holds, text=f"{aside} is {found.aside.status}")
        if found.placed is not None and found.placed.source:
            return Seen(holds=True, text=f"{name} is a replica")
        if found.placed is not None and found.placed.status == AVAILABLE and found.aside is None:
            _try(lambda: databases.rename(region, name, aside))
        return Seen(
            holds=False, text=f"{name} is {found.placed.status if found.placed else 'gone'}"
        )

    if not watch(renamed, report, seconds=RENAME_SECONDS):
        raise StepFailedError(f"{is_isolated(case, epoch).text}; RDS did not rename it")

    def protected() -> Seen:
        seen = is_isolated(case, epoch)
        found = look(case, epoch).aside
        if not seen.holds and found is not None and found.status == AVAILABLE:
            _try(lambda: databases.protect(region, aside))
        return seen

    if not watch(protected, report, seconds=RENAME_SECONDS):
        raise StepFailedError(f"{is_isolated(case, epoch).text}; protect it by hand")


def _try(ask: Callable[[], None]) -> None:
    """Ask for a change; an instance that is busy is asked again later."""
    try:
        ask()
    except RejectedError as error:
        if error.code != databases.BUSY:
            raise
