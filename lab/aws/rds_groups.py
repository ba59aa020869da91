"""Subnet groups and parameter groups as RDS has them.

Which parameters exist, and which apply only after a reboot, is asked of the PostgreSQL that the
lab runs; RDS adds its own under `rds.` (Amazon RDS User Guide, Working with parameters).
"""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from moto.rds import models

from lab.aws.errors import RefusedError
from lab.aws.patch import replace, wrap
from lab.data import programs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moto.rds.models import DBParameterGroup, DBSubnetGroup, RDSBackend

_FAMILIES = {
    *(f"postgres{major}" for major in range(12, 19)),
    "mysql8.0", "mysql8.4", "mariadb10.6", "mariadb10.11", "mariadb11.4", "mariadb11.8",
}  # fmt: skip
_ZONES = 2


def install() -> None:
    """Put the lab's groups in place of moto's."""

    def modify_parameters(
        original: Any, backend: RDSBackend, name: str, parameters: Iterable[dict[str, Any]]
    ) -> DBParameterGroup:
        listed = list(parameters)
        group = backend.db_parameter_groups.get(name)
        if group and str(group.family).startswith("postgres"):
            for parameter in listed:
                _check_parameter(parameter)
        return original(backend, name, listed)

    backend = models.RDSBackend
    wrap(backend, "create_subnet_group", _create_subnets)
    replace(backend, "modify_db_subnet_group", _modify_subnets)
    wrap(backend, "create_db_parameter_group", _create_parameters)
    wrap(backend, "modify_db_parameter_group", modify_parameters)
    wrap(backend, "delete_db_parameter_group", _delete_parameters)


def _create_subnets(
    original: Any, backend: RDSBackend, name: str, description: str, *rest: Any
) -> DBSubnetGroup:
    if name in backend.subnet_groups:
        msg = f"The DB subnet group '{name}' already exists."
        raise RefusedError("DBSubnetGroupAlreadyExists", msg)
    _check_zones(rest[0])
    return original(backend, name, description, *rest)


def _modify_subnets(
    backend: RDSBackend, name: str, description: str | None, subnets: list[Any]
) -> DBSubnetGroup:
    """Change a group and keep it; moto loses it."""
    group = backend.describe_db_subnet_groups(name)[0]
    _check_zones(subnets)
    group._subnets = subnets
    if description is not None:
        group.description = description
    return group


def _create_parameters(original: Any, backend: RDSBackend, wanted: Any) -> DBParameterGroup:
    family = wanted.get("db_parameter_group_family")
    if family and family not in _FAMILIES:
        msg = f"ParameterGroupFamily {family} is not a valid parameter group family"
        raise RefusedError("InvalidParameterValue", msg)
    return original(backend, wanted)


def _delete_parameters(original: Any, backend: RDSBackend, name: str) -> DBParameterGroup:
    if any(one.db_parameter_group_name == name for one in backend.databases.values()):
        msg = "One or more database instances are still members of this parameter group "
        raise RefusedError("InvalidDBParameterGroupState", f"{msg}{name}")
    return original(backend, name)


def _check_zones(subnets: list[Any]) -> None:
    zones = {subnet.availability_zone for subnet in subnets}
    if len(zones) < _ZONES:
        msg = (
            "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. "
            f"Current AZ coverage: {', '.join(sorted(zones))}. Add subnets to cover at least 2 AZs."
        )
        raise RefusedError("DBSubnetGroupDoesNotCoverEnoughAZs", msg)


def _check_parameter(parameter: dict[str, Any]) -> None:
    name = parameter["ParameterName"]
    if name.startswith("rds."):
        return
    contexts = _contexts()
    if name not in contexts:
        raise RefusedError("InvalidParameterValue", f"Could not find parameter with name: {name}")
    if contexts.get(name) == "internal":
        msg = f"The parameter {name} cannot be modified."
        raise RefusedError("InvalidParameterValue", msg)
    if contexts.get(name) == "postmaster" and parameter.get("ApplyMethod") == "immediate":
        msg = "cannot use immediate apply method for static parameter"
        raise RefusedError("InvalidParameterCombination", msg)


@cache
def _contexts() -> dict[str, str]:
    """Return when each of PostgreSQL's parameters may change."""
    rows = (line.split("\t") for line in programs.parameters().splitlines())
    return {row[0]: row[1].lower() for row in rows if len(row) > 1}
