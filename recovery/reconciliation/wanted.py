"""What each stack's configuration has to say, given what recovery left behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from recovery import naming
from recovery.reconciliation.world import SiteSeen, World

LINK = "link"
"""The stack that ties the sites; a site's stack is called as the site."""

Standing = Literal["touched", "dark", "waits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One stack: the values to commit, or why it is left alone."""

    stack: str
    standing: Standing
    values: dict[str, str] = field(default_factory=dict[str, str])
    """Key of the configuration, without its namespace → value."""
    why: str = ""


def wanted(world: World) -> tuple[Wanted, ...]:
    """Return what is wanted of each stack, in the order in which they are brought in line.

    `dark`: nothing can be done to it, and nothing need be. `waits`: something of recovery's has
    to be done first. A stack of which either is true is not to be updated by anybody.
    """
    active, standby = world.sites[world.active], world.sites[world.standby]
    stacks = (_active(world, active, standby), _standby(world, active, standby))
    return (*stacks, _link(world, stacks))


def _active(world: World, active: SiteSeen, standby: SiteSeen) -> Wanted:
    if active.silence is not None:
        return Wanted(stack=active.name, standing="dark", why=_silent(active))
    for product in world.topology.products:
        name, found = product.deployments[active.name].database, active.databases[product.name]
        if found is None or found.source is not None:
            why = f"{name} {'does not exist' if found is None else 'is still a replica'}"
            return Wanted(
                stack=active.name,
                standing="waits",
                why=f"{why} in {active.region}, though {active.name} is assigned; run "
                f"recovery.failover --region {active.region} to its end",
            )
    peer = "lit" if standby.silence is None else "dark"
    return Wanted(stack=active.name, standing="touched", values={"role": "active", "peer": peer})


def _standby(world: World, active: SiteSeen, standby: SiteSeen) -> Wanted:
    if standby.silence is not None:
        return Wanted(stack=standby.name, standing="dark", why=_silent(standby))
    for product in world.topology.products:
        name = product.deployments[standby.name].database
        source = product.deployments[active.name].database
        found = standby.databases[product.name]
        if found is None or found.source != source:
            what = "does not exist" if found is None else f"does not replicate {source}"
            return Wanted(
                stack=standby.name,
                standing="waits",
                why=f"{name} in {standby.region} {what}; run "
                f"recovery.reprotect --region {standby.region} first",
            )
    peer = "lit" if active.silence is None else "dark"
    return Wanted(stack=standby.name, standing="touched", values={"role": "standby", "peer": peer})


def _link(world: World, sites: tuple[Wanted, Wanted]) -> Wanted:
    for site in sites:
        if site.standing != "touched":
            why = f"it needs both regions, and {site.stack} is left alone"
            return Wanted(stack=LINK, standing=site.standing, why=why)
    active, standby = world.sites[world.active], world.sites[world.standby]
    if back := sorted(standby.sends):
        product, kind = back[0]
        why = f"the {kind} of {product} are still replicated from {standby.region}"
    elif lacking := sorted(_kinds(world) - active.sends):
        product, kind = lacking[0]
        why = f"the {kind} of {product} are not replicated from {active.region}"
    else:
        return Wanted(stack=LINK, standing="touched", values={"active": world.active})
    repair = f"run recovery.reprotect --region {standby.region} first"
    return Wanted(stack=LINK, standing="waits", why=f"{why}; {repair}")


def _kinds(world: World) -> frozenset[tuple[str, str]]:
    return frozenset(
        (product.name, kind) for product in world.topology.products for kind in naming.REPLICATED
    )


def _silent(site: SiteSeen) -> str:
    return f"{site.region} does not answer ({site.silence})"
