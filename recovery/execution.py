"""One run of a plan for one product: under its lease, in an epoch, resuming what was begun."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from recovery import approvals, leasing
from recovery.assignment import Assignment
from recovery.cloud import client
from recovery.engine.budget import Objective
from recovery.engine.errors import BUG, OutsideError, RefusedError
from recovery.engine.gates import NO_CONTROLS, Controls, Gate
from recovery.engine.journal import Journal
from recovery.engine.lease import TTL_SECONDS, Lease, this_process
from recovery.engine.plan import Outcome, Step, conclude, run
from recovery.engine.progress import Progress
from recovery.engine.terminal import Terminal
from recovery.steps import check, check_tables, point, reach
from recovery.steps.case import Case
from recovery.steps.takeover import Takeover

Plan = Callable[[Takeover], tuple[Step, ...]]


def execute(
    case: Case,
    plan: Plan,
    journal: Journal,
    progress: Progress,
    *,
    controls: Controls = NO_CONTROLS,
    terminal: Terminal | None = None,
) -> Outcome:
    """Run the plan for one product under its execution lease; the outcome says how it ended.

    Where `controls` stop it, it goes on by a word typed at `terminal` or given by
    `recovery.approve`. A bug in one product's run is that product's outcome: it must not hide the
    other's. How it ended is journalled, with the calls that no step made: the lease's.
    """

    def leased(lease: Lease) -> Outcome:
        _take(lease, case, progress)
        going = takeover_of(case)
        outcome = run(
            case.product.name,
            plan(going),
            token=lease,
            journal=journal,
            progress=progress,
            entering=lambda step: client.calling_step.set(f"{case.product.name}/{step}"),
            changed=going.resumes,
            committed=going.promoted,
            account=lambda step: {"calls": client.tally.take(f"{case.product.name}/{step}")},
            controls=controls,
            gate=_gate(going, terminal),
            objective=_objective(going, progress),
        )
        outcome.epoch = going.target.epoch
        return outcome

    outcome = _under_lease(case, progress, leased)
    rest = client.tally.take_rest(case.product.name)
    conclude(outcome, journal, progress, {"calls": rest})
    return outcome


def outline(case: Case, plan: Plan) -> tuple[Step, ...]:
    """Return the plan's steps for what they declare; nothing is looked at."""
    target = Assignment(
        site=case.site.name, epoch=0, claim=True, settled=False, execution=case.execution
    )
    return plan(Takeover(case=case, target=target, resumes=False, promoted=False))


def _under_lease(case: Case, progress: Progress, work: Callable[[Lease], Outcome]) -> Outcome:
    client.calling_step.set(f"{case.product.name}/open")
    lease = Lease(
        holder=this_process(case.operator),
        execution=case.execution,
        ttl=TTL_SECONDS,
        clock=time.monotonic,
    )
    try:
        return work(lease)
    except (RefusedError, OutsideError) as error:
        progress.say(case.product.name, "open", "refused", str(error))
        return Outcome(
            product=case.product.name, exit_code=RefusedError.exit_code, error=str(error)
        )
    except Exception as error:
        if os.environ.get("STANDBY_TRACE"):
            raise
        said = f"a bug: {type(error).__name__}: {error} (STANDBY_TRACE=1 shows where)"
        progress.say(case.product.name, "open", "failed", said)
        kind = f"a bug: {type(error).__name__}"
        return Outcome(product=case.product.name, exit_code=BUG, error=said, recorded_error=kind)
    finally:
        client.calling_step.set(f"{case.product.name}/close")
        lease.release()


def _gate(going: Takeover, terminal: Terminal | None) -> Gate:
    case, product = going.case, going.case.product.name
    return Gate(
        product=product,
        operator=case.operator,
        look=lambda step: approvals.read(
            case.here, case.site.bucket, case.execution, product, step
        ),
        elsewhere=lambda step: (
            f"python -m recovery.approve {case.execution} --region {case.site.region} "
            f"--product {product} --step {step} --by 'NAME'"
        ),
        approved=going.approvals.append,
        patience=timedelta(seconds=case.rto_seconds),
        terminal=terminal,
    )


def _objective(going: Takeover, progress: Progress) -> Objective:
    """Return the RTO, counted from the start of the outage, or of the command while unknown."""
    recorded = _recorded_outage(going.case, going.target.epoch) if going.promoted else None

    def spent() -> float:
        loss = going.assessment.loss if going.assessment else None
        began = loss.outage_began if loss and loss.outage_began else recorded
        if began is None:
            return progress.seconds
        return (datetime.now(UTC) - began).total_seconds()

    return Objective(rto=timedelta(seconds=going.case.rto_seconds), spent=spent)


def _recorded_outage(case: Case, epoch: int) -> datetime | None:
    """Return when the outage began, as an earlier execution of this epoch recorded it."""
    with contextlib.suppress(OutsideError, ValueError):
        found = datetime.fromisoformat(str(point.read(case, epoch).get("outage_began")))
        return found if found.tzinfo else None
    return None


def _take(lease: Lease, case: Case, progress: Progress) -> None:
    """Take the target's lease and the witness's; a dark witness is said and passed over."""
    product, witness = case.product.name, case.topology.witness
    lease.take(leasing.ControlTable(case.here, case.site.control_table, product))
    lease.keep()
    try:
        lease.take(leasing.ControlTable(case.witness, witness.control_table, product))
    except OutsideError as error:
        progress.say(product, "open", "says", f"the witness is dark: {error}")


def takeover_of(case: Case) -> Takeover:
    """Return what is to be brought about: the unfinished epoch of the site, or the next one.

    RefusedError where the unfinished one is not the newest that a table names.
    """
    now = check.standing(case)
    if now is not None and now.site == case.site.name and not now.settled:
        database = reach.described(case)
        promoted = database is not None and database.source is None
        if promoted:  # nothing is checked any more that could find it overtaken
            check_tables.confirm_newest(case, now)
        return Takeover(
            case=case,
            target=replace(now, execution=case.execution),
            resumes=True,
            promoted=promoted,
        )
    target = Assignment(
        site=case.site.name,
        epoch=now.epoch + 1 if now else 1,
        claim=True,
        settled=False,
        execution=case.execution,
        alone=now.alone if now and now.alone == case.peer.region else "",
    )
    return Takeover(case=case, target=target, resumes=False, promoted=False)
