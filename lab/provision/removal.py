"""Takes away what a stack declares no longer."""

from __future__ import annotations

from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from lab.provision.clients import existing
from lab.provision.errors import ProvisionError
from lab.provision.rows.row import Change
from lab.provision.world import Action, Step, World, token, translated

if TYPE_CHECKING:
    from lab.provision.state import Entry


def remove(world: World, declared: frozenset[str]) -> None:
    """Delete every entry that is not declared, dependants first.

    What is protected is refused before anything is deleted; what is retained, or goes with
    another resource, is only forgotten.
    """
    gone = {entry.urn: entry for entry in world.state.entries() if entry.urn not in declared}
    protected = [e for e in gone.values() if e.protect and not e.retain and not e.pending]
    if protected:
        names = ", ".join(f"{entry.type} {entry.name}" for entry in protected)
        msg = f"{names} would be deleted and is protected; declare it again or unprotect it first"
        raise ProvisionError(msg)
    for entry in _dependants_first(gone):
        action: Action = "retain" if entry.retain else "delete"
        if not world.preview:
            if not entry.retain and entry.deleted_with not in gone:
                with translated():
                    _delete(world, entry)
            world.state.forget(entry.urn)
        world.report(Step(action=action, type=entry.type, name=entry.name, urn=entry.urn))


def _dependants_first(gone: dict[str, Entry]) -> list[Entry]:
    order = TopologicalSorter(
        {urn: [n for n in (*e.dependencies, e.parent) if n in gone] for urn, e in gone.items()}
    )
    return [gone[urn] for urn in reversed(list(order.static_order()))]


def _delete(world: World, entry: Entry) -> None:
    row = world.rows[entry.type]
    change = Change(
        clients=world.clients,
        service=row.service,
        region=entry.region,
        name=entry.name,
        token=token(entry.urn, entry.attempt),
        id=entry.id,
        new=entry.inputs,
        old=entry.inputs,
        outputs=entry.outputs,
        taken=world.state.ids(entry.type),
    )
    id_ = row.find(change) if entry.pending else entry.id
    if not id_:
        return
    # What is gone already need not be deleted.
    existing(lambda: row.delete(change.of(id_)))
