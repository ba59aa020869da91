"""Move products home after a failover: `python -m recovery.failback --region REGION`.

Up to three plans in a row, each an execution with a journal of its own: reprotect makes the home
site the standby, unless it is; switchover moves the products there; reprotect makes the site that
they left the standby. Between two of them the products are served, and the same command goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from recovery import moving, opening, reprotect, summary, switchover
from recovery.engine import cli
from recovery.engine.errors import DEVIATED, RECOVERED, RefusedError, worst
from recovery.engine.gates import NO_CONTROLS, Controls
from recovery.engine.plan import checked
from recovery.engine.progress import Progress
from recovery.execution import outline
from recovery.steps import check
from recovery.steps.case import Case
from recovery.steps.protection import protection
from recovery.steps.reprotection import reprotection_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One of the plans that bring a product home."""

    name: str
    verb: str
    means: str
    from_home: bool
    """Whether it is the home site that it runs for, and not the one that serves meanwhile."""
    telling: summary.Telling
    carry_out: Callable[[tuple[Case, ...], Progress, Controls], summary.Ran]


def _protect(cases: tuple[Case, ...], progress: Progress, _: Controls) -> summary.Ran:
    """Reprotect without stops: those that an operator asked for are the move's."""
    return moving.carry_out(cases, reprotect.PROCEDURE, progress, NO_CONTROLS)


PROTECT_HOME = Phase(
    name="protect-home",
    verb="reprotect",
    means="make the home site the standby of the one that serves",
    from_home=False,
    telling=reprotect.TELLING,
    carry_out=_protect,
)
MOVE_HOME = Phase(
    name="move-home",
    verb="switchover",
    means="move the product there, losing no write",
    from_home=True,
    telling=summary.MOVED,
    carry_out=lambda cases, progress, controls: moving.carry_out(
        cases, switchover.PROCEDURE, progress, controls
    ),
)
PROTECT_AWAY = Phase(
    name="protect-away",
    verb="reprotect",
    means="make the site that it left the standby",
    from_home=True,
    telling=reprotect.TELLING,
    carry_out=_protect,
)
PHASES = (PROTECT_HOME, MOVE_HOME, PROTECT_AWAY)


def phases(case: Case) -> tuple[Phase, ...]:
    """Return what is left to bring the product to the case's site, and to protect it there.

    RefusedError where no site was ever assigned; OutsideError where that cannot be read.
    """
    now = check.standing(case)
    if now is None:
        raise RefusedError(
            f"no site is assigned to {case.product.name}; once the products serve, run "
            f"python -m recovery.assign --region {case.site.region} --initial"
        )
    if now.site != case.site.name:
        ready = reprotection_of(case.turned).is_recorded().holds
        return (MOVE_HOME, PROTECT_AWAY) if ready else PHASES
    if not now.settled:
        return (MOVE_HOME, PROTECT_AWAY)
    never_moved = now.execution.startswith("assign-") and protection(case, now).holds
    return () if never_moved or reprotection_of(case).is_recorded().holds else (PROTECT_AWAY,)


def main() -> int:
    """Run the command line; return the exit code."""
    options = _options()
    progress = Progress()
    homes = _cases(options, options.region, "failback", options.product)
    checked(outline(homes[0], switchover.PROCEDURE), options.controls)
    left = {case.product.name: phases(case) for case in homes}
    if options.dry_run:
        _show_left(left, as_json=options.json)
        return RECOVERED
    codes, reports = [RECOVERED], list[dict[str, object]]()
    for phase in PHASES:
        names = [name for name, todo in left.items() if phase in todo]
        if not names:
            continue
        progress.say(", ".join(names), phase.name, "begins", phase.means)
        region = options.region if phase.from_home else homes[0].peer.region
        cases = _cases(options, region, phase.verb, names)
        ran = phase.carry_out(cases, progress, options.controls)
        codes.append(ran.exit_code)
        for case, outcome in zip(ran.cases, ran.outcomes, strict=True):
            if outcome.exit_code not in {RECOVERED, DEVIATED}:
                left[case.product.name] = ()  # what it needs first is said by its report
        reports.append({"phase": phase.name} | summary.report(ran, phase.telling))
        if not options.json:
            summary.show(ran, phase.telling, as_json=False)
    _show_end(options.region, reports, worst(codes), as_json=options.json)
    return worst(codes)


def _cases(
    options: argparse.Namespace, region: str, verb: str, products: Sequence[str]
) -> tuple[Case, ...]:
    return opening.cases(
        region, products, execution=moving.execution_id(verb), resolver=options.resolver
    )


def _show_left(left: Mapping[str, tuple[Phase, ...]], *, as_json: bool) -> None:
    """Print which plans a product would go through, in their order."""
    if as_json:
        print(json.dumps({name: [each.name for each in todo] for name, todo in left.items()}))
        return
    for name, todo in left.items():
        print(f"\n{name}: dry run, nothing was changed")
        for each in todo:
            print(f"  would run  {each.name:<13} {each.means} (recovery.{each.verb})")
        if not todo:
            print("  holds      it is active there, and protected")


def _show_end(
    region: str, reports: Sequence[Mapping[str, object]], code: int, *, as_json: bool
) -> None:
    if as_json:
        print(json.dumps({"region": region, "exit_code": code, "phases": reports}, indent=2))
    elif not reports:
        print(f"nothing is left to do: all are active in {region}, and protected")


def _options() -> argparse.Namespace:
    made = cli.parser(
        "failback",
        "Bring the products home to REGION, in up to three plans, each with its own journal:\n"
        "  protect-home  recovery.reprotect: REGION becomes the standby, unless it is\n"
        "  move-home     recovery.switchover: a planned move, which loses no write\n"
        "  protect-away  recovery.reprotect: the site that was left becomes the standby\n"
        "Stopped between two of them, or killed anywhere, the same command goes on. Until the\n"
        "move, and after it, customers are served. A product whose plan fails stops there.\n"
        "Steps that are stopped at, or left out, are those of move-home.",
        region_means="the region that the products come home to",
    )
    made.add_argument(
        "--dry-run", action="store_true", help="print which plans are left; no change"
    )
    cli.offer_controls(made)
    options = made.parse_args()
    options.controls = cli.controls_in(options, made)
    return options


if __name__ == "__main__":
    cli.main(main)
