"""One run of a plan for one product: under its lease, in an epoch, resuming what was begun."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Generic, Protocol, TypeVar

from recovery import approvals, leasing
from recovery.assignment import Assignment
from recovery.cloud import client
from recovery.engine.budget import Objective
from recovery.engine.errors import BUG, FAILED, OutsideError, RefusedError
from recovery.engine.gates import NO_CONTROLS, Controls, Gate, Go
from recovery.engine.journal import Journal
from recovery.engine.lease import TTL_SECONDS, Lease, this_process
from recovery.engine.plan import Outcome, Step, conclude, run
from recovery.engine.progress import Progress
from recovery.engine.terminal import Terminal
from recovery.steps import check, point, reach
from recovery.steps.case import Case
from recovery.steps.takeover import Takeover


class Going(Protocol):
    """What a plan brings about for one product, as far as running it must know."""

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

    @property
    def approvals(self) -> list[Go]:
        """Who approved by name of what it did."""
        ...


G = TypeVar("G", bound=Going)


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure(Generic[G]):
    """How a verb is carried out for one product."""

    begin: Callable[[Case], G]
    """Looks, once the lease is held, what there is to bring about."""
    blank: Callable[[Case], G]
    """Does not look, and so can only tell what the plan's steps declare."""
    plan: Callable[[G], tuple[Step, ...]]
    back: Callable[[G], tuple[Step, ...]] | None = None
    """Takes a plan back that failed before its point of no return; no steps where nothing can."""
    objective: Callable[[G, Progress], Objective] | None = None
    """What the plan's time is held against; None where customers are served meanwhile."""


def execute(
    case: Case,
    how: Procedure[G],
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
        going = how.begin(case)

        def through(steps: tuple[Step, ...], asked: Controls, *, changed: bool) -> Outcome:
            return run(
                case.product.name,
                steps,
                token=lease,
                journal=journal,
                progress=progress,
                entering=lambda step: client.calling_step.set(f"{case.product.name}/{step}"),
                changed=changed,
                committed=going.promoted,
                account=lambda step: {"calls": client.tally.take(f"{case.product.name}/{step}")},
                controls=asked,
                gate=_gate(case, going, terminal),
                objective=how.objective(going, progress) if how.objective else None,
            )

        outcome = through(how.plan(going), controls, changed=going.resumes)
        outcome.epoch = going.target.epoch
        if outcome.exit_code == FAILED and how.back and (steps := how.back(going)):
            _add(outcome, through(steps, NO_CONTROLS, changed=True))
        return outcome

    outcome = _under_lease(case, progress, leased)
    rest = client.tally.take_rest(case.product.name)
    conclude(outcome, journal, progress, {"calls": rest})
    return outcome


def outline(case: Case, how: Procedure[G]) -> tuple[Step, ...]:
    """Return the plan's steps for what they declare; nothing is looked at."""
    return how.plan(how.blank(case))


def takeover_of(
    case: Case, standing: Callable[[Case], Assignment | None] = check.standing
) -> Takeover:
    """Return what is to be brought about: the unfinished epoch of the site, or the next one.

    `standing` tells the newest assignment.
    """
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
    return blank_takeover(case, epoch=now.epoch + 1 if now else 1)


def blank_takeover(case: Case, epoch: int = 0) -> Takeover:
    """Return a takeover that nobody has begun."""
    target = Assignment(
        site=case.site.name, epoch=epoch, claim=True, settled=False, execution=case.execution
    )
    return Takeover(case=case, target=target, resumes=False, promoted=False, begun=case.execution)


def outage_objective(going: Takeover, progress: Progress) -> Objective:
    """Return the RTO, counted from the start of the outage, or of the command while unknown."""
    recorded = _recorded_outage(going.case, going.target.epoch) if going.promoted else None

    def spent() -> float:
        loss = going.assessment.loss if going.assessment else None
        began = loss.outage_began if loss and loss.outage_began else recorded
        if began is None:
            return progress.seconds
        return (datetime.now(UTC) - began).total_seconds()

    return Objective(rto=timedelta(seconds=going.case.rto_seconds), spent=spent)


def interruption_objective(going: Takeover, _: Progress) -> Objective:
    """Return the RTO for a planned move, counted while no site may serve.

    That begins when the assignment is written away from the site that serves, in this execution or
    in the one that it goes on with.
    """

    def spent() -> float:
        began = going.target.written_at
        return (datetime.now(UTC) - began).total_seconds() if began else 0.0

    return Objective(rto=timedelta(seconds=going.case.rto_seconds), spent=spent)


def _recorded_outage(case: Case, epoch: int) -> datetime | None:
    """Return when the outage began, as an earlier execution of this epoch recorded it."""
    with contextlib.suppress(OutsideError, ValueError):
        found = datetime.fromisoformat(str(point.read(case, epoch).get("outage_began")))
        return found if found.tzinfo else None
    return None


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


def _take(lease: Lease, case: Case, progress: Progress) -> None:
    """Take the target's lease and the witness's; a dark witness is said and passed over."""
    product, witness = case.product.name, case.topology.witness
    lease.take(leasing.ControlTable(case.here, case.site.control_table, product))
    lease.keep()
    try:
        lease.take(leasing.ControlTable(case.witness, witness.control_table, product))
    except OutsideError as error:
        progress.say(product, "open", "says", f"the witness is dark: {error}")


def _gate(case: Case, going: Going, terminal: Terminal | None) -> Gate:
    product = case.product.name
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


def _add(outcome: Outcome, back: Outcome) -> None:
    """Add to a failed plan's outcome how it was taken back."""
    outcome.steps += back.steps
    outcome.deviations += back.deviations
    how = f"it could not be taken back: {back.error}" if back.error else "it was taken back"
    outcome.error = f"{outcome.error}; {how}"
    outcome.spending = back.spending or outcome.spending
    outcome.over_budget = outcome.over_budget or back.over_budget
