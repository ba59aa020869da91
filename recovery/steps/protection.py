"""Whether the active site's database has a standby: after a move it has none until one is made."""

from __future__ import annotations

from recovery.assignment import Assignment
from recovery.cloud import databases
from recovery.engine.errors import OutsideError
from recovery.engine.plan import Seen
from recovery.steps.case import Case

_FOLLOWING = {None, "replicating"}
"""What RDS says of a replica that follows its source; of some engines it says nothing."""


def protection(case: Case, standing: Assignment | None) -> Seen:
    """Say whether a replica of the active site's database follows it, in the other site's region.

    Any replica there counts, whatever its generation. That region is asked once; its silence means
    that nobody knows, which does not hold.
    """
    if standing is None:
        return Seen(holds=False, text="unprotected: no site is active")
    here = standing.site == case.site.name
    active = case.deployment if here else case.peer_deployment
    region = case.there if here else case.here
    try:
        found = databases.replicas(region, active.database)
    except OutsideError as error:
        return Seen(holds=False, text=f"unknown: {error}")
    if not found:
        text = f"unprotected: no replica of {active.database} in {region.name}"
        return Seen(holds=False, text=text)
    for replica in found:
        if replica.status in _ALIVE and replica.replication in _FOLLOWING:
            text = f"protected: {replica.id} in {region.name} replicates {active.database}"
            return Seen(holds=True, text=text)
    said = ", ".join(f"{each.id} is {each.status}, {each.replication}" for each in found)
    return Seen(holds=False, text=f"unprotected: {said}")


_ALIVE = {databases.AVAILABLE, databases.BACKING_UP}
