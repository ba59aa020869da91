"""Move products home after a failover: `python -m recovery.failback --region REGION`.

Up to three plans in a row, each an execution with a journal of its own: reprotect makes the home
site the standby, unless it is; switchover moves the products there; reprotect makes the site that
they left the standby. Between two of them the products are served, and the same command goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from recovery import moving, opening, reprotect, summary, switchover
from recovery.assignment import Assignment
from recovery.database import gate
from recovery.engine import cli
from recovery.engine.errors import (
    DEVIATED,
    FAILED,
    RECOVERED,
    REFUSED,
    OutsideError,
    RefusedError,
    worst,
)
from recovery.engine.gates import NO_CONTROLS, Controls
from recovery.engine.plan import checked
from recovery.engine.progress import Progress
from recovery.execution import outline
from recovery.steps import old_site
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
    carry_out: Callable[[tuple[Case, ...], Progress, Controls], summary.Ran]


def _protect(cases: tuple[Case, ...], progress: Progress, _: Controls) -> summary.Ran:
    """Reprotect without stops: those that an operator asked for are the move's."""
    return moving.carry_out(cases, reprotect.PROCEDURE, progress, NO_CONTROLS, reprotect.TELLING)


PROTECT_HOME = Phase(
    name="protect-home",
    verb="reprotect",
    means="make the home site the standby of the one that serves",
    from_home=False,
    carry_out=_protect,
)
MOVE_HOME = Phase(
    name="move-home",
    verb="switchover",
    means="move the product there, losing no write",
    from_home=True,
    carry_out=lambda cases, progress, controls: moving.carry_out(
        cases, switchover.PROCEDURE, progress, controls
    ),
)
PROTECT_AWAY = Phase(
    name="protect-away",
    verb="reprotect",
    means="make the site that it left the standby",
    from_home=True,
    carry_out=_protect,
)
PHASES = (PROTECT_HOME, MOVE_HOME, PROTECT_AWAY)


def phases(case: Case) -> tuple[Phase, ...]:
    """Return what is left to bring the product to the case's site, and to protect it there.

    All three tables are asked: home's own may be behind, and the witness's dark. RefusedError where
    no site was ever assigned; OutsideError where that cannot be read.
    """
    now = old_site.standing(case)
    if now is None:
        raise RefusedError(
            f"no site is assigned to {case.product.name}; once the products serve, run "
            f"python -m recovery.assign --region {case.site.region} --initial"
        )
    if now.site != case.site.name:
        ready = _is_closed_there(case) or _is_protected(case.turned, now)
        return (MOVE_HOME, PROTECT_AWAY) if ready else PHASES
    if not now.settled:
        return (MOVE_HOME, PROTECT_AWAY)
    return () if _is_protected(case, now) else (PROTECT_AWAY,)


def _is_closed_there(case: Case) -> bool:
    """Say whether the site that is active takes no writes: a move home broke off on its way back.

    Nobody is served until the move's own first step has opened that database.
    """
    name = case.product.deployments[case.peer.name].database_name
    try:
        return old_site.ask(case, lambda session: gate.is_open(session, name)) is False
    except OutsideError:
        return False  # the plans' own checks say what does not answer


def _is_protected(case: Case, now: Assignment) -> bool:
    """Say whether a replica follows the case's active site, and a reprotect of the epoch ended.

    The very first epoch needs none: the stacks made its replica.
    """
    if not protection(case, now).holds:
        return False
    return now.execution.startswith("assign-") or reprotection_of(case).is_recorded().holds


def main() -> int:
    """Run the command line; return the exit code."""
    options = _options()
    progress = Progress()
    homes = opening.cases(
        options.region,
        options.product,
        execution=moving.execution_id("failback"),
        resolver=options.resolver,
    )
    checked(outline(homes[0], switchover.PROCEDURE), options.controls)
    left = {case.product.name: phases(case) for case in homes}
    if options.dry_run:
        _show_left(left, as_json=options.json)
        return RECOVERED
    codes, reports = dict[str, list[int]](), list[dict[str, object]]()
    for phase in PHASES:
        names = [name for name, todo in left.items() if phase in todo]
        if not names:
            continue
        progress.say(", ".join(names), phase.name, "begins", phase.means)
        ran = phase.carry_out(_begun(homes, phase, names), progress, options.controls)
        for case, outcome in zip(ran.cases, ran.outcomes, strict=True):
            codes.setdefault(case.product.name, []).append(outcome.exit_code)
            if outcome.exit_code not in {RECOVERED, DEVIATED}:
                left[case.product.name] = ()  # what it needs first is said by its report
        reports.append({"phase": phase.name} | summary.report(ran))
        if not options.json:
            summary.show(ran, as_json=False)
    code = worst(_together(each) for each in codes.values())
    _show_end(options.region, reports, code, as_json=options.json)
    return code


def _begun(homes: Sequence[Case], phase: Phase, names: Sequence[str]) -> tuple[Case, ...]:
    """Return the products' cases of a new execution, as the phase needs them."""
    execution = moving.execution_id(phase.verb)
    return tuple(
        replace(home if phase.from_home else home.turned, execution=execution)
        for home in homes
        if home.product.name in names
    )


def _together(codes: Sequence[int]) -> int:
    """Return the exit code of one product's plans: refused, it is, where none before did a thing.

    A plan that is refused after another one ended leaves the product served, and part of the way
    done: failed, and safe to run again.
    """
    return FAILED if REFUSED in codes[1:] else worst(codes)


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
        "move, and after it, customers are served. A product whose plan fails stops there; one\n"
        "that is refused after a plan that ended has failed (4), as something was changed.\n"
        "Steps that are stopped at, or left out, are those of move-home.",
        region_means="the region that the products come home to",
    )
    made.add_argument(
        "--dry-run", action="store_true", help="print which plans are left; no change"
    )
    return cli.parsed(made)


if __name__ == "__main__":
    cli.main(main)
