"""Would the target's database do: its state, its replication, and what its promotion would lose."""

from __future__ import annotations

import math

from recovery.assignment import Assignment
from recovery.cloud import databases
from recovery.cloud.databases import Database
from recovery.engine.errors import OutsideError
from recovery.steps.case import Case
from recovery.steps.finding import Finding, refused
from recovery.steps.loss import Loss, predict

PROMOTING = {"modifying", "rebooting"}
_BROKEN_REPLICATION = {"error", "stopped", "terminated", "replication stop point set"}


def about_database(
    case: Case,
    database: Database | OutsideError | None,
    now_active: Assignment | OutsideError | None,
    *,
    healthy_now: bool,
) -> tuple[list[Finding], Loss | None]:
    """Judge the database, and what its promotion would lose while it is a replica."""
    if isinstance(database, OutsideError):
        return [refused("database", str(database))], None
    promoted = database is not None and database.source is None
    now = now_active if isinstance(now_active, Assignment) else None
    ours = now if now and now.site == case.site.name else None
    if ours and database and database.source and database.status in PROMOTING:
        return [_promoting(database)], None
    if ours and (ours.settled or promoted):
        findings = [_writer(case, database)]
    else:
        findings = [_database(case, database, healthy_now=healthy_now)]
    if database is None or database.source is None:
        return findings, None
    try:
        loss = predict(case, database, healthy_now=healthy_now)
    except OutsideError as error:
        return [*findings, refused("loss", str(error))], None
    return [*findings, _loss(case, loss)], loss


def _writer(case: Case, database: Database | None) -> Finding:
    """Look at the database of a site that is active, or has been promoted to become it."""
    name = case.deployment.database
    if database is None:
        return refused("database", f"there is no database {name} in {case.site.region}")
    kind = "replicates nothing" if database.source is None else "is still a replica"
    return Finding(check="database", verdict="ok", text=f"{name} {kind}, {database.status}")


def _promoting(database: Database) -> Finding:
    """Wait for what an earlier execution of this failover asked RDS for, or may have."""
    said = f"{database.id} is {database.status}: a promotion under way must end first"
    return Finding(check="database", verdict="wait", text=said)


def _database(case: Case, database: Database | None, *, healthy_now: bool) -> Finding:
    name = case.deployment.database
    if database is None:
        return refused(
            "database",
            f"there is no database {name} in {case.site.region}; provision the standby, or "
            "restore from a recovery point",
        )
    if database.source is None:
        return refused(
            "database",
            f"{name} replicates nothing (status {database.status}) and its site is not active; "
            "a person must decide what it holds",
        )
    if database.status == databases.BACKING_UP:
        return Finding(
            check="database",
            verdict="wait",
            text=f"{name} is {databases.BACKING_UP}: promotion must wait",
        )
    if database.status != databases.AVAILABLE:
        return refused(
            "database", f"{name} is {database.status}; RDS promotes from {databases.AVAILABLE}"
        )
    if healthy_now and database.replication in _BROKEN_REPLICATION:
        return refused(
            "database",
            f"{name} is not replicating ({database.replication}) while its source is healthy; "
            "repair the replica first",
        )
    return Finding(
        check="database",
        verdict="ok",
        text=f"{name} is {database.status}, replication {database.replication or 'not reported'}",
    )


def _loss(case: Case, loss: Loss) -> Finding:
    rpo, accepted = float(case.product.rpo_seconds), case.accepted.data_loss_seconds
    if loss.seconds is None:
        if accepted is not None and accepted >= rpo:
            return Finding(check="loss", verdict="accepted", text=f"{loss.text}; accepted")
        return refused(
            "loss", f"{loss.text}; rerun on a control host, or with --accept-data-loss {rpo:.0f}"
        )
    if loss.seconds <= rpo:
        return Finding(check="loss", verdict="ok", text=f"{loss.text} (RPO {rpo:.0f} s)")
    if accepted is not None and loss.seconds <= accepted:
        return Finding(
            check="loss", verdict="accepted", text=f"{loss.text}, accepted up to {accepted:.0f} s"
        )
    needed = math.ceil(loss.seconds)
    return refused(
        "loss",
        f"predicted loss {loss.seconds:.0f} s exceeds "
        + (f"RPO {rpo:.0f} s" if accepted is None else f"the accepted {accepted:.0f} s")
        + f"; rerun with --accept-data-loss {needed}",
    )
