"""How every verb begins: the topology found from the region, and a case for each product."""

from __future__ import annotations

from collections.abc import Sequence

from recovery import discovery
from recovery.cloud import client, identity
from recovery.cloud.client import Region
from recovery.engine.errors import RefusedError
from recovery.steps.case import Accepted, Case
from recovery.topology import Product, Topology


def cases(
    region: str,
    products: Sequence[str],
    *,
    execution: str,
    resolver: str | None,
    accepted: Accepted | None = None,
) -> tuple[Case, ...]:
    """Return a case for each product asked for, all of them if none is.

    RefusedError where the region is no site, a product is unknown, or nobody is signed in.
    """
    here = Region(region)
    topology = discovery.find(region)
    operator = identity.caller(here)
    site = discovery.site_in(topology, region)
    peer = topology.peer_of(site.name)
    return tuple(
        Case(
            topology=topology,
            product=product,
            site=site,
            peer=peer,
            here=here,
            witness=Region(topology.witness.region, once=True),
            there=Region(peer.region, once=True),
            resolver=resolver,
            execution=execution,
            operator=operator,
            accepted=accepted or Accepted(),
        )
        for product in _chosen(topology, products)
    )


def prepare(case: Case) -> None:
    """Build the clients that the plans use, so that no step pays for them."""
    client.prepare(
        [case.here],
        [
            "rds",
            "autoscaling",
            "elbv2",
            "ec2",
            "cloudwatch",
            "secretsmanager",
            "service-quotas",
            "s3",
            "sns",
            "dynamodb",
        ],
    )
    client.prepare([case.witness], ["dynamodb"])
    client.prepare([case.there], ["dynamodb", "elbv2", "autoscaling"])


def _chosen(topology: Topology, names: Sequence[str]) -> tuple[Product, ...]:
    if not names:
        return topology.products
    known = {product.name: product for product in topology.products}
    if unknown := [name for name in names if name not in known]:
        raise RefusedError(f"no product {unknown[0]}; the topology has {', '.join(known)}")
    return tuple(known[name] for name in names)
