"""One run of a plan for one product: under its lease, in an epoch, resuming what was begun."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from recovery import leasing
from recovery.assignment import Assignment
from recovery.cloud import client
from recovery.engine.errors import BUG, FAILED, OutsideError, RefusedError
from recovery.engine.journal import Journal
from recovery.engine.lease import TTL_SECONDS, Lease, this_process
from recovery.engine.plan import Outcome, Step, conclude, run
from recovery.engine.progress import Progress
from recovery.steps import check, reach
from recovery.steps.case import Case
from recovery.steps.takeover import Takeover

Plan = Callable[[Takeover], tuple[Step, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """How a product gets to a site: the plan, and what else a planned move has."""

    plan: Plan
    standing: Callable[[Case], Assignment | None] = check.standing
    """Tells the newest assignment."""
    back: Plan | None = None
    """Takes a plan back that failed before its point of no return; no steps where nothing can."""


def execute(case: Case, move: Plan | Move, journal: Journal, progress: Progress) -> Outcome:
    """Run the plan for one product under its execution lease; the outcome says how it ended.

    A bug in one product's run is that product's outcome: it must not hide the other's. How it
    ended is journalled, with the calls that no step made: the lease's.
    """
    move = move if isinstance(move, Move) else Move(plan=move)
    outcome = _leased(case, move, journal, progress)
    rest = client.tally.take_rest(case.product.name)
    conclude(outcome, journal, progress, {"calls": rest})
    return outcome


def _leased(case: Case, move: Move, journal: Journal, progress: Progress) -> Outcome:
    client.calling_step.set(f"{case.product.name}/open")
    lease = Lease(
        holder=this_process(case.operator),
        execution=case.execution,
        ttl=TTL_SECONDS,
        clock=time.monotonic,
    )
    try:
        return _execute(case, move, lease, journal, progress)
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


def _execute(case: Case, move: Move, lease: Lease, journal: Journal, progress: Progress) -> Outcome:
    _take(lease, case, progress)
    going = takeover_of(case, move.standing)

    def through(steps: tuple[Step, ...], *, changed: bool, committed: bool) -> Outcome:
        return run(
            case.product.name,
            steps,
            token=lease,
            journal=journal,
            progress=progress,
            entering=lambda step: client.calling_step.set(f"{case.product.name}/{step}"),
            changed=changed,
            committed=committed,
            account=lambda step: {"calls": client.tally.take(f"{case.product.name}/{step}")},
        )

    outcome = through(move.plan(going), changed=going.resumes, committed=going.promoted)
    outcome.epoch = going.target.epoch
    if outcome.exit_code == FAILED and move.back and (steps := move.back(going)):
        _add(outcome, through(steps, changed=True, committed=False))
    return outcome


def _add(outcome: Outcome, back: Outcome) -> None:
    """Add to a failed plan's outcome how it was taken back."""
    outcome.steps += back.steps
    outcome.deviations += back.deviations
    how = f"it could not be taken back: {back.error}" if back.error else "it was taken back"
    outcome.error = f"{outcome.error}; {how}"


def _take(lease: Lease, case: Case, progress: Progress) -> None:
    """Take the target's lease and the witness's; a dark witness is said and passed over."""
    product, witness = case.product.name, case.topology.witness
    lease.take(leasing.ControlTable(case.here, case.site.control_table, product))
    lease.keep()
    try:
        lease.take(leasing.ControlTable(case.witness, witness.control_table, product))
    except OutsideError as error:
        progress.say(product, "open", "says", f"the witness is dark: {error}")


def takeover_of(
    case: Case, standing: Callable[[Case], Assignment | None] = check.standing
) -> Takeover:
    """Return what is to be brought about: the unfinished epoch of the site, or the next one."""
    now = standing(case)
    if now is not None and now.site == case.site.name and not now.settled:
        database = reach.described(case)
        return Takeover(
            case=case,
            target=replace(now, execution=case.execution),
            resumes=True,
            promoted=database is not None and database.source is None,
            begun=now.execution,
        )
    target = Assignment(
        site=case.site.name,
        epoch=now.epoch + 1 if now else 1,
        claim=True,
        settled=False,
        execution=case.execution,
    )
    return Takeover(case=case, target=target, resumes=False, promoted=False, begun=case.execution)
