"""`python -m lab pulumi …` answers what Pulumi's CLI would, from the lab's own provision.

It is no Pulumi: a preview here is a lab provision's, which says so in its diagnostics. Only what
`recovery.reconcile` asks is answered. Values that `config set` writes live and die with the lab.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from lab import environment, launch
from lab.configuration import OVERRIDES, PROJECT
from lab.provision import checkpoint
from lab.provision.clients import LabClients
from lab.provision.config import project, stack_config
from lab.provision.errors import ProvisionError, StackFailedError
from lab.provision.stacks import Outcome, Run, alone, provision, state_path
from lab.provision.state import State

SAYS = "lab provision: the SDK's programs against the lab's AWS, no preview of Pulumi's"
_FAILED = 255
"""What Pulumi's CLI ends with."""


def main(words: list[str]) -> int:
    """Answer one command; return its exit code."""
    given = _parser().parse_args(words)
    run_dir = launch.running().folder
    os.environ.update(environment.environment(run_dir, "PROVISION"))
    try:
        return _Answers(run_dir, given.stack).answer(given)
    except ProvisionError as error:
        print(f"lab pulumi: {error}", file=sys.stderr)
        return _FAILED


class _Answers:
    def __init__(self, run_dir: Path, stack: str) -> None:
        self._run_dir = run_dir
        self._stack = stack
        self._project = project(PROJECT)
        self._own = run_dir / "provision" / "config" / f"{stack}.json"

    def answer(self, given: argparse.Namespace) -> int:
        match given.command:
            case "preview":
                return self._preview()
            case "up":
                done = self._provision(preview=False)
                print(f"{self._stack}: lab provision: {_counted(done)}")
            case "config":
                self._configure(given.words)
            case _:
                with alone(self._run_dir / "provision"):
                    self._edit(given, State(state_path(self._run_dir, self._stack)))
        return 0

    def _preview(self) -> int:
        began = time.monotonic()
        told = [{"severity": "info", "message": SAYS}]
        steps: list[dict[str, Any]] = []
        done: dict[str, int] | None = None
        try:
            outcome = self._provision(preview=True)
            steps, done = _steps(outcome), _counted(outcome)
        except StackFailedError as error:
            told += [{"severity": "error", "message": line} for line in str(error).splitlines()]
        digest = {"steps": steps, "diagnostics": told, "duration": time.monotonic() - began}
        print(json.dumps(digest | ({} if done is None else {"changeSummary": done}), indent=4))
        return 0 if done is not None else _FAILED

    def _provision(self, *, preview: bool) -> Outcome:
        run = Run(
            root=PROJECT,
            run_dir=self._run_dir,
            clients=LabClients(),
            overrides=self._overrides(),
            preview=preview,
        )
        (outcome,) = provision(run, [self._stack], lambda _stack, _step: None)
        return outcome

    def _overrides(self) -> dict[str, Any]:
        return OVERRIDES | self._set()

    def _set(self) -> dict[str, str]:
        return json.loads(self._own.read_text()) if self._own.exists() else {}

    def _configure(self, words: list[str]) -> None:
        if not words:
            found = stack_config(self._project, self._stack, self._overrides())
            print(json.dumps({k: {"value": v, "secret": False} for k, v in found.items()}))
            return
        _set, key, value = words
        self._own.parent.mkdir(parents=True, exist_ok=True)
        self._own.write_text(json.dumps(self._set() | {key: value}))

    def _edit(self, given: argparse.Namespace, state: State) -> None:
        name, stack = self._project.name, self._stack
        match given.command, given.words:
            case "stack", ["export"]:
                print(json.dumps(checkpoint.exported(state, name, stack), indent=4))
            case "stack", ["import"]:
                checkpoint.restore(state, json.loads(Path(given.file).read_text()))
            case "state", ["delete", urn]:
                checkpoint.forget(state, urn)
            case "refresh", []:
                checkpoint.refresh(state, LabClients(), given.target)
            case "import", []:
                wanted = json.loads(Path(given.file).read_text())
                checkpoint.take_in(state, LabClients(), wanted, name, stack)
            case command, words:
                msg = f"{command} {' '.join(words)} is nothing that the lab answers"
                raise ProvisionError(msg)


def _steps(outcome: Outcome) -> list[dict[str, Any]]:
    return [
        {
            "op": step.action,
            "urn": step.urn,
            "detailedDiff": {name: {"kind": step.action} for name in step.properties},
        }
        for step in outcome.steps
        if step.action != "same"
    ]


def _counted(outcome: Outcome) -> dict[str, int]:
    return dict(Counter(step.action for step in outcome.steps))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab pulumi", description=__doc__)
    commands = ("preview", "up", "config", "stack", "state", "refresh", "import")
    parser.add_argument("command", choices=commands)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--stack", "-s", required=True)
    parser.add_argument("--file", "-f")
    parser.add_argument("--target", action="append", default=[], metavar="URN")
    # What the CLI is told here, and a lab does anyway.
    for flag in ("--json", "--yes", "--skip-preview", "--non-interactive"):
        parser.add_argument(flag, action="store_true")
    for option in ("--generate-code", "--protect"):
        parser.add_argument(option)
    return parser
