"""What recovery left behind, as AWS tells it: who is active, and what stands in each region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from recovery import assign, assignment, naming
from recovery.assignment import Assignment
from recovery.cloud import backups, databases, hosts, replication
from recovery.cloud.client import Region
from recovery.cloud.errors import UnreachableError
from recovery.engine.errors import OutsideError, RefusedError
from recovery.engine.parallel import at_once
from recovery.steps.case import Case
from recovery.topology import Deployment, Topology

_MAJORITY = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A database under the identifier that the topology gives it."""

    resource_id: str
    source: str | None
    """Identifier of what it replicates; None: it writes."""
    retention_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """How many hosts a group is asked for."""

    minimum: int
    desired: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSeen:
    """One site's region."""

    name: str
    region: str
    silence: str | None = None
    """Why nothing is known of it: it does not answer."""
    databases: Mapping[str, Placed | None] = field(default_factory=dict[str, "Placed | None"])
    """Product → its database; None: there is none of that name."""
    fleets: Mapping[str, Fleet | None] = field(default_factory=dict[str, "Fleet | None"])
    """Product → its group of hosts."""
    sends: frozenset[tuple[str, str]] = frozenset()
    """Product and kind of each bucket whose rules lead to the peer's bucket."""
    receives: Mapping[str, str] = field(default_factory=dict[str, str])
    """Product → ARN under which the backups of the peer's database arrive here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Both sites, and which of them is the active one."""

    topology: Topology
    active: str
    epoch: int
    sites: Mapping[str, SiteSeen]

    @property
    def standby(self) -> str:
        """The other site."""
        return self.topology.peer_of(self.active).name


def look(cases: Sequence[Case]) -> World:
    """Return what both regions say; a region that does not answer is part of the answer.

    RefusedError where nobody can tell who is active, an execution has not finished, or the sites
    share the products: a stack has one role.
    """
    standing = _standing(cases)
    first = cases[0]
    seen = at_once(
        [
            lambda: _site(first.topology, first.site.name, first.here),
            lambda: _site(first.topology, first.peer.name, first.there),
        ]
    )
    here, there = seen
    if here.silence is None and there.silence is None:
        here = replace(here, receives=_received(first.topology, first.here, there))
        there = replace(there, receives=_received(first.topology, first.there, here))
    return World(
        topology=first.topology,
        active=standing.site,
        epoch=standing.epoch,
        sites={here.name: here, there.name: there},
    )


def _standing(cases: Sequence[Case]) -> Assignment:
    """Return the newest assignment of the products, all of them at one site."""
    found = {case.product.name: _assigned(case) for case in cases}
    for product, standing in found.items():
        if not standing.settled:
            raise RefusedError(
                f"{product} is on its way to {standing.site} (execution {standing.execution}); "
                "let that finish, then reconcile"
            )
    sites = {standing.site for standing in found.values()}
    if len(sites) > 1:
        where = ", ".join(f"{product} at {standing.site}" for product, standing in found.items())
        raise RefusedError(
            f"the products are active at different sites ({where}), and a stack has one role; "
            "move the others too, then reconcile"
        )
    return max(found.values(), key=lambda standing: standing.epoch)


def _assigned(case: Case) -> Assignment:
    answers = assign.shown(case)
    given = [answer for answer in answers.values() if isinstance(answer, Assignment)]
    standing = assignment.newest(given)
    if standing is None:
        silent = "; ".join(str(each) for each in answers.values() if isinstance(each, OutsideError))
        raise RefusedError(f"no table assigns {case.product.name} to a site ({silent or 'empty'})")
    agreeing = [
        each for each in given if (each.site, each.epoch) == (standing.site, standing.epoch)
    ]
    if len(agreeing) < _MAJORITY and not standing.alone:
        raise RefusedError(
            f"one control table assigns {case.product.name} to {standing.site}, and no other "
            "agrees; see recovery.assign"
        )
    return standing


def _site(topology: Topology, site: str, region: Region) -> SiteSeen:
    peer = topology.peer_of(site).name
    try:
        return SiteSeen(
            name=site,
            region=region.name,
            databases={
                product.name: _placed(region, product.deployments[site].database)
                for product in topology.products
            },
            fleets={
                product.name: _fleet(region, product.deployments[site].host_group)
                for product in topology.products
            },
            sends=frozenset(
                (product.name, kind)
                for product in topology.products
                for kind in naming.REPLICATED
                if _leads(
                    region,
                    bucket(product.deployments[site], kind),
                    bucket(product.deployments[peer], kind),
                )
            ),
        )
    except UnreachableError as error:
        return SiteSeen(name=site, region=region.name, silence=str(error))


def bucket(deployment: Deployment, kind: str) -> str:
    """Return the bucket of a kind that is replicated."""
    return deployment.file_bucket if kind == naming.REPLICATED[0] else deployment.frontend_bucket


def _placed(region: Region, name: str) -> Placed | None:
    found = databases.describe(region, name)
    if found is None:
        return None
    return Placed(
        resource_id=found.resource_id,
        source=found.source and found.source.rpartition(":")[2],
        retention_days=found.retention_days,
    )


def _fleet(region: Region, name: str) -> Fleet | None:
    found = hosts.describe(region, name)
    return found and Fleet(minimum=found.minimum, desired=found.desired)


def _leads(region: Region, name: str, to: str) -> bool:
    return any(rule.destination == to and rule.enabled for rule in replication.rules(region, name))


def _received(topology: Topology, region: Region, sender: SiteSeen) -> dict[str, str]:
    found = {
        product.name: placed and backups.replication(region, placed.resource_id)
        for product in topology.products
        if (placed := sender.databases[product.name])
    }
    return {product: arn for product, arn in found.items() if arn}
