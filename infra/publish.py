"""The topology: assembled from what both sites' stacks said, published in both regions."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from recovery import naming, topology

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.facts import ProductFacts, SiteFacts
    from infra.products import Product
    from infra.settings import Settings, SiteName

FENCE_RULE = 100
"""Number of the first product's entry in the ACL of a site's hosts."""

HealthChecks = dict[str, dict[str, str]]
"""Product → site → health check."""


class Topology(pulumi.ComponentResource):
    """The document in a site's bucket, and the parameter with its place and hash.

    The parameter is written after the document: who reads the parameter finds what it names.
    """

    def __init__(
        self,
        name: str,
        bucket: pulumi.Input[str],
        document: pulumi.Output[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("standby:infra:Topology", name, None, opts)
        own = pulumi.ResourceOptions(parent=self)
        written = aws.s3.BucketObjectv2(
            name,
            bucket=bucket,
            key=naming.TOPOLOGY_KEY,
            content=document,
            content_type="application/json",
            opts=own,
        )
        aws.ssm.Parameter(
            name,
            name=naming.TOPOLOGY_PARAMETER,
            type="String",
            value=pulumi.Output.all(written.bucket, written.key, document).apply(
                lambda place: locate(*place)
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[written]),
        )
        self.register_outputs({})


def locate(bucket: str, key: str, document: str) -> str:
    """Return the parameter's value: where the document is, and its SHA-256."""
    sha256 = hashlib.sha256(document.encode()).hexdigest()
    return json.dumps({"bucket": bucket, "key": key, "sha256": sha256}, sort_keys=True)


def assemble(
    settings: Settings,
    facts: Mapping[SiteName, SiteFacts],
    zone_id: str,
    health_checks: HealthChecks,
) -> topology.Topology:
    """Return the topology of both sites, the witness and all products."""
    table = naming.control_table(settings.organisation)
    return topology.Topology(
        schema_version=topology.SCHEMA_VERSION,
        organisation=settings.organisation,
        account=settings.account,
        zone=settings.zone,
        zone_id=zone_id,
        https_port=settings.https_port,
        guard=settings.guard,
        witness=topology.Witness(region=settings.witness_region, control_table=table),
        sites={
            site.name: topology.Site(
                name=site.name,
                region=site.region,
                control_table=table,
                bucket=facts[site.name].bucket,
                topic=facts[site.name].topic_arn,
            )
            for site in settings.sites.values()
        },
        products=tuple(
            _product(product, facts, health_checks[product.name], FENCE_RULE + at)
            for at, product in enumerate(settings.products)
        ),
    )


def _product(
    product: Product,
    facts: Mapping[SiteName, SiteFacts],
    health_checks: Mapping[str, str],
    rule: int,
) -> topology.Product:
    return topology.Product(
        name=product.name,
        title=product.title,
        domain=product.domain,
        engine=product.database.engine,
        rto_seconds=product.rto_minutes * 60,
        rpo_seconds=product.rpo_minutes * 60,
        services=product.services,
        journey=product.journey,
        api_tests=product.api_tests,
        contacts=product.contacts,
        deployments={
            site: _deployment(
                product,
                of_site.products[product.name],
                health_checks[site],
                _fence(of_site.hosts_acl_id, rule),
            )
            for site, of_site in facts.items()
        },
    )


def _fence(acl: str, rule: int) -> topology.Fence | None:
    return topology.Fence(acl=acl, rule=rule) if acl else None


def _deployment(
    product: Product, facts: ProductFacts, health_check: str, fence: topology.Fence | None
) -> topology.Deployment:
    return topology.Deployment(
        database=facts.database,
        database_name=product.database_name,
        secret=naming.database_secret(product.name),
        probe_secret=naming.probe_secret(product.name),
        load_balancer_arn=facts.load_balancer_arn,
        load_balancer_dns=facts.load_balancer_dns,
        listener_arn=facts.listener_arn,
        target_groups=facts.target_groups,
        host_group=facts.host_group,
        image=facts.image,
        instance_type=product.hosts.type,
        hosts_active=product.hosts.active,
        hosts_standby=product.hosts.standby,
        backup_retention_days=product.database.retention_days,
        file_bucket=facts.file_bucket,
        frontend_bucket=facts.frontend_bucket,
        health_check=health_check,
        fence=fence,
    )
