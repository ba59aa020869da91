"""A plan is a tuple of steps, run in order: observe, act, observe.

Running it again skips what already holds; that is how a killed execution resumes. What a step
did is never taken from memory or from the journal, always from the world, as `done` sees it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from recovery.engine.errors import (
    DEVIATED,
    RECOVERED,
    OutsideError,
    RecoveryError,
    RefusedError,
    StepFailedError,
    StrandedError,
)
from recovery.engine.journal import EXECUTION, Fact, Journal
from recovery.engine.progress import Progress


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


Account = Callable[[str], Mapping[str, Fact]]
"""Given a step, tells what else the journal shall say of its end, such as the calls it made."""


class Token(Protocol):
    """The right to act: the execution lease."""

    def renew(self) -> None:
        """Hold the lease still, or raise RecoveryError."""
        ...


@dataclass(slots=True, kw_only=True)
class StepOutcome:
    """How one step went; `seconds` covers observing and acting."""

    name: str
    skipped: bool
    ended_at: datetime
    seconds: float
    text: str


@dataclass(slots=True, kw_only=True)
class Outcome:
    """How a product's plan went."""

    product: str
    epoch: int | None = None
    exit_code: int = RECOVERED
    error: str | None = None
    recorded_error: str | None = None
    """What the journal keeps in its place: what a bug says may quote anything, a password too."""
    steps: list[StepOutcome] = field(default_factory=list[StepOutcome])
    deviations: list[str] = field(default_factory=list[str])


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
) -> Outcome:
    """Run the steps in order until one fails; the outcome says how it ended.

    `entering` is told each step's name before it is looked at. `changed`, `committed`: what an
    earlier execution that this one resumes is known to have done. `account`'s facts are journalled
    with each step's end, together with the seconds that it took. Errors of the outside world end
    the plan with the exit code that its place gives: refused before anything was changed, failed
    before the point of no return, stranded after.
    """
    outcome = Outcome(product=product)
    runner = _Runner(
        outcome=outcome, token=token, journal=journal, progress=progress, account=account
    )
    runner.changed, runner.committed = changed, committed
    for step in steps:
        entering(step.name)
        try:
            runner.take(step)
        except (RecoveryError, OutsideError, OSError) as error:
            final = _placed(error, step, changed=runner.changed, committed=runner.committed)
            outcome.exit_code, outcome.error = final.exit_code, str(final)
            runner.end(step.name, "failed", str(final))
            return outcome
    if outcome.deviations:
        outcome.exit_code = DEVIATED
    return outcome


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
    try:
        journal.write(outcome.product, EXECUTION, "ended", ended)
    except OSError as error:
        progress.say(outcome.product, EXECUTION, "ended", f"not journalled: {error}")


class _Runner:
    def __init__(
        self,
        *,
        outcome: Outcome,
        token: Token,
        journal: Journal,
        progress: Progress,
        account: Account,
    ) -> None:
        self.changed = False
        self.committed = False
        self._product = outcome.product
        self._outcome = outcome
        self._token = token
        self._journal = journal
        self._progress = progress
        self._account = account
        self._began = time.monotonic()

    def take(self, step: Step) -> None:
        self._began = began = time.monotonic()
        seen = step.done()
        if seen.holds:
            self.committed |= step.commits
            self.end(step.name, "holds", seen.text)
        else:
            self._token.renew()
            self._journal.write(self._product, step.name, "acting", {"saw": seen.text})
            self._progress.say(self._product, step.name, "acting", seen.text)
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
                msg = f"it acted, yet {seen_after.text}"
                raise StepFailedError(msg)
            self.end(step.name, "done", seen_after.text)
            seen = Seen(holds=False, text=seen_after.text)
        self._outcome.steps.append(
            StepOutcome(
                name=step.name,
                skipped=seen.holds,
                ended_at=datetime.now(UTC),
                seconds=time.monotonic() - began,
                text=seen.text,
            )
        )

    def deviate(self, step: str, text: str) -> None:
        self._outcome.deviations.append(f"{step}: {text}")
        self.record(step, "deviates", text)

    def end(self, step: str, event: str, text: str) -> None:
        """Record a step's end, with what it took."""
        seconds = round(time.monotonic() - self._began, 3)
        self.record(step, event, text, {"seconds": seconds, **self._account(step)})

    def record(
        self, step: str, event: str, text: str, facts: Mapping[str, Fact] | None = None
    ) -> None:
        """Print, then journal: a failing disk must not hide what happened."""
        self._progress.say(self._product, step, event, text)
        try:
            self._journal.write(self._product, step, event, {"text": text, **(facts or {})})
        except OSError as error:
            if event != "failed":
                raise
            if str(error) not in text:
                self._progress.say(self._product, step, event, f"not journalled: {error}")


@dataclass(frozen=True, slots=True)
class _StepReport:
    runner: _Runner
    step: str

    def say(self, text: str) -> None:
        self.runner.record(self.step, "says", text)

    def deviate(self, text: str) -> None:
        self.runner.deviate(self.step, text)


def _placed(error: Exception, step: Step, *, changed: bool, committed: bool) -> RecoveryError:
    """Return the error as what it means at this place of the plan."""
    if committed:
        return StrandedError(f"{step.name}: {error}; run the same command again to go on")
    if changed:
        return StepFailedError(f"{step.name}: {error}; run the same command again")
    return error if isinstance(error, RefusedError) else RefusedError(str(error))
