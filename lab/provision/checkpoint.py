"""A stack's state in the form of Pulumi's checkpoints, and edits of it that Pulumi's CLI knows.

What the lab keeps beside Pulumi's own fields travels under the key `lab`, so that an export can be
given back without loss.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lab.provision import naming
from lab.provision.errors import ProvisionError
from lab.provision.rows import ROWS
from lab.provision.rows.row import Change
from lab.provision.sdk import STACK_TYPE, Reading
from lab.provision.state import Entry, State
from lab.provision.wheel import schema
from lab.provision.world import translated

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.provision.clients import Clients

_VERSION = 3
_OWN = ("name", "region", "attempt", "pending", "retain", "deleted_with")


def exported(state: State, project: str, stack: str) -> dict[str, Any]:
    """Return the checkpoint of a state; components and providers are those that entries name."""
    entries = state.entries()
    root = _root(project, stack)
    resources: list[dict[str, Any]] = [
        {"urn": root, "custom": False, "type": STACK_TYPE, "outputs": state.outputs}
    ]
    named = {each.parent for each in entries} | {each.provider for each in entries}
    for urn in sorted(named - {"", root}):
        kind = urn.split("::")[2].rpartition("$")[2]
        custom = kind.startswith("pulumi:providers:")
        resources.append({"urn": urn, "custom": custom, "type": kind, "parent": root})
    resources += [_resource(each) for each in entries]
    broken_off = [{"type": "creating", "resource": _resource(e)} for e in entries if e.pending]
    deployment = {"manifest": {"version": "lab provision"}, "resources": resources}
    return {
        "version": _VERSION,
        "deployment": deployment | ({"pending_operations": broken_off} if broken_off else {}),
    }


def _resource(entry: Entry) -> dict[str, Any]:
    return {
        "urn": entry.urn,
        "custom": True,
        "id": entry.id,
        "type": entry.type,
        "inputs": entry.inputs,
        "outputs": entry.inputs | entry.outputs | {"id": entry.id},
        "parent": entry.parent,
        "provider": entry.provider,
        "protect": entry.protect,
        "dependencies": list(entry.dependencies),
        "lab": {"outputs": entry.outputs} | {name: getattr(entry, name) for name in _OWN},
    }


def restore(state: State, document: Any) -> None:
    """Make an export the state again, whatever was changed in Pulumi's own fields."""
    state.restore(
        Entry(
            urn=each["urn"],
            type=each["type"],
            id=each["id"],
            inputs=each["inputs"],
            outputs={k: v for k, v in each["outputs"].items() if k in each["lab"]["outputs"]},
            parent=each["parent"],
            provider=each["provider"],
            protect=each["protect"],
            dependencies=tuple(each["dependencies"]),
            **{name: each["lab"][name] for name in _OWN},
        )
        for each in document["deployment"]["resources"]
        if "lab" in each
    )


def forget(state: State, urn: str) -> None:
    """Take an entry out, as `pulumi state delete` does: never what is protected or needed."""
    entry = state.get(urn)
    if entry is None:
        msg = f"No such resource {urn!r} exists in the current state"
        raise ProvisionError(msg)
    needing = [each.urn for each in state.entries() if urn in {*each.dependencies, each.parent}]
    if entry.protect or needing:
        why = "it is protected" if entry.protect else f"these depend on it: {', '.join(needing)}"
        msg = f"{urn} can't be safely deleted: {why}"
        raise ProvisionError(msg)
    state.forget(urn)


def refresh(state: State, clients: Clients, urns: Iterable[str]) -> None:
    """Read these entries again, in rows that can; what is gone leaves the state."""
    for urn in urns:
        entry = state.get(urn)
        if entry is None:
            msg = f"no resource named {urn!r} found"
            raise ProvisionError(msg)
        if ROWS[entry.type].observe is None:
            msg = f"the lab refreshes no {entry.type}: its row in lab/provision/rows has no observe"
            raise ProvisionError(msg)
        fresh = _observed(entry, clients)
        if fresh is None:
            state.forget(urn)
        else:
            state.record(fresh)


def _observed(entry: Entry, clients: Clients) -> Entry | None:
    """Return the entry as AWS has it; an input that was not given stays out where it is computed.

    The provider's bridge does the same (pulumi-terraform-bridge, extractInputsFromOutputs).
    """
    row = ROWS[entry.type]
    assert row.observe is not None
    change = Change(
        clients=clients,
        service=row.service,
        region=entry.region,
        name=entry.name,
        token="",
        id=entry.id,
        new=entry.inputs,
    )
    with translated():
        live = row.observe(change)
        if live is None:
            return None
        computed = schema(entry.type).computed
        known = {k: v for k, v in live.items() if k in entry.inputs or k not in computed}
        inputs = {k: v for k, v in (entry.inputs | known).items() if v is not None}
        outputs = row.read(replace(change, new=inputs)) or {}
    return replace(
        entry, inputs=inputs, outputs={k: v for k, v in outputs.items() if v is not None}
    )


def take_in(
    state: State, clients: Clients, wanted: dict[str, Any], project: str, stack: str
) -> None:
    """Import resources as `pulumi import --file` does: what exists, as it is in AWS.

    A URN that is taken by another id is refused, and so is what does not exist.
    """
    names: dict[str, str] = wanted["nameTable"]
    for each in wanted["resources"]:
        reading = Reading(
            type=each["type"],
            name=each["name"],
            parent=names[each["parent"]] if "parent" in each else _root(project, stack),
            id=each["id"],
            inputs={},
            provider=names[each["provider"]],
        )
        urn = naming.urn(stack, project, reading)
        held = state.get(urn)
        if held is None:
            state.record(_imported(state, clients, urn, reading))
        elif held.id != reading.id:
            msg = f"{urn} exists already, as {held.id}; an import would replace it"
            raise ProvisionError(msg)


def _imported(state: State, clients: Clients, urn: str, wanted: Reading) -> Entry:
    row = ROWS.get(wanted.type)
    regions = {e.region for e in state.entries() if e.provider == wanted.provider}
    if row is None or row.observe is None or not regions:
        msg = f"the lab cannot import a {wanted.type} through {wanted.provider}"
        raise ProvisionError(msg)
    blank = Entry(
        urn=urn,
        type=wanted.type,
        name=wanted.name,
        id=wanted.id,
        region=regions.pop(),
        # Everything that AWS tells becomes an input: nothing says yet what was left out.
        inputs=dict.fromkeys(row.properties),
        parent=wanted.parent,
        provider=wanted.provider,
    )
    found = _observed(blank, clients)
    if found is None:
        msg = f"resource {wanted.id!r} does not exist"
        raise ProvisionError(msg)
    return found


def _root(project: str, stack: str) -> str:
    return f"urn:pulumi:{stack}::{project}::{STACK_TYPE}::{project}-{stack}"
