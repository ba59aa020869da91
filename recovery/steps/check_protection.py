"""Can a site be protected again: does everything answer, and is there something to make it from."""

from __future__ import annotations

from recovery import assign
from recovery.assignment import Assignment, newest
from recovery.cloud import databases
from recovery.cloud.databases import AVAILABLE, PASSING, Database
from recovery.database.errors import DatabaseDeniedError
from recovery.database.postgres import CLOSED_WORDS
from recovery.engine.errors import OutsideError
from recovery.engine.parallel import answers
from recovery.steps import reach
from recovery.steps.case import Case
from recovery.steps.finding import Finding, refused
from recovery.steps.new_replica import replicates_active
from recovery.steps.old_database import Standing, look

STANDBY = "standby"
"""The finding that a replica of the active database is there."""


def assess(case: Case, epoch: int) -> list[Finding]:
    """Return what speaks for and against protecting the product in the peer's region."""
    if case.product.engine != "postgres":
        return [
            refused(
                "engine",
                f"{case.product.name} is on {case.product.engine}; only postgres is protected "
                f"again by this command: make the replica with pulumi up of the {case.peer.name} "
                "stack",
            )
        ]
    findings = [about_assignment(case), *_about_databases(case, epoch)]
    if any(finding.verdict == "refused" for finding in findings):
        return findings
    return [*findings, *_reachable(case, epoch)]


def standing(case: Case) -> Assignment | None:
    """Return the newest assignment of the three tables, of those that answer."""
    return newest(found for found in assign.shown(case).values() if isinstance(found, Assignment))


def about_assignment(case: Case) -> Finding:
    """Judge who is assigned: the other site, settled, by three tables that answer."""
    found = assign.shown(case)
    if silent := [answer for answer in found.values() if isinstance(answer, OutsideError)]:
        return refused(
            "assignment",
            f"all three control tables must answer: {silent[0]}; wait until the region is back",
        )
    now = newest(answer for answer in found.values() if isinstance(answer, Assignment))
    if now is None:
        return refused(
            "assignment",
            f"no site is assigned to {case.product.name}; run python -m recovery.assign "
            f"--region {case.site.region} --initial",
        )
    if now.site != case.site.name:
        return refused(
            "assignment",
            f"{case.peer.region} is itself active for {case.product.name} (epoch {now.epoch}); "
            f"give the region to protect into: --region {case.site.region}",
        )
    # The peer's own table is left unsettled by fencing.
    told = [found[case.here.name], found[case.witness.name]]
    if any(isinstance(each, Assignment) and not each.settled for each in told):
        return refused(
            "assignment",
            f"epoch {now.epoch} is not settled: let {now.execution} come to its end first (run its "
            "command again)",
        )
    return Finding(
        check="assignment", verdict="ok", text=f"{now.site} is active in epoch {now.epoch}"
    )


def _about_databases(case: Case, epoch: int) -> list[Finding]:
    active, standing_there = answers([lambda: reach.described(case), lambda: look(case, epoch)])
    findings = [
        refused(check, str(answer))
        for check, answer in (("active", active), ("old database", standing_there))
        if isinstance(answer, OutsideError)
    ]
    if isinstance(active, Database | None):
        findings.append(_active(case, active))
    if isinstance(standing_there, Standing):
        findings.append(_old(case, standing_there))
    return findings


def _active(case: Case, active: Database | None) -> Finding:
    name = case.deployment.database
    if active is None:
        return refused("active", f"there is no database {name} in {case.site.region}")
    if active.source is not None:
        return refused("active", f"{name} is a replica; it must be the product's writer")
    if active.retention_days == 0:
        return refused(
            "active",
            f"{name} keeps no backups, and RDS makes no replica of such a database; set its "
            f"BackupRetentionPeriod to {case.deployment.backup_retention_days}",
        )
    if active.status in PASSING:
        return Finding(check="active", verdict="wait", text=f"{name} is {active.status}")
    if active.status != AVAILABLE:
        return refused("active", f"{name} is {active.status}; it must be {AVAILABLE}")
    return Finding(
        check="active",
        verdict="ok",
        text=f"{name} is {active.status}, backups kept {active.retention_days} days",
    )


def _old(case: Case, found: Standing) -> Finding:
    name, region = case.peer_deployment.database, case.peer.region
    if found.replica is not None:
        if replicates_active(case, found.replica):
            text = f"protected already: {name} is a replica of {case.deployment.database}"
            return Finding(check=STANDBY, verdict="ok", text=text)
        return refused(
            "old database",
            f"{name} is a replica of {found.replica.source}, not of {case.deployment.database}; "
            "promote it by hand (it becomes the old database), or rename it",
        )
    if found.aside is not None and found.placed is not None:
        if found.placed.status in PASSING:
            return Finding(check="old database", verdict="wait", text=f"{name} is moving aside")
        return refused(
            "old database",
            f"{found.aside.id} is put aside, and {name} is a writer too; rename one of them",
        )
    if found.old is None:
        return refused(
            "old database",
            f"there is no database {name} in {region} to learn network, key and size of a replica "
            f"from; run pulumi up of the {case.peer.name} stack as standby",
        )
    return _as_it_is(found.old, region)


def _as_it_is(old: Database, region: str) -> Finding:
    if old.status in PASSING:
        return Finding(check="old database", verdict="wait", text=f"{old.id} is {old.status}")
    if old.status == "stopped":
        return refused(
            "old database",
            f"{old.id} is stopped; start it: aws rds start-db-instance --region {region} "
            f"--db-instance-identifier {old.id}",
        )
    if old.status != AVAILABLE:
        return refused("old database", f"{old.id} is {old.status}; it must be {AVAILABLE}")
    return Finding(check="old database", verdict="ok", text=f"{old.id} is {AVAILABLE}")


def _reachable(case: Case, epoch: int) -> list[Finding]:
    """Look whether this machine can read both databases, which the loss ledger takes."""
    old = look(case, epoch).old
    active = databases.describe(case.here, case.deployment.database)
    wanted = [(case, active)] + ([(case.turned, old)] if old is not None else [])
    findings: list[Finding] = []
    for at, database in wanted:
        if database is None or database.status != AVAILABLE:
            continue  # said above
        try:
            with reach.connection(at, database, read_only=True):
                text = f"{database.id} can be read"
        except DatabaseDeniedError as error:
            if CLOSED_WORDS not in error.message:
                findings.append(refused("reach", f"{error}; run it on a control host"))
                continue
            text = f"{database.id} is closed"
        except OutsideError as error:
            findings.append(refused("reach", f"{error}; run it on a control host"))
            continue
        findings.append(Finding(check="reach", verdict="ok", text=text))
    return findings
