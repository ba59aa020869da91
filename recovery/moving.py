"""What the commands that move products share: a journalled run of all of them, and a dry run."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from recovery import journalling, opening, summary
from recovery.engine.errors import worst
from recovery.engine.parallel import answers, at_once
from recovery.engine.progress import Progress
from recovery.execution import Move, execute, takeover_of
from recovery.steps.case import Case
from recovery.steps.check import Assessment
from recovery.steps.takeover import Takeover


def execution_id(verb: str) -> str:
    """Return a new execution's id; it begins with the verb."""
    return f"{verb}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:4]}"


def move(cases: tuple[Case, ...], how: Move, began: float, *, as_json: bool) -> int:
    """Move the products side by side, print the report and return the exit code.

    `began`: when the command was started, by the monotonic clock.
    """
    opening.prepare(cases[0])
    progress = Progress()
    journal = journalling.opened(cases[0].verb, cases)
    outcomes = at_once([lambda case=case: execute(case, how, journal, progress) for case in cases])
    code = worst(outcome.exit_code for outcome in outcomes)
    journalling.closed(journal, progress, code, time.monotonic() - began)
    summary.show(cases, outcomes, journal, time.monotonic() - began, as_json=as_json)
    return code


def rehearse(
    cases: tuple[Case, ...],
    how: Move,
    assess: Callable[[Takeover], Assessment],
    *,
    as_json: bool,
) -> int:
    """Print what each check says and what each step would find; change nothing."""

    def look(case: Case) -> summary.Rehearsal:
        going = takeover_of(case, how.standing)
        assessment = None if going.promoted else assess(going)
        return summary.Rehearsal(
            product=case.product.name,
            verb=case.verb,
            assessment=assessment,
            steps=tuple((step.name, answers([step.done])[0]) for step in how.plan(going)),
        )

    found = at_once([lambda case=case: look(case) for case in cases])
    summary.show_rehearsals(found, as_json=as_json)
    return worst(rehearsal.exit_code for rehearsal in found)
