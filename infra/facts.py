"""What a site's stack tells the link and the peer: its one output, `site`. No secret is in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import pulumi

if TYPE_CHECKING:
    from infra.settings import Role, SiteName

OUTPUT = "site"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductFacts:
    """A product at the site."""

    database: str
    database_arn: str
    load_balancer_arn: str
    load_balancer_dns: str
    load_balancer_zone: str
    listener_arn: str
    target_groups: dict[str, str]
    host_group: str
    image: str
    file_bucket: str
    file_bucket_arn: str
    frontend_bucket: str
    frontend_bucket_arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFacts:
    """The site itself."""

    role: str
    zone_id: str
    vpc_id: str
    route_table_ids: list[str]
    control_subnet_id: str
    control_group_id: str
    key_arn: str
    bucket: str
    topic_arn: str
    products: dict[str, ProductFacts]
    hosts_acl_id: str = ""
    """Empty in outputs that are older than it."""


def read(site: SiteName) -> pulumi.Output[SiteFacts]:
    """Return what the stack of `site` said when it was last updated.

    Nothing in the site's region is asked: the outputs lie in the state backend.
    """
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{site}"
    outputs = pulumi.StackReference(name).require_output(OUTPUT)
    return outputs.apply(lambda facts: msgspec.convert(facts, SiteFacts))


def require_roles(active: SiteName, facts: dict[SiteName, SiteFacts]) -> dict[SiteName, SiteFacts]:
    """Return `facts`; raise RunError unless `active` is the active site and the other standby."""
    for site, of_site in facts.items():
        role: Role = "active" if site == active else "standby"
        if of_site.role != role:
            msg = (
                f"active is {active}, but the stack {site} exports the role {of_site.role}; "
                "update that stack first, or correct active in Pulumi.link.yaml"
            )
            raise pulumi.RunError(msg)
    return facts
