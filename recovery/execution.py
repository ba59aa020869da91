"""One run of a plan for one product: under its lease, in an epoch, resuming what was begun."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from recovery import leasing
from recovery.assignment import Assignment
from recovery.cloud import client
from recovery.engine.errors import OutsideError, RefusedError
from recovery.engine.journal import Journal
from recovery.engine.lease import TTL_SECONDS, Lease, this_process
from recovery.engine.plan import Outcome, Step, run
from recovery.engine.progress import Progress
from recovery.steps import check, reach
from recovery.steps.case import Case
from recovery.steps.takeover import Takeover

Plan = Callable[[Takeover], tuple[Step, ...]]


def execute(case: Case, plan: Plan, journal: Journal, progress: Progress) -> Outcome:
    """Run the plan for one product under its execution lease; the outcome says how it ended."""
    client.calling_step.set(f"{case.product.name}/open")
    lease = Lease(
        holder=this_process(case.operator),
        execution=case.execution,
        ttl=TTL_SECONDS,
        clock=time.monotonic,
    )
    try:
        _take(lease, case, progress)
        going = takeover_of(case)
        committed = going.resumes and _is_promoted(case)
    except (RefusedError, OutsideError) as error:
        lease.release()
        progress.say(case.product.name, "open", "refused", str(error))
        return Outcome(
            product=case.product.name, exit_code=RefusedError.exit_code, error=str(error)
        )
    lease.keep()
    try:
        outcome = run(
            case.product.name,
            plan(going),
            token=lease,
            journal=journal,
            progress=progress,
            entering=lambda step: client.calling_step.set(f"{case.product.name}/{step}"),
            committed=committed,
        )
        outcome.epoch = going.target.epoch
        return outcome
    finally:
        client.calling_step.set(f"{case.product.name}/close")
        lease.release()


def _take(lease: Lease, case: Case, progress: Progress) -> None:
    lease.take(leasing.ControlTable(case.here, case.site.control_table, case.product.name))
    try:
        lease.take(
            leasing.ControlTable(
                case.witness, case.topology.witness.control_table, case.product.name
            )
        )
    except OutsideError as error:
        progress.say(case.product.name, "open", "says", f"the witness is dark: {error}")


def takeover_of(case: Case) -> Takeover:
    """Return what is to be brought about: the unfinished epoch of the site, or the next one."""
    now = check.standing(case)
    if now is not None and now.site == case.site.name and not now.settled:
        return Takeover(case=case, target=replace(now, execution=case.execution), resumes=True)
    target = Assignment(
        site=case.site.name,
        epoch=now.epoch + 1 if now else 1,
        claim=True,
        settled=False,
        execution=case.execution,
    )
    return Takeover(case=case, target=target, resumes=False)


def _is_promoted(case: Case) -> bool:
    database = reach.described(case)
    return database is not None and database.source is None
