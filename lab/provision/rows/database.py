"""RDS instances: writers, replicas, and the promotion of one to the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.provision.clients import until
from lab.provision.rows import tags
from lab.provision.rows.database_groups import TAGS, first
from lab.provision.rows.row import Change, Naming, Row, props, update

if TYPE_CHECKING:
    from lab.provision.values import Properties


_CLASS = {"DBInstanceClass": "instanceClass", "DBParameterGroupName": "parameterGroupName"}
_BOTH = (
    "autoMinorVersionUpgrade",
    "copyTagsToSnapshot",
    "deletionProtection",
    "iops",
    "maxAllocatedStorage",
    "monitoringInterval",
    "monitoringRoleArn",
    "multiAz",
    "networkType",
    "publiclyAccessible",
    "storageThroughput",
    "storageType",
    "vpcSecurityGroupIds",
)
_RENAMED = {
    "MultiAz": "MultiAZ",
    "IamDatabaseAuthenticationEnabled": "EnableIAMDatabaseAuthentication",
    "PerformanceInsightsEnabled": "EnablePerformanceInsights",
    "PerformanceInsightsKmsKeyId": "PerformanceInsightsKMSKeyId",
    "CaCertIdentifier": "CACertificateIdentifier",
    "MaintenanceWindow": "PreferredMaintenanceWindow",
    "BackupWindow": "PreferredBackupWindow",
    "EnabledCloudwatchLogsExports": "EnableCloudwatchLogsExports",
}
_ALSO = (
    "caCertIdentifier",
    "enabledCloudwatchLogsExports",
    "iamDatabaseAuthenticationEnabled",
    "performanceInsightsEnabled",
    "performanceInsightsKmsKeyId",
    "performanceInsightsRetentionPeriod",
)
_WINDOWS = ("backupWindow", "maintenanceWindow")
_ENGINE = ("allocatedStorage", "backupRetentionPeriod", "engineVersion")


def _aws_names(properties: Properties) -> Properties:
    return {_RENAMED.get(name, name): value for name, value in properties.items()}


def _instance(change: Change) -> Any:
    named = {"DBInstanceIdentifier": change.new["identifier"]}
    return first(change, "describe_db_instances", "DBInstances", **named)


def _create_instance(change: Change) -> str:
    if "replicateSourceDb" in change.new:
        _create_replica(change)
    else:
        _create_writer(change)
    _settled(change)
    return _instance(change)["DbiResourceId"]


def _settled(change: Change) -> None:
    until(lambda: _status(change) == "available", f"{change.new['identifier']} to be available")


def _status(change: Change) -> str:
    found = _instance(change)
    if not found:
        return "missing"
    return "modifying" if found.get("PendingModifiedValues") else found["DBInstanceStatus"]


def _create_writer(change: Change) -> None:
    change.aws.create_db_instance(
        DBInstanceIdentifier=change.new["identifier"],
        **_aws_names(
            change.pick(*_BOTH, *_ALSO, *_WINDOWS, *_ENGINE, "engine", "port", "kmsKeyId")
        ),
        **change.pick("storageEncrypted", DBName="dbName", **_CLASS),
        **change.pick(DBSubnetGroupName="dbSubnetGroupName", MasterUsername="username"),
        **change.pick("availabilityZone", "licenseModel", "optionGroupName"),
        **_password(change),
        **tags.given(change),
    )


def _password(change: Change) -> Properties:
    for name in ("passwordWo", "password"):
        if name in change.new:
            return {"MasterUserPassword": change.new[name]}
    return {}


def _create_replica(change: Change) -> None:
    """Create the replica here; what AWS takes from the source is modified afterwards."""
    source: str = change.new["replicateSourceDb"]
    region = {"SourceRegion": source.split(":")[3]} if source.startswith("arn:") else {}
    change.aws.create_db_instance_read_replica(
        DBInstanceIdentifier=change.new["identifier"],
        SourceDBInstanceIdentifier=source,
        **region,
        **_aws_names(change.pick(*_BOTH, *_ALSO, "port", "kmsKeyId")),
        **change.pick(DBSubnetGroupName="dbSubnetGroupName", **_CLASS),
        **change.pick("availabilityZone", "optionGroupName", "replicaMode"),
        **tags.given(change),
    )
    later = _aws_names(change.pick("backupRetentionPeriod", *_WINDOWS))
    if later:
        _settled(change)
        change.aws.modify_db_instance(
            DBInstanceIdentifier=change.new["identifier"], ApplyImmediately=True, **later
        )


_MODIFIABLE = (*_BOTH, *_ALSO, *_WINDOWS, *_ENGINE)


def _modify(change: Change) -> None:
    changed = _aws_names(change.pick_changed(*_MODIFIABLE, DBPortNumber="port"))
    changed |= change.pick_changed(**_CLASS)
    changed |= change.pick_changed(
        "allowMajorVersionUpgrade", DBSubnetGroupName="dbSubnetGroupName"
    )
    if change.changed & {"password", "passwordWoVersion"}:
        changed |= _password(change)
    if exports := changed.pop("EnableCloudwatchLogsExports", None):
        changed["CloudwatchLogsExportConfiguration"] = {"EnableLogTypes": exports}
    if not changed:
        return
    change.aws.modify_db_instance(
        DBInstanceIdentifier=change.new["identifier"],
        # The provider waits for the maintenance window unless told otherwise.
        ApplyImmediately=change.new.get("applyImmediately", False),
        **changed,
    )
    if change.new.get("applyImmediately"):
        _settled(change)


def _promote(change: Change) -> None:
    """Promote, unless that was done already outside of Pulumi."""
    if _is_replica(change):
        change.aws.promote_read_replica(
            DBInstanceIdentifier=change.new["identifier"],
            **change.pick("backupRetentionPeriod", PreferredBackupWindow="backupWindow"),
        )
        until(lambda: not _is_replica(change), f"{change.new['identifier']} to be promoted")
    _settled(change)


def _is_replica(change: Change) -> bool:
    found = _instance(change)
    return bool(found) and bool(found.get("ReadReplicaSourceDBInstanceIdentifier"))


def _impossible(change: Change) -> str | None:
    """Refuse a new name, and any change of the source but the one to none.

    internal/service/rds/instance.go: "cannot elect new source database for replication".
    """
    if "identifier" in change.changed:
        return (
            f"identifier changes from {change.old.get('identifier')!r} to "
            f"{change.new['identifier']!r}; the lab renames no database"
        )
    new = change.new.get("replicateSourceDb")
    if "replicateSourceDb" not in change.changed or new is None:
        return None
    old = change.old.get("replicateSourceDb")
    return (
        f"replicateSourceDb changes from {old!r} to {new!r}; RDS elects no new source, "
        f"it only promotes (leave the property out); make a new replica of the next generation"
    )


def _read_instance(change: Change) -> Properties | None:
    found = _instance(change)
    if not found:
        return None
    endpoint = found.get("Endpoint", {})
    return {
        **_engine_outputs(found),
        "address": endpoint.get("Address"),
        "port": endpoint.get("Port"),
        "endpoint": endpoint and f"{endpoint['Address']}:{endpoint['Port']}",
        "hostedZoneId": endpoint.get("HostedZoneId"),
        "arn": found["DBInstanceArn"],
        "resourceId": found["DbiResourceId"],
        "identifier": found["DBInstanceIdentifier"],
        "availabilityZone": found.get("AvailabilityZone"),
        "dbSubnetGroupName": found.get("DBSubnetGroup", {}).get("DBSubnetGroupName"),
        "kmsKeyId": found.get("KmsKeyId"),
        "multiAz": found["MultiAZ"],
        "backupRetentionPeriod": found["BackupRetentionPeriod"],
        "backupWindow": found.get("PreferredBackupWindow"),
        "maintenanceWindow": found.get("PreferredMaintenanceWindow"),
        "caCertIdentifier": found.get("CACertificateIdentifier"),
        "replicas": found.get("ReadReplicaDBInstanceIdentifiers", []),
        "status": found["DBInstanceStatus"],
        "vpcSecurityGroupIds": [g["VpcSecurityGroupId"] for g in found["VpcSecurityGroups"]],
        "parameterGroupName": next(
            (g["DBParameterGroupName"] for g in found.get("DBParameterGroups", [])), None
        ),
    }


def _observe_instance(change: Change) -> Properties | None:
    """Return the instance with this resource id, whatever it is called now."""
    every = change.aws.describe_db_instances()["DBInstances"]
    found = next((one for one in every if one["DbiResourceId"] == change.id), None)
    return found and {
        "identifier": found["DBInstanceIdentifier"],
        "replicateSourceDb": found.get("ReadReplicaSourceDBInstanceIdentifier") or None,
        "instanceClass": found["DBInstanceClass"],
        "multiAz": found["MultiAZ"],
        "deletionProtection": found["DeletionProtection"],
        "backupRetentionPeriod": found["BackupRetentionPeriod"],
        "backupWindow": found.get("PreferredBackupWindow"),
        "maintenanceWindow": found.get("PreferredMaintenanceWindow"),
        "maxAllocatedStorage": found.get("MaxAllocatedStorage"),
        "storageType": found["StorageType"],
        "storageEncrypted": found["StorageEncrypted"],
        "kmsKeyId": found.get("KmsKeyId"),
        "publiclyAccessible": found["PubliclyAccessible"],
        "copyTagsToSnapshot": found["CopyTagsToSnapshot"],
        "port": found["Endpoint"]["Port"],
        "dbSubnetGroupName": found["DBSubnetGroup"]["DBSubnetGroupName"],
        "parameterGroupName": found["DBParameterGroups"][0]["DBParameterGroupName"],
        "vpcSecurityGroupIds": [g["VpcSecurityGroupId"] for g in found["VpcSecurityGroups"]],
        "tags": {tag["Key"]: tag["Value"] for tag in found.get("TagList", [])},
    }


def _engine_outputs(found: Any) -> Properties:
    return {
        "engine": found["Engine"],
        "engineVersion": found["EngineVersion"],
        "engineVersionActual": found["EngineVersion"],
        "allocatedStorage": found["AllocatedStorage"],
        "username": found.get("MasterUsername"),
        "dbName": found.get("DBName"),
        "licenseModel": found.get("LicenseModel"),
        "storageThroughput": found.get("StorageThroughput"),
        "iops": found.get("Iops", 0),
        "networkType": found.get("NetworkType", "IPV4"),
    }


def _delete_instance(change: Change) -> None:
    """Delete it; a replica takes no final snapshot (terraform-provider-aws#4276)."""
    final = change.new.get("finalSnapshotIdentifier")
    skip = change.new.get("skipFinalSnapshot", False) or _is_replica(change)
    how: Properties = {"SkipFinalSnapshot": True}
    if not skip:
        how = {"SkipFinalSnapshot": False, "FinalDBSnapshotIdentifier": final}
    change.aws.delete_db_instance(
        DBInstanceIdentifier=change.new["identifier"],
        DeleteAutomatedBackups=change.new.get("deleteAutomatedBackups", True),
        **how,
    )
    until(lambda: _instance(change) is None, f"{change.new['identifier']} to be deleted")


def _find_instance(change: Change) -> str | None:
    if not _instance(change):
        return None
    _settled(change)
    return _instance(change)["DbiResourceId"]


INSTANCE = Row(
    type="aws:rds/instance:Instance",
    service="rds",
    source="internal/service/rds/instance.go",
    replace=props(
        "availabilityZone characterSetName dbName engine kmsKeyId snapshotIdentifier "
        "storageEncrypted timezone username"
    ),
    local=props(
        "applyImmediately deleteAutomatedBackups finalSnapshotIdentifier skipFinalSnapshot"
    ),
    refuse=_impossible,
    updates=(
        update("identifier replicateSourceDb", _promote),
        update(
            " ".join(_MODIFIABLE) + " allowMajorVersionUpgrade dbSubnetGroupName instanceClass "
            "parameterGroupName password passwordWoVersion port replicaMode optionGroupName "
            "licenseModel",
            _modify,
        ),
        TAGS,
    ),
    create=_create_instance,
    read=_read_instance,
    observe=_observe_instance,
    delete=_delete_instance,
    find=_find_instance,
    naming=Naming(property="identifier", limit=63),
)

ROWS = (INSTANCE,)
