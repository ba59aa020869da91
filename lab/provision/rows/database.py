"""RDS: subnet and parameter groups, instances and replicas, replicated backups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lab.provision.clients import until
from lab.provision.rows import tags
from lab.provision.rows.row import Change, Naming, Row, props, update

if TYPE_CHECKING:
    from lab.provision.values import Properties

_TAGS = tags.tagging(
    lambda c: {"ResourceName": c.outputs["arn"]},
    tag="add_tags_to_resource",
    untag="remove_tags_from_resource",
)


def _there(change: Change, operation: str, **arguments: Any) -> Any:
    """Return the first of what RDS describes, or None where it knows nothing of that name."""
    try:
        answer = getattr(change.aws, operation)(**arguments)
    except ClientError as error:
        if "NotFound" in error.response.get("Error", {}).get("Code", ""):
            return None
        raise
    return next(
        iter(next(v for k, v in answer.items() if isinstance(v, list) and k[:2] == "DB")), None
    )


# Subnet group


def _subnets(change: Change) -> Any:
    return _there(change, "describe_db_subnet_groups", DBSubnetGroupName=change.new["name"])


def _read_subnets(change: Change) -> Properties | None:
    found = _subnets(change)
    return found and {
        "arn": found["DBSubnetGroupArn"],
        "vpcId": found["VpcId"],
        "supportedNetworkTypes": found.get("SupportedNetworkTypes", ["IPV4"]),
        "description": found["DBSubnetGroupDescription"],
    }


def _described(change: Change) -> str:
    return change.new.get("description", "Managed by Pulumi")


SUBNET_GROUP = Row(
    type="aws:rds/subnetGroup:SubnetGroup",
    service="rds",
    source="internal/service/rds/subnet_group.go",
    replace=props("name"),
    updates=(
        update(
            "description subnetIds",
            lambda c: c.aws.modify_db_subnet_group(
                DBSubnetGroupName=c.id,
                DBSubnetGroupDescription=_described(c),
                SubnetIds=c.new["subnetIds"],
            ),
        ),
        _TAGS,
    ),
    create=lambda c: c.aws.create_db_subnet_group(
        DBSubnetGroupName=c.new["name"],
        DBSubnetGroupDescription=_described(c),
        SubnetIds=c.new["subnetIds"],
        **tags.given(c),
    )["DBSubnetGroup"]["DBSubnetGroupName"],
    read=_read_subnets,
    delete=lambda c: c.aws.delete_db_subnet_group(DBSubnetGroupName=c.id),
    find=lambda c: c.new["name"] if _subnets(c) else None,
    naming=Naming(property="name"),
)


# Parameter group

# ModifyDBParameterGroup takes at most 20 parameters a call.
_BATCH = 20


def _set_parameters(change: Change) -> None:
    wanted = {p["name"]: p for p in change.new.get("parameters", [])}
    parameters = list(wanted.values())
    for start in range(0, len(parameters), _BATCH):
        change.aws.modify_db_parameter_group(
            DBParameterGroupName=change.new["name"],
            Parameters=[
                {
                    "ParameterName": p["name"],
                    "ParameterValue": str(p["value"]),
                    "ApplyMethod": p.get("applyMethod", "immediate"),
                }
                for p in parameters[start : start + _BATCH]
            ],
        )
    gone = [p for p in change.old.get("parameters", []) if p["name"] not in wanted]
    if gone:
        change.aws.reset_db_parameter_group(
            DBParameterGroupName=change.new["name"],
            Parameters=[
                {"ParameterName": p["name"], "ApplyMethod": p.get("applyMethod", "immediate")}
                for p in gone
            ],
        )


def _parameters(change: Change) -> Any:
    return _there(change, "describe_db_parameter_groups", DBParameterGroupName=change.new["name"])


def _read_parameters(change: Change) -> Properties | None:
    found = _parameters(change)
    return found and {"arn": found["DBParameterGroupArn"], "description": found["Description"]}


PARAMETER_GROUP = Row(
    type="aws:rds/parameterGroup:ParameterGroup",
    service="rds",
    source="internal/service/rds/parameter_group.go",
    replace=props("description family name"),
    local=props("skipDestroy"),
    updates=(update("parameters", _set_parameters, at_creation=True), _TAGS),
    create=lambda c: c.aws.create_db_parameter_group(
        DBParameterGroupName=c.new["name"],
        DBParameterGroupFamily=c.new["family"],
        Description=_described(c),
        **tags.given(c),
    )["DBParameterGroup"]["DBParameterGroupName"],
    read=_read_parameters,
    delete=lambda c: c.aws.delete_db_parameter_group(DBParameterGroupName=c.id),
    find=lambda c: c.new["name"] if _parameters(c) else None,
    naming=Naming(property="name"),
)


# Instance

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
    "maintenanceWindow",
    "backupWindow",
    "performanceInsightsEnabled",
    "performanceInsightsKmsKeyId",
    "performanceInsightsRetentionPeriod",
)
_ENGINE = ("allocatedStorage", "backupRetentionPeriod", "engineVersion")


def _aws_names(properties: Properties) -> Properties:
    return {_RENAMED.get(name, name): value for name, value in properties.items()}


def _instance(change: Change) -> Any:
    return _there(change, "describe_db_instances", DBInstanceIdentifier=change.new["identifier"])


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
    pending = found and found.get("PendingModifiedValues")
    return "modifying" if pending else (found or {}).get("DBInstanceStatus", "missing")


def _create_writer(change: Change) -> None:
    change.aws.create_db_instance(
        DBInstanceIdentifier=change.new["identifier"],
        **_aws_names(change.pick(*_BOTH, *_ALSO, *_ENGINE, "engine", "port", "kmsKeyId")),
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
    retention = change.pick("backupRetentionPeriod")
    if retention:
        _settled(change)
        change.aws.modify_db_instance(
            DBInstanceIdentifier=change.new["identifier"], ApplyImmediately=True, **retention
        )


_MODIFIABLE = (*_BOTH, *_ALSO, *_ENGINE)


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
    found = _instance(change)
    if found and found.get("ReadReplicaSourceDBInstanceIdentifier"):
        change.aws.promote_read_replica(
            DBInstanceIdentifier=change.new["identifier"],
            **change.pick("backupRetentionPeriod", PreferredBackupWindow="backupWindow"),
        )
        until(lambda: not _is_replica(change), f"{change.new['identifier']} to be promoted")
    _settled(change)


def _is_replica(change: Change) -> bool:
    return bool((_instance(change) or {}).get("ReadReplicaSourceDBInstanceIdentifier"))


def _only_promotion(change: Change) -> str | None:
    """Refuse any change of the source but the one to none.

    internal/service/rds/instance.go: "cannot elect new source database for replication".
    """
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


def _engine_outputs(found: Any) -> Properties:
    return {
        "engine": found["Engine"],
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
    refuse=_only_promotion,
    updates=(
        update("replicateSourceDb", _promote),
        update(
            " ".join(_MODIFIABLE) + " allowMajorVersionUpgrade dbSubnetGroupName instanceClass "
            "parameterGroupName password passwordWoVersion port replicaMode optionGroupName "
            "licenseModel",
            _modify,
        ),
        _TAGS,
    ),
    create=_create_instance,
    read=_read_instance,
    delete=_delete_instance,
    find=_find_instance,
    naming=Naming(property="identifier", limit=63),
)


# Replicated automated backups


def _source_region(change: Change) -> Properties:
    return {"SourceRegion": change.new["sourceDbInstanceArn"].split(":")[3]}


def _replicated(change: Change) -> Any:
    found = change.aws.describe_db_instance_automated_backups()["DBInstanceAutomatedBackups"]
    wanted = change.new["sourceDbInstanceArn"]
    return next(
        (
            b
            for b in found
            if b.get("DBInstanceArn") == wanted and b.get("DBInstanceAutomatedBackupsArn")
        ),
        None,
    )


def _start(change: Change) -> str:
    made = change.aws.start_db_instance_automated_backups_replication(
        SourceDBInstanceArn=change.new["sourceDbInstanceArn"],
        **change.pick("kmsKeyId", BackupRetentionPeriod="retentionPeriod"),
        **_source_region(change),
    )
    return made["DBInstanceAutomatedBackup"]["DBInstanceAutomatedBackupsArn"]


def _find_replicated(change: Change) -> str | None:
    found = _replicated(change)
    return found and found["DBInstanceAutomatedBackupsArn"]


BACKUPS_REPLICATION = Row(
    type="aws:rds/instanceAutomatedBackupsReplication:InstanceAutomatedBackupsReplication",
    service="rds",
    source="internal/service/rds/instance_automated_backups_replication.go",
    replace=props("kmsKeyId preSignedUrl retentionPeriod sourceDbInstanceArn"),
    create=_start,
    read=lambda c: {"kmsKeyId": c.new.get("kmsKeyId")},
    delete=lambda c: c.aws.stop_db_instance_automated_backups_replication(
        SourceDBInstanceArn=c.new["sourceDbInstanceArn"], **_source_region(c)
    ),
    find=_find_replicated,
)

ROWS = (SUBNET_GROUP, PARAMETER_GROUP, INSTANCE, BACKUPS_REPLICATION)
