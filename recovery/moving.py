"""What the commands that run plans share: a journalled run of all of them, and a dry run."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from recovery import journalling, opening, summary
from recovery.engine.errors import worst
from recovery.engine.gates import Controls
from recovery.engine.parallel import answers, at_once
from recovery.engine.plan import Step
from recovery.engine.progress import Progress
from recovery.engine.terminal import Terminal
from recovery.execution import G, Procedure, execute
from recovery.steps import promote, traffic
from recovery.steps.case import Case
from recovery.steps.check import Assessment
from recovery.steps.takeover import Takeover


def handed_over(going: Takeover) -> tuple[Step, ...]:
    """Return the steps of every move once hosts serve: to the customers, and to those on call."""
    case, epoch = going.case, going.target.epoch
    return (
        Step(
            name="shift-traffic",
            act=lambda _: traffic.claim(case),
            done=lambda: traffic.is_here(case),
            forecast=traffic.FORECAST,
        ),
        Step(
            name="verify-service",
            act=going.verify,
            done=going.is_verified,
            restores=True,
            may_be_skipped=True,
        ),
        Step(
            name="snapshot-database",
            act=lambda report: promote.begin_snapshot(case, epoch, report),
            done=lambda: promote.is_snapshot_begun(case, epoch),
            may_be_skipped=True,
        ),
        Step(
            name="tell-people-again",
            act=going.tell_end,
            done=lambda: going.was_told("ended"),
            may_be_skipped=True,
        ),
    )


def execution_id(verb: str) -> str:
    """Return a new execution's id; it begins with the verb."""
    return f"{verb}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:4]}"


def move(
    cases: tuple[Case, ...],
    how: Procedure[G],
    progress: Progress,
    controls: Controls,
    *,
    as_json: bool,
    telling: summary.Telling = summary.MOVED,
) -> int:
    """Run the procedure for all products side by side, print the report, return the exit code."""
    ran = carry_out(cases, how, progress, controls, telling)
    summary.show(ran, as_json=as_json)
    return ran.exit_code


def carry_out(
    cases: tuple[Case, ...],
    how: Procedure[G],
    progress: Progress,
    controls: Controls,
    telling: summary.Telling = summary.MOVED,
) -> summary.Ran:
    """Run the procedure for all products side by side, in a journal of its own."""
    began = progress.seconds
    opening.prepare(cases[0])
    terminal = Terminal.of_standard_input()
    journal = journalling.opened(cases[0].verb, cases, controls, target=telling.target(cases[0]))
    outcomes = at_once(
        [
            lambda case=case: execute(
                case, how, journal, progress, controls=controls, terminal=terminal
            )
            for case in cases
        ]
    )
    seconds = progress.seconds - began
    ran = summary.Ran(
        cases=cases, outcomes=tuple(outcomes), journal=journal, seconds=seconds, telling=telling
    )
    journalling.closed(journal, progress, ran.exit_code, seconds)
    return ran


def rehearse(
    cases: tuple[Case, ...],
    how: Procedure[G],
    assess: Callable[[G], Assessment],
    controls: Controls,
    *,
    as_json: bool,
) -> int:
    """Print what each check says and what each step would find; change nothing."""

    def look(case: Case) -> summary.Rehearsal:
        going = how.begin(case)
        assessment = None if going.promoted else assess(going)
        return summary.Rehearsal(
            product=case.product.name,
            verb=case.verb,
            assessment=assessment,
            steps=tuple((step.name, answers([step.done])[0]) for step in how.plan(going)),
            controls=controls,
        )

    found = at_once([lambda case=case: look(case) for case in cases])
    summary.show_rehearsals(found, as_json=as_json)
    return worst(rehearsal.exit_code for rehearsal in found)
