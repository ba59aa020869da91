"""One run of a plan for one product: under its lease, in an epoch, resuming what was begun."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, TypeVar

from recovery import leasing
from recovery.assignment import Assignment
from recovery.cloud import client
from recovery.engine.errors import BUG, OutsideError, RefusedError
from recovery.engine.journal import Journal
from recovery.engine.lease import TTL_SECONDS, Lease, this_process
from recovery.engine.plan import Outcome, Step, conclude, run
from recovery.engine.progress import Progress
from recovery.steps import check, reach
from recovery.steps.case import Case
from recovery.steps.takeover import Takeover

Plan = Callable[[Takeover], tuple[Step, ...]]


class Going(Protocol):
    """What a plan brings about, as far as running it must know."""

    @property
    def target(self) -> Assignment:
        """The assignment that it makes, or works under."""
        ...

    @property
    def resumes(self) -> bool:
        """Whether an earlier execution began it."""
        ...

    @property
    def promoted(self) -> bool:
        """Whether it is past its point of no return."""
        ...


G = TypeVar("G", bound=Going)


def execute(case: Case, plan: Plan, journal: Journal, progress: Progress) -> Outcome:
    """Run the plan of a takeover for one product, as `execute_from` does."""
    return execute_from(case, takeover_of, plan, journal, progress)


def execute_from(
    case: Case,
    begin: Callable[[Case], G],
    plan: Callable[[G], tuple[Step, ...]],
    journal: Journal,
    progress: Progress,
) -> Outcome:
    """Run the plan for one product under its execution lease; the outcome says how it ended.

    `begin` looks, once the lease is held, what there is to bring about.

    A bug in one product's run is that product's outcome: it must not hide the other's. How it
    ended is journalled, with the calls that no step made: the lease's.
    """
    outcome = _leased(case, begin, plan, journal, progress)
    rest = client.tally.take_rest(case.product.name)
    conclude(outcome, journal, progress, {"calls": rest})
    return outcome


def _leased(
    case: Case,
    begin: Callable[[Case], G],
    plan: Callable[[G], tuple[Step, ...]],
    journal: Journal,
    progress: Progress,
) -> Outcome:
    client.calling_step.set(f"{case.product.name}/open")
    lease = Lease(
        holder=this_process(case.operator),
        execution=case.execution,
        ttl=TTL_SECONDS,
        clock=time.monotonic,
    )
    try:
        _take(lease, case, progress)
        going = begin(case)
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
        )
        outcome.epoch = going.target.epoch
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
    else:
        return outcome
    finally:
        client.calling_step.set(f"{case.product.name}/close")
        lease.release()


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
    """Return what is to be brought about: the unfinished epoch of the site, or the next one."""
    now = check.standing(case)
    if now is not None and now.site == case.site.name and not now.settled:
        database = reach.described(case)
        return Takeover(
            case=case,
            target=replace(now, execution=case.execution),
            resumes=True,
            promoted=database is not None and database.source is None,
        )
    target = Assignment(
        site=case.site.name,
        epoch=now.epoch + 1 if now else 1,
        claim=True,
        settled=False,
        execution=case.execution,
    )
    return Takeover(case=case, target=target, resumes=False, promoted=False)
