"""The program of the link: what ties the two sites, made after both and touched when both are up.

Everything that must work while a region is dark is in a site's stack, or made here beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra import facts, publish
from infra.control import ControlHost, ControlHostArgs
from infra.dns import Entry, Switch, SwitchArgs
from infra.permissions import RecoveryRole
from infra.region import Region, connect
from infra.replication import BucketReplication, End
from recovery import naming, topology

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.facts import ProductFacts, SiteFacts
    from infra.products import Product
    from infra.settings import Settings, SiteName

    _Fact = Callable[[ProductFacts], str]

WITNESS = "witness"
_HASH_KEY_TYPE = "S"


def build(settings: Settings, active: SiteName) -> None:
    """Tie the sites, with `active` replicating to the other one."""
    ends = _Ends(
        settings=settings,
        active=active,
        regions={
            name: connect(name, site.region, settings.account)
            for name, site in settings.sites.items()
        },
        facts=_facts(settings, active),
    )
    _control_tables(ends)
    _peering(ends)
    for product in settings.products:
        _replicate(product, ends)
    _control_hosts(ends)
    zone = aws.route53.get_zone_output(name=settings.zone, opts=ends.regions["dr"].invoke_options())
    checks = {product.name: _switch(product, zone.zone_id, ends) for product in settings.products}
    _publish(ends, zone.zone_id, checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ends:
    """Both sites, as the link sees them."""

    settings: Settings
    active: SiteName
    regions: dict[SiteName, Region]
    facts: dict[SiteName, pulumi.Output[SiteFacts]]

    @property
    def standby(self) -> SiteName:
        return self.settings.peer_of(self.active).name

    def of_site(self, site: SiteName, fact: Callable[[SiteFacts], str]) -> pulumi.Output[str]:
        return self.facts[site].apply(fact)

    def of_product(
        self, site: SiteName, product: Product, fact: Callable[[ProductFacts], str]
    ) -> pulumi.Output[str]:
        return self.facts[site].apply(lambda found: fact(found.products[product.name]))


def _facts(settings: Settings, active: SiteName) -> dict[SiteName, pulumi.Output[SiteFacts]]:
    """Return what both sites said; nothing is made of it unless their roles agree with `active`."""
    names = list(settings.sites)
    both = pulumi.Output.all(*(facts.read(name) for name in names)).apply(
        lambda found: facts.require_roles(active, dict(zip(names, found, strict=True)))
    )

    def of(site: SiteName) -> pulumi.Output[SiteFacts]:
        return both.apply(lambda found: found[site])

    return {name: of(name) for name in names}


def _control_tables(ends: _Ends) -> None:
    """Make the tables of assignment and leases; only recovery ever writes an item."""
    settings = ends.settings
    witness = connect(WITNESS, settings.witness_region, settings.account)
    table = naming.control_table(settings.organisation)
    for name, region in ({**ends.regions, WITNESS: witness}).items():
        aws.dynamodb.Table(
            f"{table}-{name}",
            name=table,
            billing_mode="PAY_PER_REQUEST",
            hash_key=naming.CONTROL_HASH_KEY,
            attributes=[{"name": naming.CONTROL_HASH_KEY, "type": _HASH_KEY_TYPE}],
            point_in_time_recovery={"enabled": True},
            # With DynamoDB's key of the account: the items hold no personal data, and hosts of
            # all products read them.
            server_side_encryption={"enabled": True},
            deletion_protection_enabled=True,
            opts=pulumi.ResourceOptions(provider=region.provider, protect=True),
        )


def _peering(ends: _Ends) -> None:
    """Let the two networks reach each other; the security groups decide who does."""
    primary, dr = ends.regions["primary"], ends.regions["dr"]
    name = f"{ends.settings.organisation}-sites"
    request = aws.ec2.VpcPeeringConnection(
        name,
        vpc_id=ends.of_site("primary", lambda site: site.vpc_id),
        peer_vpc_id=ends.of_site("dr", lambda site: site.vpc_id),
        peer_region=dr.name,
        auto_accept=False,
        tags={"Name": name},
        opts=primary.options(),
    )
    accepted = aws.ec2.VpcPeeringConnectionAccepter(
        name,
        vpc_peering_connection_id=request.id,
        auto_accept=True,
        tags={"Name": name},
        opts=dr.options(),
    )
    for site, region in ends.regions.items():
        peer = ends.settings.peer_of(site)
        tables_of_databases = 1
        for at in range(len(ends.settings.sites[site].zones) + tables_of_databases):
            aws.ec2.Route(
                f"{name}-{site}-{at}",
                route_table_id=ends.of_site(site, lambda found, at=at: found.route_table_ids[at]),
                destination_cidr_block=str(peer.cidr),
                vpc_peering_connection_id=accepted.vpc_peering_connection_id,
                opts=region.options(),
            )


def _replicate(product: Product, ends: _Ends) -> None:
    """Let files, frontend and backups of the product flow to the standby's region."""
    buckets: tuple[tuple[_Fact, _Fact], ...] = (
        (lambda of: of.file_bucket, lambda of: of.file_bucket_arn),
        (lambda of: of.frontend_bucket, lambda of: of.frontend_bucket_arn),
    )
    for kind, (bucket, arn) in zip(naming.REPLICATED, buckets, strict=True):
        source, destination = (
            End(
                site=site,
                region=ends.regions[site],
                bucket=ends.of_product(site, product, bucket),
                arn=ends.of_product(site, product, arn),
                key_arn=ends.of_site(site, lambda found: found.key_arn),
                topic_arn=ends.of_site(site, lambda found: found.topic_arn),
            )
            for site in (ends.active, ends.standby)
        )
        BucketReplication(
            naming.bucket_replication(product.name, kind),
            product.name,
            kind,
            source=source,
            destination=destination,
            opts=ends.regions["dr"].options(),
        )
    aws.rds.InstanceAutomatedBackupsReplication(
        naming.backups_from(product.name, ends.active),
        source_db_instance_arn=ends.of_product(ends.active, product, lambda of: of.database_arn),
        kms_key_id=ends.of_site(ends.standby, lambda found: found.key_arn),
        retention_period=product.database.retention_days,
        opts=ends.regions[ends.standby].options(),
    )


def _control_hosts(ends: _Ends) -> None:
    """Make recovery's role and a control host in each site."""
    keys = pulumi.Output.all(
        *(ends.of_site(site, lambda found: found.key_arn) for site in ends.regions)
    )
    role = RecoveryRole(ends.settings, keys, ends.regions["dr"].options())
    for site, region in ends.regions.items():
        ControlHost(
            f"{ends.settings.organisation}-control-{site}",
            ControlHostArgs(
                site=site,
                region=region.name,
                bucket=ends.of_site(site, lambda found: found.bucket),
                subnet_id=ends.of_site(site, lambda found: found.control_subnet_id),
                group_id=ends.of_site(site, lambda found: found.control_group_id),
                profile=role.profile,
            ),
            region.options(),
        )


def _switch(
    product: Product, zone_id: pulumi.Output[str], ends: _Ends
) -> dict[str, pulumi.Output[str]]:
    """Make the product's failover records; return site → health check."""
    args = SwitchArgs(
        product=product,
        zone_id=zone_id,
        regions=ends.regions,
        entries={
            site: Entry(
                dns_name=ends.of_product(site, product, lambda of: of.load_balancer_dns),
                zone_id=ends.of_product(site, product, lambda of: of.load_balancer_zone),
            )
            for site in ends.regions
        },
    )
    return Switch(product.name, args, ends.regions["dr"].options()).health_checks


def _publish(
    ends: _Ends, zone_id: pulumi.Output[str], checks: dict[str, dict[str, pulumi.Output[str]]]
) -> None:
    """Write the topology into both regions; equal facts give equal bytes in every run."""
    sites = list(ends.facts)
    document = pulumi.Output.all(zone_id, checks, *ends.facts.values()).apply(
        lambda known: topology.encode(
            publish.assemble(
                ends.settings, dict(zip(sites, known[2:], strict=True)), known[0], known[1]
            )
        ).decode()
    )
    for site, region in ends.regions.items():
        bucket = ends.of_site(site, lambda found: found.bucket)
        publish.Topology(f"topology-{site}", bucket, document, region.options())
