"""Provisions stacks one after the other: configuration, program, engine, removal, outputs."""

from __future__ import annotations

import contextlib
import fcntl
import runpy
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from lab.provision import sdk
from lab.provision.config import Overrides, Project, project, stack_config
from lab.provision.engine import Engine
from lab.provision.errors import ProvisionError, StackFailedError
from lab.provision.invokes import invoke
from lab.provision.providers import Providers
from lab.provision.removal import remove
from lab.provision.rows import ROWS
from lab.provision.state import State
from lab.provision.values import unknowns
from lab.provision.wheel import schema
from lab.provision.world import Step, World

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from lab.provision.clients import Clients
    from lab.provision.values import Properties

_ORGANISATION = "organization"
"""What `pulumi.get_organization()` answers with a file backend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one run of one stack did, or in a preview would do."""

    stack: str
    steps: tuple[Step, ...]
    outputs: Properties
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What all stacks of one invocation share."""

    root: Path
    run_dir: Path
    clients: Clients
    overrides: Overrides
    preview: bool = False


def provision(
    run: Run, stacks: Sequence[str], report: Callable[[str, Step], None]
) -> Generator[Outcome]:
    """Provision `stacks` in the order given, and yield what was done for each.

    Each sees the outputs of those before it.

    `report` is told of each step as it happens. Raise StackFailedError at the first stack that
    fails: what it had made by then is in its state, and the next run goes on from there.
    """
    described = project(run.root)
    configs = {stack: stack_config(described, stack, run.overrides) for stack in stacks}
    session = _Session(run=run, project=described, report=report)
    with alone(run.run_dir / "provision"):
        for stack in stacks:
            yield session.provision(stack, configs[stack])


def state_path(run_dir: Path, stack: str) -> Path:
    """Return where the state of `stack` is."""
    return run_dir / "provision" / f"{stack}.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    run: Run
    project: Project
    report: Callable[[str, Step], None]
    known: dict[str, Properties | None] = field(default_factory=dict[str, "Properties | None"])
    """Stack → its outputs; None where they are not known."""

    def provision(self, stack: str, config: dict[str, str]) -> Outcome:
        """Run the stack's program, take away what it declares no longer, keep its outputs."""
        began = time.monotonic()
        steps: list[Step] = []
        world = self._world(stack, steps)
        providers = Providers(config, self.run.clients)
        engine = Engine(world, providers, project=self.project.name, stack=stack)
        _run(self.project, self._deployment(stack, config), engine)
        try:
            remove(world, engine.declared)
        except ProvisionError as error:
            raise StackFailedError(stack, [error]) from error
        if not self.run.preview:
            world.state.finish(engine.exports)
        self.known[stack] = None if unknowns(engine.exports) else engine.exports
        return Outcome(
            stack=stack,
            steps=tuple(steps),
            outputs=engine.exports,
            seconds=time.monotonic() - began,
        )

    def _world(self, stack: str, steps: list[Step]) -> World:
        def keep(step: Step) -> None:
            steps.append(step)
            self.report(stack, step)

        return World(
            rows=ROWS,
            clients=self.run.clients,
            state=State(state_path(self.run.run_dir, stack)),
            schema=schema,
            references=self._references,
            invoke=invoke,
            report=keep,
            preview=self.run.preview,
        )

    def _deployment(self, stack: str, config: dict[str, str]) -> sdk.Deployment:
        return sdk.Deployment(
            project=self.project.name,
            stack=stack,
            organisation=_ORGANISATION,
            root=self.project.root,
            config=config,
            preview=self.run.preview,
        )

    def _references(self, stack: str) -> Properties | None:
        if stack not in self.known:
            state = State(state_path(self.run.run_dir, stack))
            self.known[stack] = state.outputs if state.finished else None
        return self.known[stack]


def _run(project: Project, deployment: sdk.Deployment, engine: Engine) -> None:
    """Run the program; raise StackFailedError with every error that was met."""
    met: BaseException | None = None
    try:
        with _inside(project.program):
            sdk.run(lambda: _program(project.program), deployment, engine)
    except Exception as error:  # noqa: BLE001 - a program may raise anything; it is raised again below
        met = error
    if "CLI does not support" in str(met):
        # What the SDK says of any feature that the monitor does not advertise.
        cast("BaseException", met).add_note("the lab runs no transforms and no hooks")
    causes = engine.errors or ([met] if met else [])
    if causes:
        # What is refused needs no traceback; a bug keeps its own.
        expected = all(isinstance(cause, ProvisionError) for cause in causes)
        raise StackFailedError(deployment.stack, causes) from (None if expected else met)


def _program(folder: Path) -> None:
    runpy.run_path(str(folder / "__main__.py"), run_name="__main__")


@contextlib.contextmanager
def _inside(folder: Path) -> Generator[None]:
    """Work in the program's folder and import from it, as Pulumi's executor does."""
    sys.path.insert(0, str(folder))
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        sys.path.remove(str(folder))


@contextlib.contextmanager
def alone(folder: Path) -> Generator[None]:
    """Keep a second provision out of the same states; the kernel lets go when we end."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = f"{folder} is in use by another provision; wait for it to end"
            raise ProvisionError(msg) from error
        yield
