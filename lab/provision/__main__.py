"""`python -m lab.provision --run-dir RUN STACK...`: make the stacks real in the lab."""

from __future__ import annotations

import argparse
import gc
import json
import sys
import warnings
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from lab.provision.clients import LabClients
from lab.provision.config import parse_override
from lab.provision.errors import ProvisionError, StackFailedError, UsageError
from lab.provision.stacks import Outcome, Run, provision

if TYPE_CHECKING:
    from lab.provision.world import Step

_SIGNS = {
    "create": "+",
    "adopt": "&",
    "update": "~",
    "replace": "±",
    "delete": "-",
    "retain": "·",
}


def main(arguments: list[str] | None = None) -> int:
    """Return 0 when every stack is as declared, 1 when one failed, 2 for a wrong command."""
    options = _parser().parse_args(arguments)
    # What a program leaves unawaited after a failure is no news.
    warnings.filterwarnings("ignore", "coroutine 'Output", RuntimeWarning)
    try:
        run = Run(
            root=options.project.resolve(),
            run_dir=options.run_dir.resolve(),
            clients=LabClients(),
            overrides=dict(parse_override(text) for text in options.config),
            preview=options.preview,
        )
        outcomes = _run(run, options)
    except UsageError as error:
        return _failed(error, 2, as_json=options.json)
    except ProvisionError as error:
        return _failed(error, 1, as_json=options.json)
    if options.json:
        print(json.dumps([_described(o) for o in outcomes], indent=2, default=repr))
    return 0


def _run(run: Run, options: argparse.Namespace) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for outcome in provision(run, options.stacks, _quiet if options.json else _print_step):
        outcomes.append(outcome)
        if not options.json:
            _print_summary(outcome, preview=run.preview)
    return outcomes


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab.provision", description=__doc__)
    parser.add_argument("stacks", nargs="+", metavar="STACK", help="in the order to provision them")
    parser.add_argument("--run-dir", type=Path, required=True, help="the lab's run folder")
    parser.add_argument(
        "--project", type=Path, default=Path(), help="folder of Pulumi.yaml (default: here)"
    )
    parser.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="KEY=JSON",
        help="override a value; an object is merged; KEY may be a path: products[*].hosts.active",
    )
    parser.add_argument(
        "--preview", action="store_true", help="say what would change, touch nothing"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end")
    return parser


def _quiet(_stack: str, _step: Step) -> None:
    pass


def _print_step(stack: str, step: Step) -> None:
    if step.action == "same":
        return
    properties = f" [{', '.join(step.properties)}]" if step.properties else ""
    line = f"{stack} {_SIGNS[step.action]} {step.action} {step.type} {step.name}{properties}\n"
    # Several threads report at once: one write a line.
    sys.stdout.write(line)
    sys.stdout.flush()


def _print_summary(outcome: Outcome, *, preview: bool) -> None:
    counts = Counter(step.action for step in outcome.steps)
    said = ", ".join(f"{counts[action]} {action}" for action in (*_SIGNS, "same") if counts[action])
    kind = "lab preview" if preview else "lab provision"
    print(f"{outcome.stack}: {kind}: {said or 'nothing'} in {outcome.seconds:.1f} s", flush=True)


def _described(outcome: Outcome) -> dict[str, object]:
    counts = Counter(step.action for step in outcome.steps)
    return {
        "stack": outcome.stack,
        "seconds": round(outcome.seconds, 3),
        "summary": dict(counts),
        "changes": [asdict(step) for step in outcome.steps if step.action != "same"],
        "outputs": outcome.outputs,
    }


def _failed(error: ProvisionError, code: int, *, as_json: bool) -> int:
    stack = error.stack if isinstance(error, StackFailedError) else None
    if as_json:
        print(json.dumps({"stack": stack, "errors": str(error).splitlines()}))
    else:
        prefix = f"{stack}: " if stack else ""
        for line in str(error).splitlines():
            print(f"{prefix}{line}", file=sys.stderr)
    return code


if __name__ == "__main__":
    # A short life with very many small objects: collecting them takes a third of its time.
    gc.disable()
    sys.exit(main())
