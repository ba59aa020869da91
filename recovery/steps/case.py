"""What every step knows: the product, where it goes, what the operator accepted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from recovery.cloud.client import Region
from recovery.topology import Deployment, Product, Site, Topology

PEER_SECONDS = 2.4
"""As long as anything asked of the peer's region may take, whatever its names resolve to.

`check` and `fence` ask once each, side by side: together they stay below 5 s.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What the operator said beforehand."""

    even_if_healthy: bool = False
    data_loss_seconds: float | None = None
    split_brain: str | None = None
    """`NAME: reason` of who answers for what could not be proven of the old site."""
    outage_began: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One product moving to one site, in one execution."""

    topology: Topology
    product: Product
    site: Site
    peer: Site
    here: Region
    """The target's region: every step but `check` and `fence` calls only this and `witness`."""
    witness: Region
    there: Region
    """The peer's region, perhaps dark: one attempt a call, two seconds at most."""
    resolver: str | None
    execution: str
    operator: str
    accepted: Accepted

    @property
    def verb(self) -> str:
        """What the operator runs, such as `failover`: the execution's id begins with it."""
        return self.execution.partition("-")[0]

    @property
    def deployment(self) -> Deployment:
        """The product as deployed at the target."""
        return self.product.deployments[self.site.name]

    @property
    def peer_deployment(self) -> Deployment:
        """The product as deployed at the peer."""
        return self.product.deployments[self.peer.name]

    @property
    def rto_seconds(self) -> float:
        """The longest that any wait of this product may take."""
        return float(self.product.rto_seconds)

    @property
    def turned(self) -> Case:
        """The same product going the other way, with the peer's region taken for an answering one.

        For what is done while both sites are up.
        """
        return replace(
            self,
            site=self.peer,
            peer=self.site,
            here=Region(self.there.name),
            there=Region(self.here.name, once=True),
        )
