"""Bring Pulumi's stacks in line with what recovery did: `recovery.reconcile --region REGION`.

After a failover, a switchover or a reprotect: what to commit, what in the stacks' states stands for
something else now, and what the next update would do. It talks to the command alone, so it runs
where Pulumi does; recovery itself never needs it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from recovery import opening
from recovery.engine import cli, state
from recovery.engine.errors import DEVIATED, RECOVERED
from recovery.reconciliation import alignment, telling
from recovery.reconciliation.alignment import Aligned
from recovery.reconciliation.command import Pulumi, as_process
from recovery.reconciliation.wanted import LINK, Wanted, wanted
from recovery.reconciliation.world import World, look


def main() -> int:
    """Run the command line; return the exit code."""
    options = _options()
    now = datetime.now(UTC)
    cases = opening.cases(
        options.region, [], execution=f"reconcile-{now:%Y%m%dT%H%M%SZ}", resolver=options.resolver
    )
    world = look(cases)
    pulumi = Pulumi(line=options.pulumi, run=as_process)
    stacks = (
        _align(pulumi, world, lambda: look(cases)) if options.apply else _examine(pulumi, world)
    )
    if options.json:
        print(json.dumps(telling.facts(world, stacks), indent=2))
    else:
        print("\n".join(telling.lines(world, stacks, options.pulumi)))
    holds = all(stack.is_in_line for stack in stacks)
    return RECOVERED if holds or not (options.check or options.apply) else DEVIATED


def _options() -> argparse.Namespace:
    made = cli.parser(
        "reconcile",
        "Say what to commit and what to do to the stacks' states after a failover, a switchover\n"
        "or a reprotect, and what their next previews show. Needs Pulumi, its backend, and\n"
        "credentials that read both regions; with --apply, those with which stacks are updated.",
        region_means="a site's region that answers",
    )
    made.epilog = _EXIT_CODES
    how = made.add_mutually_exclusive_group()
    how.add_argument(
        "--apply",
        action="store_true",
        help="do it: write the values, change the states, and update a stack whose preview shows "
        "nothing but what recovery leaves to the stacks",
    )
    how.add_argument("--check", action="store_true", help="for CI: exit 6 where there is drift")
    made.add_argument(
        "--pulumi",
        default=os.environ.get("STANDBY_PULUMI", "pulumi"),
        metavar="COMMAND",
        help="what answers as Pulumi's CLI does (default: $STANDBY_PULUMI, else pulumi)",
    )
    options = made.parse_args()
    if options.product:
        made.error("--product: a stack holds all products; leave it out")
    return options


_EXIT_CODES = """\
exit codes:
  0  said, and with --check or --apply: the stacks are in line, as far as their regions answer
  1  a bug in this program
  2  wrong usage
  3  it cannot tell: who is active, what a region has, or what Pulumi says; nothing was changed
  4  --apply failed on the way; run again
  6  with --check or --apply: something is not in line
"""


def _examine(pulumi: Pulumi, world: World) -> list[Aligned]:
    found: list[Aligned] = []
    for stack in wanted(world):
        # The link's program reads the sites' outputs, and refuses those that are not right yet.
        may_preview = stack.stack != LINK or all(each.is_in_line for each in found)
        found.append(alignment.examine(pulumi, stack, world, may_preview=may_preview))
    return found


def _align(pulumi: Pulumi, world: World, again: Callable[[], World]) -> list[Aligned]:
    found: list[Aligned] = []
    for stack in wanted(world):
        ready = stack.standing != "touched" or all(each.is_in_line for each in found)
        if stack.stack == LINK and not ready:
            why = "the sites' stacks are not in line, and it reads their outputs"
            stack = Wanted(stack=LINK, standing="waits", why=why)  # noqa: PLW2901
        found.append(alignment.align(pulumi, stack, again, say=_say, keep=_keep))
    return found


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _keep(stack: str, document: Any) -> str:
    """Keep a state beside the journals, for its owner alone; return where."""
    folder = state.folder() / "states"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stack}-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}.json"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(document, file)
    return str(path)


if __name__ == "__main__":
    cli.main(main)
