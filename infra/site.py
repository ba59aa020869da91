"""The program of a site: the same for both regions and both roles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_aws as aws

from infra import facts
from infra.alarms import Alerts, AlertsArgs, DatabaseAlarms, DatabaseAlarmsArgs
from infra.credentials import Credentials, CredentialsArgs
from infra.database import Birth, Database, DatabaseArgs
from infra.firewall import ControlFirewall, ControlFirewallArgs, Firewall, FirewallArgs
from infra.hosts import Hosts, HostsArgs
from infra.network import Network, NetworkArgs, control_subnet, subnets
from infra.region import Region, connect
from infra.service import Balancer, BalancerArgs
from infra.storage import Bucket, BucketArgs, Key
from recovery import naming

if TYPE_CHECKING:
    from infra.products import Product
    from infra.settings import Placement, Settings


def build(settings: Settings, placement: Placement) -> None:
    """Make the site what its role says, in its own region and no other; export its facts."""
    site = settings.sites[placement.site]
    region = connect(site.name, site.region, settings.account)
    name = f"{settings.organisation}-{site.name}"
    network = Network(name, NetworkArgs(cidr=site.cidr, zones=site.zones), region.options())
    key = Key(f"{settings.organisation}-standby-{site.name}", settings.account, region.options())
    bucket = naming.site_bucket(settings.organisation, settings.account, site.region)
    own = Bucket(bucket, BucketArgs(bucket=bucket, key_arn=key.arn), region.options())
    peer = settings.peer_of(placement.site)
    control = ControlFirewallArgs(
        vpc_id=network.vpc_id,
        https_port=settings.https_port,
        database_ports=frozenset(product.database.port for product in settings.products),
        peer_databases=subnets(peer.cidr, len(peer.zones))["database"],
    )
    ground = _Ground(
        settings=settings,
        placement=placement,
        region=region,
        network=network,
        key=key,
        topic_arn=_alerts(name, settings, key, region).topic_arn,
        control=ControlFirewall(f"{name}-control", control, region.options()),
        zone_id=_zone(settings, placement, region),
        sources=_sources(settings, placement),
    )
    pulumi.export(
        facts.OUTPUT,
        {
            "role": placement.role,
            "zone_id": ground.zone_id,
            "vpc_id": network.vpc_id,
            "route_table_ids": network.route_table_ids,
            "control_subnet_id": network.control_subnet_id,
            "hosts_acl_id": network.hosts_acl_id,
            "control_group_id": ground.control.group_id,
            "key_arn": key.arn,
            "bucket": own.bucket,
            "topic_arn": ground.topic_arn,
            "products": {product.name: _deploy(product, ground) for product in settings.products},
        },
    )


def _alerts(name: str, settings: Settings, key: Key, region: Region) -> Alerts:
    args = AlertsArgs(
        topic=naming.alerts_topic(settings.organisation),
        key_arn=key.arn,
        contacts=settings.contacts,
    )
    return Alerts(name, args, region.options())


def _zone(settings: Settings, placement: Placement, region: Region) -> pulumi.Output[str]:
    """Return the id of the zone; while the peer is dark, as the peer's stack has said it.

    Route 53's control plane is in us-east-1 and may be dark with it: what is asked of it then
    would keep the stack from being updated at all.
    """
    if placement.peer == "dark":
        return facts.read(settings.peer_of(placement.site).name).apply(lambda found: found.zone_id)
    return aws.route53.get_zone_output(name=settings.zone, opts=region.invoke_options()).zone_id


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """What the products of a site stand on."""

    settings: Settings
    placement: Placement
    region: Region
    network: Network
    key: Key
    topic_arn: pulumi.Output[str]
    control: ControlFirewall
    zone_id: pulumi.Output[str]
    sources: dict[str, pulumi.Output[str]]
    """Product → ARN of the peer's database, where this site is the standby; else empty."""


def _sources(settings: Settings, placement: Placement) -> dict[str, pulumi.Output[str]]:
    """Return what each replica replicates, also while the peer is dark.

    To leave it out would promote the replica; its ARN comes from the state backend, and naming
    it asks the dark region nothing.
    """
    if placement.role == "active":
        return {}
    peer = facts.read(settings.peer_of(placement.site).name)

    def source(product: str) -> pulumi.Output[str]:
        return peer.apply(lambda found: found.products[product].database_arn)

    return {product.name: source(product.name) for product in settings.products}


def _deploy(product: Product, ground: _Ground) -> dict[str, Any]:
    """Make one product at this site and return its facts."""
    settings, placement, region = ground.settings, ground.placement, ground.region
    name, peer = f"{product.name}-{placement.site}", settings.peer_of(placement.site)
    firewall = Firewall(
        name,
        FirewallArgs(
            vpc_id=ground.network.vpc_id,
            https_port=settings.https_port,
            service_ports=[service.port for service in product.services],
            database_port=product.database.port,
            control_group_id=ground.control.group_id,
            peer_control=control_subnet(peer.cidr),
        ),
        region.options(),
    )
    identifier = naming.database_id(
        product.name, placement.site, placement.generations[product.name]
    )
    database = _database(product, ground, identifier, firewall)
    balancer = _balancer(product, ground, firewall)
    files, frontend = _buckets(product, ground)
    hosts = _hosts(product, ground, database, balancer, firewall)
    return {
        "database": identifier,
        "database_arn": database.arn,
        "load_balancer_arn": balancer.arn,
        "load_balancer_dns": balancer.dns_name,
        "load_balancer_zone": balancer.zone_id,
        "listener_arn": balancer.listener_arn,
        "target_groups": balancer.target_groups,
        "host_group": hosts.group_name,
        "image": hosts.image,
        "file_bucket": files.bucket,
        "file_bucket_arn": files.arn,
        "frontend_bucket": frontend.bucket,
        "frontend_bucket_arn": frontend.arn,
    }


def _balancer(product: Product, ground: _Ground, firewall: Firewall) -> Balancer:
    site = ground.placement.site
    return Balancer(
        f"{product.name}-{site}",
        BalancerArgs(
            product=product.name,
            site=site,
            domain=product.domain,
            zone_id=ground.zone_id,
            https_port=ground.settings.https_port,
            services=product.services,
            vpc_id=ground.network.vpc_id,
            subnet_ids=ground.network.subnet_ids["public"],
            group_id=firewall.balancer_id,
        ),
        ground.region.options(),
    )


def _buckets(product: Product, ground: _Ground) -> tuple[Bucket, Bucket]:
    """Make the buckets of the product's files and of its frontend."""
    account, region = ground.settings.account, ground.region

    def bucket(name: str) -> Bucket:
        return Bucket(name, BucketArgs(bucket=name, key_arn=ground.key.arn), region.options())

    return (
        bucket(naming.file_bucket(product.name, account, region.name)),
        bucket(naming.frontend_bucket(product.name, account, region.name)),
    )


def _database(product: Product, ground: _Ground, identifier: str, firewall: Firewall) -> Database:
    name = f"{product.name}-{ground.placement.site}"
    birth = _birth(product, ground)
    database = Database(
        name,
        DatabaseArgs(
            identifier=identifier,
            settings=product.database,
            subnet_ids=ground.network.subnet_ids["database"],
            group_id=firewall.database_id,
            key_arn=ground.key.arn,
            source_arn=ground.sources.get(product.name),
            birth=birth if ground.placement.role == "active" else None,
        ),
        ground.region.options(),
    )
    DatabaseAlarms(
        name,
        DatabaseAlarmsArgs(
            database=identifier,
            engine=product.database.engine,
            role=ground.placement.role,
            storage_gib=product.database.storage_gib,
            rpo_seconds=product.rpo_minutes * 60,
            topic_arn=ground.topic_arn,
        ),
        ground.region.options(),
    )
    return database


def _birth(product: Product, ground: _Ground) -> Birth | None:
    """Make the product's secrets where they are at home; return what a database is born with."""
    settings, placement = ground.settings, ground.placement
    if placement.site != settings.secrets_home:
        return None

    def credentials(secret: str, username: str) -> Credentials:
        args = CredentialsArgs(
            secret=secret,
            username=username,
            version=product.database.password_version,
            key_arn=ground.key.arn,
            peer_region=settings.peer_of(placement.site).region,
            peer_is_dark=placement.peer == "dark",
        )
        return Credentials(secret.replace("/", "-"), args, ground.region.options())

    credentials(naming.probe_secret(product.name), "probe")
    of_database = credentials(naming.database_secret(product.name), product.database_name)
    return Birth(
        name=product.database_name,
        username=product.database_name,
        password=of_database.password,
    )


def _hosts(
    product: Product, ground: _Ground, database: Database, balancer: Balancer, firewall: Firewall
) -> Hosts:
    settings, placement, region = ground.settings, ground.placement, ground.region
    return Hosts(
        f"{product.name}-{placement.site}",
        HostsArgs(
            settings=settings,
            product=product,
            region=region,
            site=placement.site,
            role=placement.role,
            zones=settings.sites[placement.site].zones,
            subnet_ids=ground.network.subnet_ids["private"],
            group_id=firewall.hosts_id,
            key_arn=ground.key.arn,
            database_address=database.address,
            file_bucket=naming.file_bucket(product.name, settings.account, region.name),
            frontend_bucket=naming.frontend_bucket(product.name, settings.account, region.name),
            target_groups=balancer.target_groups,
        ),
        region.options(),
    )
