"""Provisions stacks one after the other: configuration, program, engine, removal, outputs."""

from __future__ import annotations

import contextlib
import fcntl
import runpy
import sys
import time
from dataclasses import dataclass
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
) -> list[Outcome]:
    """Provision `stacks` in the order given; each sees the outputs of those before it.

    `report` is told of each step as it happens. Raise StackFailedError at the first stack that
    fails: what it had made by then is in its state, and the next run goes on from there.
    """
    described = project(run.root)
    configs = {stack: stack_config(described, stack, run.overrides) for stack in stacks}
    known: dict[str, Properties | None] = {}
    with _alone(run.run_dir / "provision"):
        return [
            _provision(run, described, stack, configs[stack], known, report) for stack in stacks
        ]


def state_path(run_dir: Path, stack: str) -> Path:
    """Return where the state of `stack` is."""
    return run_dir / "provision" / f"{stack}.json"


def _provision(  # noqa: PLR0917
    run: Run,
    project: Project,
    stack: str,
    config: dict[str, str],
    known: dict[str, Properties | None],
    report: Callable[[str, Step], None],
) -> Outcome:
    began = time.monotonic()
    steps: list[Step] = []

    def keep(step: Step) -> None:
        steps.append(step)
        report(stack, step)

    def references(stack: str) -> Properties | None:
        if stack not in known:
            path = state_path(run.run_dir, stack)
            known[stack] = (State(path).outputs or None) if path.exists() else None
        return known[stack]

    world = World(
        rows=ROWS,
        clients=run.clients,
        state=State(state_path(run.run_dir, stack)),
        schema=schema,
        references=references,
        invoke=invoke,
        report=keep,
        preview=run.preview,
    )
    engine = Engine(world, Providers(config, run.clients), project=project.name, stack=stack)
    deployment = sdk.Deployment(
        project=project.name,
        stack=stack,
        organisation=_ORGANISATION,
        root=project.root,
        config=config,
        preview=run.preview,
    )
    _run(project, deployment, engine)
    try:
        remove(world, engine.declared)
    except ProvisionError as error:
        raise StackFailedError(stack, [error]) from error
    if not run.preview:
        world.state.finish(engine.exports)
    known[stack] = None if unknowns(engine.exports) else engine.exports
    return Outcome(
        stack=stack,
        steps=tuple(steps),
        outputs=engine.exports,
        seconds=time.monotonic() - began,
    )


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
def _alone(folder: Path) -> Generator[None]:
    """Keep a second provision out of the same states; the kernel lets go when we end."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = f"{folder} is in use by another provision; wait for it to end"
            raise ProvisionError(msg) from error
        yield
