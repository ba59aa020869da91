"""What RDS refuses and moto lets through.

Each rule is from the Amazon RDS User Guide or API Reference; codes are those of the API Reference.
"""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.rds.exceptions import KMSKeyNotAccessibleFault

from lab.aws.errors import RefusedError

if TYPE_CHECKING:
    from moto.rds.models import DBInstance, RDSBackend


def check_creation(backend: RDSBackend, wanted: Any) -> None:
    """Refuse an instance whose key, parameter group or password cannot be."""
    if wanted.get("kms_key_id") and wanted.get("storage_encrypted"):
        key_arn(backend, wanted["kms_key_id"])
    _check_parameter_group(backend, wanted, wanted.get("engine"), wanted.get("engine_version"))
    password = wanted.get("master_user_password")
    if password is not None:
        _check_password(password)


def check_replica(backend: RDSBackend, source: DBInstance, wanted: Any) -> None:
    """Refuse a replica that AWS could not make from `source` in the region of `backend`."""
    if source.backup_retention_period == 0:
        msg = (
            f"Automated backups are not enabled for this database instance "
            f"{source.db_instance_identifier}. To enable automated backups, use "
            "ModifyDBInstance to set the backup retention period to a non-zero value."
        )
        raise RefusedError("InvalidDBInstanceState", msg)
    check_available(source)
    abroad = backend.region_name != source.region
    if getattr(source, "manage_master_user_password", False):
        msg = "The source DB instance has a managed master user password"
        raise RefusedError("InvalidParameterCombination", msg)
    if abroad and source.storage_encrypted:
        if not wanted.get("kms_key_id"):
            msg = (
                "Cannot create a cross region read replica from an encrypted DB instance "
                "without a KMS key: KmsKeyId is required"
            )
            raise RefusedError("InvalidParameterCombination", msg)
        wanted["kms_key_id"] = key_arn(backend, wanted["kms_key_id"])
    if abroad and not wanted["source_db_instance_identifier"].startswith("arn:"):
        msg = "The source DB instance of a cross-region replica must be named by its ARN"
        raise RefusedError("InvalidParameterValue", msg)
    _check_parameter_group(backend, wanted, source.engine, source.engine_version)


def check_promotion(instance: DBInstance) -> None:
    """Refuse to promote what is no replica or is busy, such as `backing-up`."""
    name = instance.db_instance_identifier
    if not instance.is_replica:
        msg = f"DB Instance {name} is not a read replica."
        raise RefusedError("InvalidDBInstanceState", msg)
    check_available(instance)


def check_available(instance: DBInstance) -> None:
    """Refuse what AWS does to an available instance only."""
    if instance.status != "available":
        msg = (
            f"Instance {instance.db_instance_identifier} is not currently available. "
            f"Its status is {instance.status}."
        )
        raise RefusedError("InvalidDBInstanceState", msg)


def check_modification(backend: RDSBackend, instance: DBInstance, wanted: Any) -> None:
    """Refuse changes that AWS refuses."""
    check_available(instance)
    password = wanted.get("master_user_password")
    if password is not None:
        if instance.is_replica:
            msg = "The master user password of a read replica cannot be modified"
            raise RefusedError("InvalidDBInstanceState", msg)
        _check_password(password)
    _check_parameter_group(backend, wanted, instance.engine, instance.engine_version)
    size = wanted.get("allocated_storage")
    if size is not None and int(size) < instance.allocated_storage:
        msg = (
            f"Invalid storage size {size} GiB: storage of {instance.db_instance_identifier} "
            f"cannot be reduced below {instance.allocated_storage} GiB"
        )
        raise RefusedError("InvalidParameterCombination", msg)
    days = wanted.get("backup_retention_period")
    if days is not None and int(days) == 0 and instance.replicas:
        msg = "Automated backups cannot be disabled while the instance has read replicas"
        raise RefusedError("InvalidParameterCombination", msg)


_AT_THE_WINDOW = ("db_instance_class", "allocated_storage", "engine_version", "multi_az", "iops")


def deferred(instance: DBInstance, wanted: Any) -> dict[str, Any]:
    """Return the changes that wait for the maintenance window, unless they are to apply now."""
    if str(wanted.get("apply_immediately")).lower() == "true":
        return {}
    return {
        key: wanted[key]
        for key in _AT_THE_WINDOW
        if wanted.get(key) is not None and wanted[key] != getattr(instance, key)
    }


def check_deletion(instance: DBInstance, *, skip: bool, final: str | None) -> None:
    """Refuse to delete what is protected, or without saying what becomes of the data."""
    if instance.deletion_protection:
        msg = (
            "Cannot delete protected DB Instance, please disable deletion protection and try again."
        )
        raise RefusedError("InvalidParameterCombination", msg)
    if instance.is_replica:
        if final or not skip:
            msg = "SkipFinalSnapshot must be true when you delete a read replica"
            raise RefusedError("InvalidParameterCombination", msg)
    elif skip == bool(final):
        msg = (
            "FinalDBSnapshotIdentifier cannot be specified when deleting with SkipFinalSnapshot"
            if skip
            else "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified."
        )
        raise RefusedError("InvalidParameterCombination", msg)
    if instance.status in {"creating", "deleting"}:
        check_available(instance)


def key_arn(backend: RDSBackend, key: str | None) -> str | None:
    """Return the ARN of a usable key of the region; None where none is named."""
    if not key or key == "default_kms_key_id":
        return f"arn:aws:kms:{backend.region_name}:{backend.account_id}:alias/aws/rds"
    arn = backend._validate_kms_key(key)
    state = backend.kms.describe_key(arn.rpartition("/")[2]).key_state
    if state != "Enabled":
        raise KMSKeyNotAccessibleFault(key)
    return arn


def parameters_of(instance: Any) -> dict[str, str]:
    """Return the values that an instance's parameter group sets."""
    groups = instance.db_parameter_groups()
    return {
        name: str(facts["ParameterValue"])
        for group in groups
        for name, facts in group.parameters.items()
        if "ParameterValue" in facts
    }


_PASSWORD_LENGTH = range(8, 129)


def _check_password(password: str) -> None:
    if len(password) not in _PASSWORD_LENGTH or any(character in password for character in '/"@ '):
        msg = (
            "The parameter MasterUserPassword is not a valid password. It must be 8 to 128 "
            "printable ASCII characters besides '/', '@', '\"' and ' '."
        )
        raise RefusedError("InvalidParameterValue", msg)


def _check_parameter_group(
    backend: RDSBackend, wanted: Any, engine: str, version: str | None
) -> None:
    name = wanted.get("db_parameter_group_name")
    if not name or name.startswith("default."):
        return
    group = backend.db_parameter_groups.get(name)
    if group is None:
        msg = f"DBParameterGroup not found: {name}"
        raise RefusedError("DBParameterGroupNotFound", msg, 404)
    major = (version or "").split(".")[0]
    if engine == "postgres" and major and group.family != f"postgres{major}":
        msg = (
            f"The parameter group {name} with DBParameterGroupFamily {group.family} can't be used "
            f"for this instance. Please use a parameter group with DBParameterGroupFamily "
            f"postgres{major}"
        )
        raise RefusedError("InvalidParameterCombination", msg)
