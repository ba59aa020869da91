"""A plan is a tuple of steps, run in order: observe, act, observe.

Running it again skips what already holds; that is how a killed execution resumes. What a step
did is never taken from memory or from the journal, always from the world, as `done` sees it.
Where the operator asked for it, a plan stops before a step acts, or leaves one out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from recovery.engine import wait
from recovery.engine.budget import Budget, Objective
from recovery.engine.errors import (
    DEVIATED,
    RECOVERED,
    OutsideError,
    RecoveryError,
    RefusedError,
    StepFailedError,
    StrandedError,
)
from recovery.engine.gates import NO_CONTROLS, Controls, Gate, Token
from recovery.engine.journal import EXECUTION, Fact, Journal
from recovery.engine.outcome import Outcome, StepOutcome
from recovery.engine.progress import Progress
from recovery.engine.telling import Account, Teller

SETTLES_SECONDS = 10.0
"""How long what a step did may take to show: EC2's, Auto Scaling's and RDS's answers are only
eventually consistent (Amazon EC2 API Reference, Ensuring idempotency and consistency)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What `done` observed: whether the step's outcome holds, and a line about it."""

    holds: bool
    text: str


class Report(Protocol):
    """How a step speaks while it acts."""

    def say(self, text: str) -> None:
        """Tell the operator and the journal."""
        ...

    def deviate(self, text: str) -> None:
        """Note what is not as it should be; the plan goes on and ends as deviated."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One action. `act` makes `done` hold, or says how it deviates; `done` reads only."""

    name: str
    act: Callable[[Report], None]
    done: Callable[[], Seen]
    reads_only: bool = False
    """Whether a refusal in this step still means that nothing was changed."""
    commits: bool = False
    """Past this step there is no way back: what fails later leaves the product stranded."""
    restores: bool = False
    """Whether the service is back, and the RTO's clock stops, when this step has ended."""
    may_be_skipped: bool = False
    """Whether an operator may leave it out: it proves no safety, and the plan has a point still."""
    forecast: timedelta | None = None
    """What it takes as a rule once it acts; None: seconds."""


def run(
    product: str,
    steps: tuple[Step, ...],
    *,
    token: Token,
    journal: Journal,
    progress: Progress,
    entering: Callable[[str], object],
    changed: bool,
    committed: bool,
    account: Account = lambda _: {},
    controls: Controls = NO_CONTROLS,
    gate: Gate | None = None,
    objective: Objective | None = None,
) -> Outcome:
    """Run the steps in order until one fails; the outcome says how it ended.

    `entering` is told each step's name before it is looked at. `changed`, `committed`: what an
    earlier execution that this one resumes is known to have done. `account`'s facts are journalled
    with each step's end, together with the seconds that it took. Errors of the outside world end
    the plan with the exit code that its place gives: refused before anything was changed, failed
    before the point of no return, stranded after. `gate` is where `controls` stop it; without one
    they cannot. RefusedError, before any step, where they leave out what may not be.
    """
    checked(steps, controls)
    outcome = Outcome(product=product)

    def over(step: str, text: str) -> None:
        outcome.over_budget = text
        teller.record(step, "budget", text)

    budget = Budget(objective, _forecasts(steps, controls), over)
    teller = Teller(
        product=product, journal=journal, progress=progress, account=account, spending=budget.now
    )
    runner = _Runner(
        outcome=outcome, teller=teller, token=token, controls=controls, gate=gate, budget=budget
    )
    runner.changed, runner.committed = changed, committed
    outcome.forecast_seconds = budget.forecast_seconds
    with budget:
        for step in steps:
            entering(step.name)
            try:
                runner.take(step)
            except (RecoveryError, OutsideError, OSError) as error:
                final = _placed(error, step, changed=runner.changed, committed=runner.committed)
                outcome.exit_code, outcome.error = final.exit_code, str(final)
                teller.end(step.name, "failed", str(final))
                break
    outcome.spending = budget.now()
    if outcome.deviations and outcome.exit_code == RECOVERED:
        outcome.exit_code = DEVIATED
    return outcome


def checked(steps: tuple[Step, ...], controls: Controls) -> tuple[Step, ...]:
    """Return the steps; UsageError or RefusedError where they cannot be controlled like that."""
    controls.check(
        [step.name for step in steps],
        may_be_skipped=[step.name for step in steps if step.may_be_skipped],
    )
    return steps


def _forecasts(steps: tuple[Step, ...], controls: Controls) -> dict[str, timedelta]:
    """Return what the steps up to the one that brings the service back will take."""
    last = next((n for n, step in enumerate(steps) if step.restores), len(steps))
    return {
        step.name: step.forecast or timedelta()
        for step in steps[: last + 1]
        if step.name not in controls.skips
    }


def conclude(
    outcome: Outcome, journal: Journal, progress: Progress, facts: Mapping[str, Fact]
) -> None:
    """Journal how a product's run ended. A disk that does not take it is said, and changes nothing.

    `facts`: what no step has accounted for.
    """
    ended: dict[str, Fact] = {
        "exit_code": outcome.exit_code,
        "error": outcome.recorded_error or outcome.error,
        "deviations": len(outcome.deviations),
        "epoch": outcome.epoch,
        **facts,
    }
    if outcome.spending:
        ended["spent_seconds"] = round(outcome.spending.spent_seconds, 3)
        ended["forecast_seconds"] = round(outcome.forecast_seconds, 3)
        ended["over_budget"] = outcome.over_budget
    try:
        journal.write(outcome.product, EXECUTION, "ended", ended)
    except OSError as error:
        progress.say(outcome.product, EXECUTION, "ended", f"not journalled: {error}")


class _Runner:
    def __init__(
        self,
        *,
        outcome: Outcome,
        teller: Teller,
        token: Token,
        controls: Controls,
        gate: Gate | None,
        budget: Budget,
    ) -> None:
        self.changed = False
        self.committed = False
        self.teller = teller
        self._outcome = outcome
        self._token = token
        self._controls = controls
        self._gate = gate
        self._budget = budget
        self._began = time.monotonic()

    def take(self, step: Step) -> None:
        self._begin()
        self._budget.enter(step.name)
        if step.name in self._controls.skips:
            self._leave_out(step, self._controls.skips[step.name])
        else:
            seen = step.done()
            if not seen.holds and self._gate and self._controls.stops_at(step.name):
                self._await_go(step, self._gate)
                seen = step.done()
            if seen.holds:
                self.committed |= step.commits
                self.teller.end(step.name, "holds", seen.text)
                self._note(step, seen.text, skipped=True)
            else:
                self._act(step, seen)
        if step.restores:
            self._budget.stop()

    def _act(self, step: Step, seen: Seen) -> None:
        self._token.renew()
        self.teller.act(step.name, seen.text)
        self._budget.act()
        deviations = len(self._outcome.deviations)
        self.changed |= not step.reads_only
        before, self.committed = self.committed, self.committed or step.commits
        try:
            step.act(_StepReport(self, step.name))
        except RefusedError:
            self.committed = before  # it was not done, and never will be by itself
            raise
        seen_after = step.done()
        if not seen_after.holds and len(self._outcome.deviations) == deviations:
            seen_after = self._settled(step)
        self.teller.end(step.name, "done", seen_after.text)
        self._note(step, seen_after.text, skipped=False)

    def _settled(self, step: Step) -> Seen:
        """Look again for a while: AWS's answers may lag behind what it did.

        Raise StepFailedError with what was seen last.
        """
        seen = Seen(holds=False, text="")

        def settled() -> Seen | None:
            nonlocal seen
            seen = step.done()
            return seen if seen.holds else None

        found = wait.until(settled, seconds=SETTLES_SECONDS)
        if found is None:
            msg = f"it acted, yet {seen.text}"
            raise StepFailedError(msg)
        return found

    def _await_go(self, step: Step, gate: Gate) -> None:
        """Stop until a person says go; what the step takes counts from then on."""
        named = step.name in self._controls.approve_at
        go = gate.wait(
            step.name,
            named=named,
            committed=self.committed,
            token=self._token,
            voice=self.teller,
        )
        waited = time.monotonic() - self._began
        if named:
            self._outcome.approvals.append(go)
            gate.approved(go)
        self.teller.record(
            step.name,
            "approved" if named else "resumed",
            f"{go.text}, after {waited:.1f} s",
            {"by": go.by or go.identity, "identity": go.identity, "waited": round(waited, 3)},
        )
        self._begin()

    def _leave_out(self, step: Step, reason: str) -> None:
        self.deviate(step.name, f"skipped: {reason}")
        self.teller.end(step.name, "skipped", reason)
        self._note(step, reason, skipped=True, left_out=True)

    def _begin(self) -> None:
        self._began = time.monotonic()
        self.teller.begin()

    def _note(self, step: Step, text: str, *, skipped: bool, left_out: bool = False) -> None:
        self._outcome.steps.append(
            StepOutcome(
                name=step.name,
                skipped=skipped,
                ended_at=datetime.now(UTC),
                seconds=time.monotonic() - self._began,
                text=text,
                left_out=left_out,
            )
        )

    def deviate(self, step: str, text: str) -> None:
        self._outcome.deviations.append(f"{step}: {text}")
        self.teller.record(step, "deviates", text)


@dataclass(frozen=True, slots=True)
class _StepReport:
    runner: _Runner
    step: str

    def say(self, text: str) -> None:
        self.runner.teller.record(self.step, "says", text)

    def deviate(self, text: str) -> None:
        self.runner.deviate(self.step, text)


def _placed(error: Exception, step: Step, *, changed: bool, committed: bool) -> RecoveryError:
    """Return the error as what it means at this place of the plan."""
    if committed:
        return StrandedError(f"{step.name}: {error}; run the same command again to go on")
    if changed:
        return StepFailedError(f"{step.name}: {error}; run the same command again")
    return error if isinstance(error, RefusedError) else RefusedError(str(error))
