"""Let a plan that waits go on: `python -m recovery.approve EXECUTION --step STEP --by 'NAME'`.

Whoever runs an execution with --pause-before or --approve-at waits for this, on whatever machine
it is typed. The go is an object beside the journal in the standby's bucket, written once.
"""

from __future__ import annotations

import argparse
import json

from recovery import approvals, discovery
from recovery.cloud import identity
from recovery.cloud.client import Region
from recovery.engine import chain, cli, wait
from recovery.engine.chain import Record
from recovery.engine.errors import DEVIATED, RECOVERED, RefusedError
from recovery.engine.gates import Go, name_in
from recovery.reporting import journals
from recovery.reporting.journals import Bucket, Machine, Shelf

TAKEN_SECONDS = 15.0
"""Several looks of a plan that waits, and the way of its journal to the bucket."""
_MEANWHILE = {"says", "budget"}
"""Events of a product that do not end its waiting."""
_EPILOG = """\
exit codes:
  0  the execution goes on
  2  wrong usage
  3  refused: no such execution, nothing waits there, or somebody approved it before
  6  approved, but the execution has not taken it yet: does it still run?
"""


def main() -> int:
    """Run the command line; return the exit code."""
    options = _options()
    shelf, execution = _found(options.execution, options.region)
    records = _records(shelf, execution)
    region = options.region or str(records[0].facts.get("region"))
    waiting = _waiting(records, execution, options.step, options.product)
    here, bucket = Region(region), _bucket(region)
    go = Go(step=options.step, by=options.by, identity=identity.caller(here))
    for product in waiting:
        counts = approvals.give(here, bucket, execution, product, go)
        if counts != go:
            raise RefusedError(
                f"{product} {options.step} was approved before, {counts.text}; where the plan "
                "refuses that, have the object under approvals/ in the bucket deleted, then repeat"
            )

    def taken() -> bool | None:
        still = _waits_before(_records(shelf, execution))
        return None if any(still.get(each) == options.step for each in waiting) else True

    goes_on = bool(wait.until(taken, seconds=TAKEN_SECONDS))
    _show(execution, waiting, go, goes_on=goes_on, as_json=options.json)
    return RECOVERED if goes_on else DEVIATED


def _found(asked: str, region: str | None) -> tuple[Shelf, str]:
    """Return where the execution's journal is, and its whole id."""
    machine = Machine()
    if region is None and not any(each.startswith(asked) for each in machine.executions()):
        raise RefusedError(
            f"{machine.place} has no journal of {asked!r}; add --region, where the products go"
        )
    shelf = Bucket(region) if region else machine
    return shelf, journals.chosen(shelf, asked)


def _records(shelf: Shelf, execution: str) -> list[Record]:
    found = chain.examine(shelf.read(execution) or b"").records
    if not found:
        raise RefusedError(f"{shelf.where(execution)} cannot be read as a journal")
    return found


def _waits_before(records: list[Record]) -> dict[str, str]:
    """Return the step that each product waits before, of those that wait."""
    last = {each.product: each for each in records if each.event not in _MEANWHILE}
    return {name: each.step for name, each in last.items() if each.event == "paused"}


def _waiting(
    records: list[Record], execution: str, step: str, products: list[str]
) -> tuple[str, ...]:
    """Return the products that wait before the step, of those asked for; RefusedError: none."""
    waits = _waits_before(records)
    found = tuple(
        name
        for name, before in waits.items()
        if before == step and (not products or name in products)
    )
    missing = [name for name in products if name not in found]
    if missing or not found:
        where = ", ".join(f"{name} before {before}" for name, before in waits.items())
        raise RefusedError(
            f"{', '.join(missing) or 'nothing'} of {execution} waits before {step}; "
            f"what waits: {where or 'nothing'}"
        )
    return found


def _bucket(region: str) -> str:
    return discovery.site_in(discovery.find(region), region).bucket


def _show(
    execution: str, products: tuple[str, ...], go: Go, *, goes_on: bool, as_json: bool
) -> None:
    if as_json:
        fields = {"execution": execution, "products": products, "step": go.step}
        print(json.dumps(fields | {"by": go.by, "identity": go.identity, "goes_on": goes_on}))
        return
    ending = "it goes on" if goes_on else "it has not taken that yet: does it still run?"
    print(f"{execution}: {', '.join(products)} {go.step} approved {go.text}; {ending}")


def _options() -> argparse.Namespace:
    made = argparse.ArgumentParser(
        prog="python -m recovery.approve",
        description="Let a plan go on that waits before a step, because it was started with\n"
        "--pause-before or --approve-at. It says itself what to type here.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "execution", metavar="EXECUTION", help="its id, or a beginning of it that no other has"
    )
    made.add_argument("--step", required=True, metavar="STEP", help="the step that it waits before")
    made.add_argument(
        "--by", required=True, type=_name, metavar="'NAME'", help="who approves; recorded"
    )
    made.add_argument(
        "--product",
        action="append",
        default=[],
        metavar="NAME",
        help="only this product; repeat for several (default: all that wait before the step)",
    )
    made.add_argument(
        "--region",
        metavar="REGION",
        help="where the products go (default: as the journal on this machine says)",
    )
    made.add_argument("--json", action="store_true", help="print the result as JSON")
    return made.parse_args()


def _name(text: str) -> str:
    name = name_in(text)
    if name is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} names nobody; give the name of a person, of at most 100 characters"
        )
    return name


if __name__ == "__main__":
    cli.main(main)
