"""What a new replica takes from its source and what from its own region."""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from moto.core.utils import utcnow
from moto.ec2.models import ec2_backends

if TYPE_CHECKING:
    from moto.rds.models import DBInstance, RDSBackend

_PRIVATE_TO_SOURCE = ("db_subnet_group", "_db_subnet_group_name")


def copy_into(backend: RDSBackend, source: DBInstance, wanted: Any) -> DBInstance:
    """Return a replica with the source's data facts and the destination's own of everything else.

    A cross-region replica inherits no network, protection, backups, zones or parameter group
    (CreateDBInstanceReadReplica, Amazon RDS API Reference).
    """
    replica = copy.copy(source)
    replica.backend = backend
    replica.created = utcnow()
    replica.instance_create_time = replica.created
    replica.set_as_replica()
    replica.db_instance_identifier = wanted["db_instance_identifier"]
    replica.source_db_instance_identifier = wanted["source_db_instance_identifier"]
    replica.tags = wanted.get("tags") or []
    replica.multi_az = bool(wanted.get("multi_az"))
    replica.deletion_protection = bool(wanted.get("deletion_protection"))
    replica.backup_retention_period = 0
    replica.enabled_cloudwatch_logs_exports = wanted.get("enable_cloudwatch_logs_exports") or []
    replica.pending_modified_values = {}  # type: ignore[attr-defined]
    abroad = backend.region_name != source.region
    if abroad:
        for name in _PRIVATE_TO_SOURCE:
            vars(replica).pop(name, None)
        replica.db_parameter_group_name = None
        replica.kms_key_id = wanted.get("kms_key_id")
        ec2 = ec2_backends[backend.account_id][backend.region_name]
        default = ec2.get_default_security_group(ec2.default_vpc.id)
        replica.vpc_security_group_ids = [default.id]  # type: ignore[union-attr]
    for key in _GIVEN:
        if wanted.get(key) is not None:
            setattr(replica, key, wanted[key])
    return replica


_GIVEN = (
    "db_instance_class", "db_subnet_group_name", "db_parameter_group_name", "option_group_name",
    "vpc_security_group_ids", "port", "publicly_accessible", "storage_type", "iops",
    "auto_minor_version_upgrade", "copy_tags_to_snapshot", "enable_iam_database_authentication",
    "max_allocated_storage", "monitoring_interval", "monitoring_role_arn",
)  # fmt: skip
