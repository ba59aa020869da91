"""Automated backups replicated to another region (moto has no such operation).

The copy is made in the destination region and needs a key of it when the source is encrypted
(StartDBInstanceAutomatedBackupsReplication, Amazon RDS API Reference).
"""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.rds import models, responses

from lab.aws import rds_rules as rules
from lab.aws.errors import RefusedError

if TYPE_CHECKING:
    from moto.rds.models import DBInstance, RDSBackend

_COPIED = (
    "engine", "engine_version", "allocated_storage", "master_username", "db_instance_identifier",
    "dbi_resource_id", "db_instance_arn", "port", "storage_type", "preferred_backup_window",
)  # fmt: skip


def install() -> None:
    """Add the operations, before the first request is dispatched."""
    response: Any = responses.RDSResponse
    backend: Any = models.RDSBackend
    response.start_db_instance_automated_backups_replication = _start
    response.stop_db_instance_automated_backups_replication = _stop
    response.delete_db_instance_automated_backup = _stop
    backend.describe_db_instance_automated_backups = _describe
    response.describe_db_instance_automated_backups = _describe_response


def _replicated(backend: RDSBackend) -> dict[str, dict[str, Any]]:
    """Return the replicated backups in a region, by the resource id of their source.

    That cannot change and is nobody else's (DBInstanceAutomatedBackup, Amazon RDS API Reference);
    an ARN is the next instance's once an instance was renamed.
    """
    return backend.__dict__.setdefault("lab_replicated_backups", {})


def _start(self: Any) -> ActionResult:
    source_arn, backend = self.params["SourceDBInstanceArn"], self.backend
    source: DBInstance = backend.find_db_from_id(source_arn)
    if source.region == backend.region_name:
        msg = "The source DB instance must be in another region than the replicated backups"
        raise RefusedError("InvalidParameterValue", msg)
    if source.backup_retention_period == 0:
        msg = f"Automated backups are not enabled for {source.db_instance_identifier}"
        raise RefusedError("InvalidDBInstanceState", msg)
    if source.dbi_resource_id in _replicated(backend):
        msg = f"Automated backups of {source_arn} are already replicated to {backend.region_name}"
        raise RefusedError("InvalidDBInstanceState", msg)
    key = self.params.get("KmsKeyId")
    if source.storage_encrypted and not key:
        msg = "KmsKeyId is required to replicate the backups of an encrypted DB instance"
        raise RefusedError("InvalidParameterCombination", msg)
    arn = f"arn:aws:rds:{backend.region_name}:{backend.account_id}:auto-backup:ab-"
    made = {
        **{_camel(name): getattr(source, name) for name in _COPIED},
        "DBInstanceAutomatedBackupsArn": arn + uuid4().hex[:26],
        "KmsKeyId": rules.key_arn(backend, key) if key else None,
        "Encrypted": source.storage_encrypted,
        "Region": source.region,
        "Status": "replicating",
        "BackupRetentionPeriod": int(self.params.get("BackupRetentionPeriod") or 7),
        "InstanceCreateTime": source.created,
        "RestoreWindow": {"EarliestTime": utcnow(), "LatestTime": utcnow()},
    }
    _replicated(backend)[source.dbi_resource_id] = made
    return ActionResult({"DBInstanceAutomatedBackup": made})


def _camel(name: str) -> str:
    known = {"dbi_resource_id": "DbiResourceId", "db_instance_identifier": "DBInstanceIdentifier"}
    known["db_instance_arn"] = "DBInstanceArn"
    return known.get(name) or "".join(part.title() for part in name.split("_"))


def _stop(self: Any) -> ActionResult:
    found = _replicated(self.backend)
    arn, own = (
        self.params.get(name) for name in ("SourceDBInstanceArn", "DBInstanceAutomatedBackupsArn")
    )
    # The newest first: an older one may be of an instance that had the ARN before.
    gone = next(
        (
            source
            for source, one in reversed(found.items())
            if arn == one["DBInstanceArn"] or own == one["DBInstanceAutomatedBackupsArn"]
        ),
        None,
    )
    if gone is None:
        msg = (
            f"Replicated automated backups of {arn or own} were not found in "
            f"{self.backend.region_name}"
        )
        raise RefusedError("DBInstanceAutomatedBackupNotFound", msg, 404)
    return ActionResult({"DBInstanceAutomatedBackup": found.pop(gone)})


def _describe(self: RDSBackend, **wanted: Any) -> list[dict[str, Any]]:
    name = wanted.get("db_instance_identifier")
    arn = wanted.get("db_instance_automated_backups_arn")
    resource = wanted.get("dbi_resource_id")
    own = [_own(one) for one in self.databases.values() if one.backup_retention_period]
    return [
        backup
        for backup in (*own, *_replicated(self).values())
        if name in {None, backup["DBInstanceIdentifier"]}
        and arn in {None, backup["DBInstanceAutomatedBackupsArn"]}
        and resource in {None, backup["DbiResourceId"]}
    ]


def _describe_response(self: Any) -> ActionResult:
    params = self.params
    found = _describe(
        self.backend,
        db_instance_identifier=params.get("DBInstanceIdentifier"),
        db_instance_automated_backups_arn=params.get("DBInstanceAutomatedBackupsArn"),
        dbi_resource_id=params.get("DbiResourceId"),
    )
    return ActionResult({"DBInstanceAutomatedBackups": found})


def _own(instance: DBInstance) -> dict[str, Any]:
    """Return the automated backups of an instance of the region itself."""
    arn = f"arn:aws:rds:{instance.region}:{instance.account_id}:auto-backup:ab-"
    return {
        **{_camel(name): getattr(instance, name) for name in _COPIED},
        "DBInstanceAutomatedBackupsArn": arn + instance.dbi_resource_id[3:].lower(),
        "KmsKeyId": instance.kms_key_id,
        "Encrypted": instance.storage_encrypted,
        "Region": instance.region,
        "Status": "active",
        "BackupRetentionPeriod": instance.backup_retention_period,
        "InstanceCreateTime": instance.created,
        "RestoreWindow": {"EarliestTime": instance.created, "LatestTime": utcnow()},
    }
