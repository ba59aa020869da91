"""What a reconciliation found, for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from recovery.reconciliation.alignment import Aligned
from recovery.reconciliation.checkpoint import name_of
from recovery.reconciliation.operations import Forget, Import, Operation, Rebind, Refresh
from recovery.reconciliation.world import World


def lines(world: World, stacks: Sequence[Aligned], command: str) -> Iterator[str]:
    """Yield what a person reads; `command` is what they would type for Pulumi."""
    region = world.sites[world.active].region
    yield f"active is {world.active} ({region}), epoch {world.epoch}"
    for stack in stacks:
        yield ""
        yield from _stack(stack, command)


def _stack(stack: Aligned, command: str) -> Iterator[str]:
    name = stack.wanted.stack
    yield f"stack {name}: {_verdict(stack)}"
    if stack.settings:
        yield f"  commit in Pulumi.{name}.yaml"
        for setting in stack.settings:
            was = f"(now {setting.now})" if setting.now else "(not set)"
            yield f"    {f'{setting.key}: {setting.wanted}':<32} {was}"
    if stack.operations:
        yield "  in the state"
        for each in stack.operations:
            what, which = _said(each)
            yield f"    {what:<8} {which}"
            yield f"    {'':<8} {each.why}"
    if stack.changes is not None and stack.changes:
        yield "  the next preview"
        for change in stack.changes:
            properties = f" [{', '.join(change.properties)}]" if change.properties else ""
            yield f"    {change.op:<8} {change.type} {change.name}{properties}"
            yield f"    {'':<8} {change.left or 'DRIFT: recovery did not cause this'}"
    elif stack.wanted.standing == "touched" and stack.changes is not None:
        yield "  the next preview  no replace, no delete, no change"
    if not stack.is_in_line and stack.wanted.standing == "touched" and not stack.drift:
        yield f"  then                {command} up --stack {name}"


def _verdict(stack: Aligned) -> str:
    match stack.wanted.standing:
        case "dark":
            return f"leave it alone: {stack.wanted.why}"
        case "waits":
            return f"NOT YET: {stack.wanted.why}"
        case "touched":
            if stack.is_in_line:
                return "in line"
            return "DRIFT" if stack.drift else "to be brought in line"


def _said(operation: Operation) -> tuple[str, str]:
    match operation:
        case Rebind():
            return "rebind", f"{name_of(operation.urn)}: {operation.old} → {operation.new}"
        case Forget():
            return "delete", f"{operation.urn} ({operation.id})"
        case Import():
            return "import", f"{operation.type} {operation.name} {operation.id}"
        case Refresh():
            return "refresh", operation.urn


def facts(world: World, stacks: Sequence[Aligned]) -> dict[str, object]:
    """Return the same as data."""
    return {
        "active": world.active,
        "epoch": world.epoch,
        "in_line": all(stack.is_in_line for stack in stacks),
        "stacks": [
            {
                "stack": stack.wanted.stack,
                "standing": stack.wanted.standing,
                "why": stack.wanted.why,
                "in_line": stack.is_in_line,
                "settings": [asdict(each) for each in stack.settings],
                "operations": [
                    {"operation": _said(each)[0], **asdict(each)} for each in stack.operations
                ],
                "publishes_role": stack.publishes,
                "preview": None
                if stack.changes is None
                else [asdict(each) | {"left": each.left} for each in stack.changes],
            }
            for stack in stacks
        ],
    }
