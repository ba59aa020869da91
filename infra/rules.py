"""What values of the configuration must look like, and what must hold between them."""

from __future__ import annotations

import ipaddress
import re
import shlex
from typing import TYPE_CHECKING

from infra.reading import InvalidSettingError
from recovery import naming

if TYPE_CHECKING:
    from collections.abc import Iterable

    from infra.products import Product
    from infra.settings import Settings

NAME = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"
NAME_RULE = "lower-case letters, digits and single hyphens, starting with a letter"
DOMAIN = r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}"
DOMAIN_RULE = "a domain in lower case without the final dot"
REGION = r"[a-z]{2}(-[a-z]+)+-\d"
REGION_RULE = "an AWS region such as us-west-2"
PATH = r"/[A-Za-z0-9_.$/~\"'@:+*?&-]*"
PATH_RULE = "a path that starts with /, with * and ? as wildcards"
PARAMETER = r"/[A-Za-z0-9_./-]+"
PARAMETER_RULE = "the name of an SSM parameter that holds an image id, starting with /"
AMAZON_LINUX = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
COMMAND = r"/[A-Za-z0-9_./@+-]+( [^\x00-\x1f\x7f\\$`]+)?"
COMMAND_RULE = (
    "a command that starts with an absolute path; no shell reads it: no line break, no \\, $ or `, "
    "and every quote is closed"
)
SERVICES = "/opt/standby/services"
"""The command where the configuration names none: the image brings it."""
INSTANCE_TYPE = r"[a-z0-9-]+\.[a-z0-9-]+"
INSTANCE_CLASS = r"db\.[a-z0-9-]+\.[a-z0-9]+"
CIDR_RULE = "a private IPv4 network from /16 to /22 such as 10.10.0.0/16"
VERSIONS = {
    # RDS refuses plain connections to PostgreSQL by itself from 15 on; a replica with backups
    # of its own needs 14.1 (Amazon RDS User Guide, read replicas for PostgreSQL).
    "postgres": ("a PostgreSQL version from 15 on, such as 18", r"(1[5-9]|[2-9]\d)(\.\d+)?"),
    "mysql": ("a MySQL version such as 8.4", r"8\.(0|4)(\.\d+)?"),
}

_LARGEST_VPC = 16
_SMALLEST_VPC = 22
_BALANCER_CHARACTERS = 32
_BUCKET_CHARACTERS = 63
_SQL_NAME_CHARACTERS = 16


def below(zone: str) -> str:
    """Return the pattern of names below `zone`."""
    return r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+" + re.escape(zone)


def has_whole_words(command: str) -> bool:
    """Say whether the guard can split the command into words, as it does on the host."""
    try:
        return bool(shlex.split(command))
    except ValueError:
        return False


def network(cidr: str) -> ipaddress.IPv4Network | None:
    """Return the network that `cidr` says, or None where a VPC of ours cannot have it."""
    try:
        found = ipaddress.IPv4Network(cidr)
    except ValueError:
        return None
    fits = found.is_private and _LARGEST_VPC <= found.prefixlen <= _SMALLEST_VPC
    return found if fits else None


def check(settings: Settings) -> None:
    """Raise InvalidSettingError for the first thing that does not hold between values."""
    primary, dr = settings.sites["primary"], settings.sites["dr"]
    if primary.cidr.overlaps(dr.cidr):
        rule = f"apart from sites.primary.cidr, {primary.cidr}: the two networks are peered"
        raise InvalidSettingError("sites.dr.cidr", str(dr.cidr), rule)
    _distinct(
        "one of three different regions",
        {
            "sites.primary.region": primary.region,
            "sites.dr.region": dr.region,
            "witness.region": settings.witness_region,
        }.items(),
    )
    bucket = naming.site_bucket(settings.organisation, settings.account, "ap-northeast-1")
    if len(bucket) > _BUCKET_CHARACTERS:
        rule = f"shorter: the bucket {bucket} would exceed {_BUCKET_CHARACTERS} characters"
        raise InvalidSettingError("organisation", settings.organisation, rule)
    for attribute in ("name", "domain"):
        _distinct(
            "different from the other products'",
            (
                (f"products[{index}].{attribute}", getattr(product, attribute))
                for index, product in enumerate(settings.products)
            ),
        )
    for index, product in enumerate(settings.products):
        _check_product(f"products[{index}]", product, settings)


def _check_product(path: str, product: Product, settings: Settings) -> None:
    if len(product.name) > _SQL_NAME_CHARACTERS:
        # MySQL on RDS takes a master username of up to 16 characters (its user guide).
        rule = f"at most {_SQL_NAME_CHARACTERS} characters"
        raise InvalidSettingError(f"{path}.name", product.name, rule)
    for attribute in ("name", "port", "path"):
        _distinct(
            "different from the other services'",
            (
                (f"{path}.services[{index}].{attribute}", getattr(service, attribute))
                for index, service in enumerate(product.services)
            ),
        )
    for index, service in enumerate(product.services):
        for site in settings.sites:
            name = naming.target_group(product.name, site, service.name)
            if len(name) > _BALANCER_CHARACTERS:
                key = f"{path}.services[{index}].name"
                rule = (
                    f"shorter: the target group {name} would exceed "
                    f"{_BALANCER_CHARACTERS} characters"
                )
                raise InvalidSettingError(key, service.name, rule)


def _distinct(rule: str, values: Iterable[tuple[str, object]]) -> None:
    seen: set[object] = set()
    for key, value in values:
        if value in seen:
            raise InvalidSettingError(key, value, rule)
        seen.add(value)
