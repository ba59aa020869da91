"""Subnet groups and parameter groups as RDS has them.

Which parameters exist, and which apply only after a reboot, is asked of the PostgreSQL that the
lab runs; RDS adds its own under `rds.` (Amazon RDS User Guide, Working with parameters).
"""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
from __future__ import annotations

import subprocess
from functools import cache
from typing import TYPE_CHECKING, Any

from moto.rds import models

from lab.aws.errors import RefusedError
from lab.data.programs import ProgramError, locate

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from moto.rds.models import DBParameterGroup, DBSubnetGroup, RDSBackend

_FAMILIES = {
    *(f"postgres{major}" for major in range(12, 19)),
    "mysql8.0", "mysql8.4", "mariadb10.6", "mariadb10.11", "mariadb11.4", "mariadb11.8",
}  # fmt: skip
_ZONES = 2


def install(run_dir: Path) -> None:
    """Put the lab's groups in place of moto's."""
    backend: Any = models.RDSBackend
    create_subnets = backend.create_subnet_group
    create_parameters = backend.create_db_parameter_group
    modify_parameters = backend.modify_db_parameter_group
    delete_parameters = backend.delete_db_parameter_group

    def create_subnet_group(
        self: RDSBackend, subnet_name: str, description: str, subnets: list[Any], tags: Any
    ) -> DBSubnetGroup:
        if subnet_name in self.subnet_groups:
            msg = f"The DB subnet group '{subnet_name}' already exists."
            raise RefusedError("DBSubnetGroupAlreadyExists", msg)
        _check_zones(subnets)
        return create_subnets(self, subnet_name, description, subnets, tags)

    def modify_subnet_group(
        self: RDSBackend, subnet_name: str, description: str | None, subnets: list[Any]
    ) -> DBSubnetGroup:
        group = self.describe_db_subnet_groups(subnet_name)[0]
        _check_zones(subnets)
        group._subnets = subnets
        if description is not None:
            group.description = description
        return group

    def create_group(self: RDSBackend, wanted: Any) -> DBParameterGroup:
        family = wanted.get("db_parameter_group_family")
        if family and family not in _FAMILIES:
            msg = f"ParameterGroupFamily {family} is not a valid parameter group family"
            raise RefusedError("InvalidParameterValue", msg)
        return create_parameters(self, wanted)

    def modify_group(
        self: RDSBackend, name: str, parameters: Iterable[dict[str, Any]]
    ) -> DBParameterGroup:
        listed = list(parameters)
        group = self.db_parameter_groups.get(name)
        if group and str(group.family).startswith("postgres"):
            for parameter in listed:
                _check_parameter(parameter, run_dir)
        return modify_parameters(self, name, listed)

    def delete_group(self: RDSBackend, name: str) -> DBParameterGroup:
        for instance in self.databases.values():
            if instance.db_parameter_group_name == name:
                msg = "One or more database instances are still members of this parameter group "
                raise RefusedError("InvalidDBParameterGroupState", f"{msg}{name}")
        return delete_parameters(self, name)

    backend.create_subnet_group = create_subnet_group
    backend.modify_db_subnet_group = modify_subnet_group
    backend.create_db_parameter_group = create_group
    backend.modify_db_parameter_group = modify_group
    backend.delete_db_parameter_group = delete_group


def _check_zones(subnets: list[Any]) -> None:
    zones = {subnet.availability_zone for subnet in subnets}
    if len(zones) < _ZONES:
        msg = (
            "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. "
            f"Current AZ coverage: {', '.join(sorted(zones))}. Add subnets to cover at least 2 AZs."
        )
        raise RefusedError("DBSubnetGroupDoesNotCoverEnoughAZs", msg)


def _check_parameter(parameter: dict[str, Any], run_dir: Path) -> None:
    name = parameter["ParameterName"]
    if name.startswith("rds."):
        return
    contexts = _contexts(run_dir)
    if contexts and name not in contexts:
        raise RefusedError("InvalidParameterValue", f"Could not find parameter with name: {name}")
    if contexts.get(name) == "internal":
        msg = f"The parameter {name} cannot be modified."
        raise RefusedError("InvalidParameterValue", msg)
    if contexts.get(name) == "postmaster" and parameter.get("ApplyMethod") == "immediate":
        msg = "cannot use immediate apply method for static parameter"
        raise RefusedError("InvalidParameterCombination", msg)


@cache
def _contexts(run_dir: Path) -> dict[str, str]:
    """Return when each of PostgreSQL's parameters may change; empty without its programs."""
    try:
        programs = locate(run_dir / "pg" / ".programs")
        listing = programs.run(programs.command("postgres", "--describe-config"))
    except (ProgramError, OSError, subprocess.SubprocessError):
        return {}
    rows = (line.split("\t") for line in listing.splitlines())
    return {row[0]: row[1].lower() for row in rows if len(row) > 1}
