"""Pulumi, run as a process: the CLI, or a command that answers the same questions.

Only options that the CLI documents are used (www.pulumi.com/docs/iac/cli/commands). It works in
the current directory, on whatever backend and with whatever credentials the environment gives.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from recovery.engine.errors import OutsideError
from recovery.reconciliation import checkpoint, preview
from recovery.reconciliation.checkpoint import Checkpoint
from recovery.reconciliation.operations import Forget, Import
from recovery.reconciliation.preview import Change

_SHOWN_LINES = 5


class CommandError(OutsideError):
    """The command could not be run, failed, or said what nobody understands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a process ended, and what it printed."""

    code: int
    out: str
    err: str


Run = Callable[[Sequence[str]], Ended]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulumi:
    """The command, given as one line such as `pulumi -C stacks`."""

    line: str
    run: Run

    def configuration(self, stack: str) -> dict[str, str]:
        """Return the configuration of the stack: key with its namespace → value as text."""
        text = self._ask("config", "--json", "--stack", stack)
        try:
            found = msgspec.json.decode(text, type=dict[str, _Value])
        except msgspec.DecodeError as error:
            raise CommandError(
                f"{self.line} config --json printed something else: {error}"
            ) from error
        return {key: value.value or "" for key, value in found.items()}

    def configure(self, stack: str, key: str, value: str) -> None:
        """Write a value into the stack's file."""
        self._ask("config", "set", key, value, "--stack", stack)

    def export(self, stack: str) -> Checkpoint:
        """Return the stack's state."""
        return checkpoint.parse(self._ask("stack", "export", "--stack", stack), stack)

    def restore(self, stack: str, document: Any) -> None:
        """Make the document the stack's state."""
        with _file(document) as name:
            self._ask("stack", "import", "--stack", stack, "--file", name)

    def forget(self, stack: str, gone: Forget) -> None:
        """Take a resource out of the state."""
        self._ask("state", "delete", gone.urn, "--stack", stack, "--yes")

    def take_in(self, stack: str, found: Import) -> None:
        """Take a resource that exists into the state, unprotected as the program declares it."""
        names = {"provider": found.provider} | ({"parent": found.parent} if found.parent else {})
        resource = {"type": found.type, "name": found.name, "id": found.id}
        described = {"nameTable": names, "resources": [resource | {name: name for name in names}]}
        with _file(described) as name:
            how = ("--generate-code=false", "--protect=false", "--skip-preview", "--yes")
            self._ask("import", "--file", name, "--stack", stack, *how)

    def refresh(self, stack: str, urns: Sequence[str]) -> None:
        """Let the state read these resources again, and no other: one may be in a dark region."""
        targets = [word for urn in urns for word in ("--target", urn)]
        self._ask("refresh", "--stack", stack, *targets, "--skip-preview", "--yes")

    def preview(self, stack: str) -> tuple[Change, ...]:
        """Return what an update would change."""
        ended = self._run("preview", "--json", "--stack", stack)
        # Where the program fails, the document says why better than the exit code.
        if ended.out.lstrip().startswith("{"):
            changes = preview.parse(ended.out, stack)
            if ended.code == 0:
                return changes
        raise self._failed(("preview", "--stack", stack), ended)

    def update(self, stack: str) -> None:
        """Bring the stack up to date."""
        self._ask("up", "--stack", stack, "--skip-preview", "--yes")

    def _ask(self, *words: str) -> str:
        ended = self._run(*words)
        if ended.code:
            raise self._failed(words, ended)
        return ended.out

    def _run(self, *words: str) -> Ended:
        try:
            return self.run([*shlex.split(self.line), *words, "--non-interactive"])
        except OSError as error:
            raise CommandError(
                f"{self.line} cannot be run ({error.strerror}); install Pulumi, or name another "
                "command with --pulumi"
            ) from error

    def _failed(self, words: Sequence[str], ended: Ended) -> CommandError:
        said = [line for line in (ended.err + ended.out).splitlines() if line.strip()]
        return CommandError(
            f"{self.line} {' '.join(words)} ended with {ended.code}: "
            f"{' | '.join(said[-_SHOWN_LINES:]) or 'it said nothing'}"
        )


def as_process(words: Sequence[str]) -> Ended:
    """Run the command to its end, however long an update takes."""
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return Ended(code=done.returncode, out=done.stdout, err=done.stderr)


class _Value(msgspec.Struct):
    """A value of the configuration; a secret one is not shown."""

    value: str | None = None


@contextmanager
def _file(document: Any) -> Generator[str]:
    """Yield the name of a file with the document, which nobody else can read; then it is gone."""
    with tempfile.TemporaryDirectory(prefix="standby-reconcile-") as folder:
        path = Path(folder) / "document.json"
        path.write_text(json.dumps(document))
        yield str(path)
