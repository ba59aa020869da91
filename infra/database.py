"""A product's database at one site: a writer, or a replica of the peer's writer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra import products

STANDBY_RETENTION_DAYS = 1
"""Backups of a replica are on, so that promotion has not to switch them on: the least there is."""

_FORCE_TLS = {"postgres": "rds.force_ssl", "mysql": "require_secure_transport"}
_GROWTH = 2
# A replica of a large database copies all of it first.
_TIMEOUTS = pulumi.CustomTimeouts(create="6h", update="3h", delete="2h")


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """What an independent database is made with; a replica has all of it from its source."""

    name: str
    username: str
    password: pulumi.Input[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseArgs:
    """Where the database lies, and what it is."""

    identifier: str
    settings: products.Database
    subnet_ids: Sequence[pulumi.Input[str]]
    group_id: pulumi.Input[str]
    key_arn: pulumi.Input[str]
    source_arn: pulumi.Input[str] | None
    """What it replicates; None: it writes."""
    birth: Birth | None
    """None for a replica, and for a writer that was one: it keeps what it replicated."""


class Database(pulumi.ComponentResource):
    """An RDS instance under its own region's key, subnets and parameters, backups on, TLS forced.

    What makes it a replica is `replicate_source_db` alone: taking it away is the promotion, so
    it follows the role and nothing else. No property that differs between the roles is one that
    replaces the instance (internal/service/rds/instance.go of terraform-provider-aws). Recovery
    has changed the source and the retention when the role follows; of what is left, only Multi-AZ
    is a change in AWS (`recovery.reconcile` tells it apart).
    """

    arn: pulumi.Output[str]
    address: pulumi.Output[str]

    def __init__(
        self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("standby:infra:Database", name, None, opts)
        own = pulumi.ResourceOptions(parent=self)
        subnets = aws.rds.SubnetGroup(name, subnet_ids=args.subnet_ids, opts=own)
        parameters = aws.rds.ParameterGroup(
            # The family is part of the name: another major version needs another group.
            f"{name}-{args.settings.family.replace('.', '-')}",
            family=args.settings.family,
            parameters=[{"name": _FORCE_TLS[args.settings.engine], "value": "1"}],
            opts=own,
        )
        instance = self._instance(args, subnets.name, parameters.name)
        self.arn = instance.arn
        self.address = instance.address
        self.register_outputs({"arn": self.arn, "address": self.address})

    def _instance(
        self, args: DatabaseArgs, subnets: pulumi.Output[str], parameters: pulumi.Output[str]
    ) -> aws.rds.Instance:
        settings, birth, active = args.settings, args.birth, args.source_arn is None
        return aws.rds.Instance(
            args.identifier,
            identifier=args.identifier,
            replicate_source_db=args.source_arn,
            engine=settings.engine if birth else None,
            engine_version=settings.version if birth else None,
            db_name=birth.name if birth else None,
            username=birth.username if birth else None,
            password_wo=birth.password if birth else None,
            password_wo_version=settings.password_version if birth else None,
            allocated_storage=settings.storage_gib if birth else None,
            max_allocated_storage=_GROWTH * settings.storage_gib,
            storage_type="gp3",
            instance_class=settings.instance_class,
            port=settings.port,
            multi_az=active,
            storage_encrypted=True,
            kms_key_id=args.key_arn,
            db_subnet_group_name=subnets,
            parameter_group_name=parameters,
            vpc_security_group_ids=[args.group_id],
            publicly_accessible=False,
            backup_retention_period=(settings.retention_days if active else STANDBY_RETENTION_DAYS),
            backup_window="07:00-08:00",
            maintenance_window="tue:08:30-tue:09:30",
            copy_tags_to_snapshot=True,
            # In both roles alike: right after a failover, before anybody has updated the stack,
            # the only copy must not be the one that goes without a trace. A replica cannot be
            # deleted with a final snapshot (terraform-provider-aws#4276): it is refused, which is
            # what protection is for.
            deletion_protection=True,
            skip_final_snapshot=False,
            final_snapshot_identifier=f"{args.identifier}-final",
            delete_automated_backups=False,
            apply_immediately=True,
            opts=pulumi.ResourceOptions(parent=self, protect=True, custom_timeouts=_TIMEOUTS),
        )
