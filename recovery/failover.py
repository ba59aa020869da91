"""Move products to a site whose peer has failed: `python -m recovery.failover --region REGION`.

The plan below is the runbook. It loses at most the predicted loss, never waits for the failed
region, and can be killed at any point: the same command run again goes on from what it sees.
"""

from __future__ import annotations

import argparse
from datetime import datetime, timedelta

from recovery import moving, opening
from recovery.engine import cli
from recovery.engine.plan import Step, checked
from recovery.engine.progress import Progress
from recovery.execution import Procedure, blank_takeover, outage_objective, outline, takeover_of
from recovery.steps import capacity, check, promote
from recovery.steps.case import Accepted
from recovery.steps.takeover import Takeover


def plan(going: Takeover) -> tuple[Step, ...]:
    """Return the steps that make the case's site the active one, in their order."""
    case, guard = going.case, going.case.topology.guard
    return (
        Step(name="check-standby", reads_only=True, act=going.check, done=going.is_checked),
        Step(name="assign-site", act=going.assign, done=lambda: going.is_assigned(settled=False)),
        Step(
            name="tell-people",
            act=going.tell_begin,
            done=lambda: going.was_told("begins"),
            may_be_skipped=True,
        ),
        Step(name="fence-peer", act=going.fence, done=going.is_fencing_recorded),
        Step(
            name="request-capacity",
            act=lambda _: capacity.request(case),
            done=lambda: capacity.is_requested(case),
            may_be_skipped=True,
        ),
        Step(
            name="outwait-guards",
            act=going.outwait,
            done=going.is_outwaited,
            forecast=timedelta(seconds=guard.ttl_seconds + guard.drift_seconds),
        ),
        Step(name="record-point", act=going.record, done=going.is_recorded),
        Step(
            name="promote-database",
            act=going.promote,
            done=lambda: promote.standby_is_writer(case),
            commits=True,
            forecast=promote.FORECAST,
        ),
        Step(
            name="open-database",
            act=lambda report: promote.open_if_reached(case, report),
            done=lambda: promote.is_open(case),
        ),
        Step(
            name="scale-out",
            act=lambda report: capacity.await_healthy(case, report),
            done=lambda: capacity.is_healthy(case),
            may_be_skipped=True,
            forecast=capacity.FORECAST,
        ),
        *moving.handed_over(going),
        Step(name="settle-assignment", act=going.settle, done=going.is_settled),
    )


PROCEDURE = Procedure(
    begin=takeover_of, blank=blank_takeover, plan=plan, objective=outage_objective
)


def main() -> int:
    """Run the command line; return the exit code."""
    options = _options()
    progress, controls = Progress(), options.controls
    cases = opening.cases(
        options.region,
        options.product,
        execution=moving.execution_id("failover"),
        resolver=options.resolver,
        accepted=Accepted(
            even_if_healthy=options.even_if_healthy,
            data_loss_seconds=options.accept_data_loss,
            split_brain=options.accept_split_brain,
            outage_began=options.outage_began,
        ),
    )
    checked(outline(cases[0], PROCEDURE), controls)
    if options.dry_run:
        return moving.rehearse(
            cases, PROCEDURE, lambda of: check.assess(of.case), controls, as_json=options.json
        )
    return moving.move(cases, PROCEDURE, progress, controls, as_json=options.json)


def _options() -> argparse.Namespace:
    made = cli.parser(
        "failover",
        "Make the site in REGION the active one, because its peer has failed.\n\n"
        "Checks, tells people, fences what can be reached, promotes the databases, scales out,\n"
        "shifts traffic, verifies as a customer would, and reports. Killed at any point, the\n"
        "same command goes on. Never needs an answer from the failed region.",
        region_means="the region to move to, such as us-west-2",
    )
    made.add_argument(
        "--dry-run", action="store_true", help="print every check and step as seen now; no change"
    )
    made.add_argument(
        "--even-if-healthy", action="store_true", help="go on although customers are served now"
    )
    made.add_argument(
        "--accept-data-loss",
        type=_seconds,
        metavar="SECONDS",
        help="accept a predicted loss above the RPO, up to this",
    )
    made.add_argument(
        "--accept-split-brain",
        type=_acceptance,
        metavar="'NAME: reason'",
        help="go on although nothing proves that the old site serves no more; recorded",
    )
    made.add_argument(
        "--outage-began",
        type=_moment,
        metavar="TIME",
        help="when it began, as 2026-11-23T03:04:05Z (default: when it was last seen healthy)",
    )
    return cli.parsed(made)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds; give 0 or more")
    return seconds


def _acceptance(text: str) -> str:
    name, _, reason = text.partition(":")
    if not name.strip() or not reason.strip():
        raise argparse.ArgumentTypeError(
            f"{text} does not say who accepts it and why; write 'Ada Lovelace: the region is off'"
        )
    return text


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise argparse.ArgumentTypeError(
            f"{text} is no time with a zone; write it as 2026-11-23T03:04:05Z"
        )
    return moment


if __name__ == "__main__":
    cli.main(main)
