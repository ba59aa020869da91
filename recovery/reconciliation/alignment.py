"""One stack looked at, and brought in line: configuration, state, and what an update still does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from recovery.engine.errors import OutsideError, RefusedError, StepFailedError
from recovery.reconciliation import operations
from recovery.reconciliation.checkpoint import Checkpoint, rebound
from recovery.reconciliation.command import CommandError, Pulumi
from recovery.reconciliation.operations import Forget, Import, Operation, Rebind, Refresh
from recovery.reconciliation.preview import Change
from recovery.reconciliation.wanted import Wanted
from recovery.reconciliation.world import World

_NAMES_OF_STACKS = ("active", "role", "site")
"""Keys of which every stack's file has one: where the project's namespace is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A value of a stack's file that has to change."""

    key: str
    """With its namespace."""
    now: str | None
    wanted: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """How one stack stands."""

    wanted: Wanted
    settings: tuple[Setting, ...] = ()
    operations: tuple[Operation, ...] = ()
    publishes: bool = False
    """Whether only an update makes its outputs say the role that it has."""
    changes: tuple[Change, ...] | None = ()
    """What the preview shows; None: it was not asked, as something comes before it."""

    @property
    def is_in_line(self) -> bool:
        """Say whether nothing is left to do; of a stack in the dark, nobody expects more."""
        if self.wanted.standing != "touched":
            return self.wanted.standing == "dark"
        return not (self.settings or self.operations or self.publishes) and self.changes == ()

    @property
    def drift(self) -> tuple[Change, ...]:
        """What the preview shows and recovery did not leave to the stack."""
        return tuple(change for change in self.changes or () if change.left is None)


def examine(pulumi: Pulumi, wanted: Wanted, world: World, *, may_preview: bool) -> Aligned:
    """Return how the stack stands; change nothing.

    Its preview says something only where configuration and state are in line already, and the
    stacks that it reads are.
    """
    if wanted.standing != "touched":
        return Aligned(wanted=wanted)
    settings = _settings(pulumi, wanted)
    state = pulumi.export(wanted.stack)
    planned = operations.plan(state, wanted.stack, world)
    publishes = _publishes(state, wanted)
    ready = may_preview and not settings and not planned
    return Aligned(
        wanted=wanted,
        settings=settings,
        operations=planned,
        publishes=publishes,
        changes=pulumi.preview(wanted.stack) if ready else None,
    )


def align(
    pulumi: Pulumi,
    wanted: Wanted,
    look: Callable[[], World],
    *,
    say: Callable[[str], None],
    keep: Callable[[str, Any], str],
) -> Aligned:
    """Bring the stack in line and return how it stands then.

    It is updated where its preview shows nothing but what recovery left to it. What an update makes
    is in the world afterwards, so that is looked at again. `keep` gets the state as it was before,
    and returns where that can be restored from. StepFailedError where something failed on the way:
    running again goes on.
    """
    if wanted.standing != "touched":
        return Aligned(wanted=wanted)
    kept: list[str] = []
    try:
        world = look()
        for setting in _settings(pulumi, wanted):
            pulumi.configure(wanted.stack, setting.key, setting.wanted)
            say(f"{wanted.stack}: {setting.key} is {setting.wanted}")
        state = pulumi.export(wanted.stack)
        planned = operations.plan(state, wanted.stack, world)
        if planned:
            kept.append(keep(wanted.stack, state.document))
            say(f"{wanted.stack}: the state as it was is in {kept[0]}")
            _operate(pulumi, wanted.stack, state, planned, say)
            state = _operated(pulumi, wanted.stack, world)
        return _update(pulumi, wanted, state, look, say)
    except (OutsideError, RefusedError) as error:
        before = f"; the state as it was is in {kept[0]}" if kept else ""
        raise StepFailedError(f"stack {wanted.stack}: {error}{before}; run again") from error


def _settings(pulumi: Pulumi, wanted: Wanted) -> tuple[Setting, ...]:
    found = pulumi.configuration(wanted.stack)
    known = {key.rpartition(":")[2]: key for key in found}
    namespace = next(
        (known[name].rpartition(":")[0] for name in _NAMES_OF_STACKS if name in known), None
    )
    if namespace is None:
        raise CommandError(
            f"the configuration of stack {wanted.stack} has none of the keys "
            f"{', '.join(_NAMES_OF_STACKS)}; run in the folder of Pulumi.yaml"
        )
    full = {f"{namespace}:{name}": value for name, value in wanted.values.items()}
    return tuple(
        Setting(key=key, now=found.get(key), wanted=value)
        for key, value in full.items()
        if found.get(key) != value
    )


def _publishes(state: Checkpoint, wanted: Wanted) -> bool:
    role = wanted.values.get("role")
    return role is not None and state.outputs.get("site", {}).get("role") != role


def _operate(
    pulumi: Pulumi,
    stack: str,
    state: Checkpoint,
    planned: tuple[Operation, ...],
    say: Callable[[str], None],
) -> None:
    """Do what was planned: identities first, in one document, and what is to be read last."""
    document = state.document
    for each in planned:
        if isinstance(each, Rebind):
            document = rebound(document, each.urn, each.new)
            say(f"{stack}: {each.urn} is {each.new}")
    if document is not state.document:
        pulumi.restore(stack, document)
    for each in planned:
        if isinstance(each, Forget):
            pulumi.forget(stack, each)
            say(f"{stack}: {each.urn} ({each.id}) left the state")
        elif isinstance(each, Import):
            pulumi.take_in(stack, each)
            say(f"{stack}: {each.type} {each.name} is {each.id}")
    if urns := [each.urn for each in planned if isinstance(each, Refresh)]:
        pulumi.refresh(stack, urns)
        say(f"{stack}: {len(urns)} resources were read again")


def _operated(pulumi: Pulumi, stack: str, world: World) -> Checkpoint:
    """Return the state after the operations; CommandError where one had no effect."""
    state = pulumi.export(stack)
    left = operations.plan(state, stack, world)
    if left:
        raise CommandError(f"{len(left)} operations had no effect, the first on {left[0]}")
    return state


def _update(
    pulumi: Pulumi,
    wanted: Wanted,
    state: Checkpoint,
    look: Callable[[], World],
    say: Callable[[str], None],
) -> Aligned:
    seen = Aligned(
        wanted=wanted,
        publishes=_publishes(state, wanted),
        changes=pulumi.preview(wanted.stack),
    )
    if seen.drift or seen.is_in_line:
        return seen
    for change in seen.changes or ():
        say(f"{wanted.stack}: {change.op} {change.type} {change.name}: {change.left}")
    pulumi.update(wanted.stack)
    say(f"{wanted.stack}: updated")
    return examine(pulumi, wanted, look(), may_preview=True)
