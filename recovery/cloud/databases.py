"""RDS instances and their snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recovery.cloud.call import uses

if TYPE_CHECKING:
    from mypy_boto3_rds.type_defs import DBInstanceTypeDef

    from recovery.cloud.client import Region

AVAILABLE = "available"
BACKING_UP = "backing-up"
BUSY = "InvalidDBInstanceState"
"""RDS's code while another change of the instance is under way (its API reference)."""
FAILED = "failed"
"""RDS could not do it, and will not by itself (Amazon RDS User Guide, DB instance status)."""
PASSING = frozenset(
    {
        BACKING_UP,
        "configuring-enhanced-monitoring",
        "creating",
        "maintenance",
        "modifying",
        "rebooting",
        "renaming",
        "starting",
        "storage-optimization",
        "upgrading",
    }
)
"""States that end by themselves (Amazon RDS User Guide, viewing DB instance status)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A database instance as RDS describes it now."""

    id: str
    arn: str
    status: str
    source: str | None
    """Identifier or ARN of what it replicates; None for a writer."""
    host: str | None
    """None until RDS has given it an endpoint."""
    port: int
    instance_class: str
    multi_az: bool
    retention_days: int
    replication: str | None
    """Status of the read replication, such as `replicating`; None where RDS reports none."""
    engine: str
    engine_version: str
    resource_id: str = ""
    """`db-…`: the instance's own for as long as it exists, whatever it is called."""


@uses("rds:DescribeDBInstances")
def describe(region: Region, database: str) -> Database | None:
    """Return the instance, or None when the region has none of that name."""
    try:
        answer = region.client("rds").describe_db_instances(DBInstanceIdentifier=database)
    except region.client("rds").exceptions.DBInstanceNotFoundFault:
        return None
    return _parse(answer["DBInstances"][0])


@uses("rds:DescribeDBInstances")
def replicas(region: Region, source: str) -> tuple[Database, ...]:
    """Return the instances of the region that replicate `source`, an identifier or an ARN's end."""
    pages = region.client("rds").get_paginator("describe_db_instances").paginate()
    found = (_parse(instance) for page in pages for instance in page["DBInstances"])
    return tuple(each for each in found if each.source and each.source.rpartition(":")[2] == source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What an instance has of its own region, and a replica there needs as well."""

    instance_class: str
    subnet_group: str
    parameter_group: str
    security_groups: tuple[str, ...]
    key: str | None
    """ARN of the key that encrypts it; None: it is not encrypted."""
    port: int
    storage_type: str
    storage_limit: int | None
    """GiB up to which RDS lets it grow by itself; None: it does not."""
    deletion_protection: bool
    tags: tuple[tuple[str, str], ...]


@uses("rds:DescribeDBInstances")
def placement(region: Region, database: str) -> Placement:
    """Return how the instance stands in its region; NotFoundError when there is none."""
    answer = region.client("rds").describe_db_instances(DBInstanceIdentifier=database)
    found = answer["DBInstances"][0]
    groups = found.get("DBParameterGroups", ())
    return Placement(
        instance_class=found.get("DBInstanceClass", ""),
        subnet_group=found.get("DBSubnetGroup", {}).get("DBSubnetGroupName", ""),
        parameter_group=next((each.get("DBParameterGroupName", "") for each in groups), ""),
        security_groups=tuple(
            each.get("VpcSecurityGroupId", "") for each in found.get("VpcSecurityGroups", ())
        ),
        key=found.get("KmsKeyId"),
        port=found.get("Endpoint", {}).get("Port", 0),
        storage_type=found.get("StorageType", ""),
        storage_limit=found.get("MaxAllocatedStorage"),
        deletion_protection=found.get("DeletionProtection", False),
        tags=tuple(
            sorted(
                (each.get("Key", ""), each.get("Value", "")) for each in found.get("TagList", ())
            )
        ),
    )


@uses(
    "rds:CreateDBInstanceReadReplica",
    "rds:AddTagsToResource",
    "kms:CreateGrant",
    "kms:DescribeKey",
)
def create_replica(
    region: Region, database: str, source: Database, source_region: str, like: Placement
) -> None:
    """Start a replica of another region's instance, placed like `like`; it takes minutes to hours.

    One of that name that exists already is a ConflictError. A source without backups, or one that
    is busy, is a RejectedError with the code InvalidDBInstanceState.
    """
    request: Any = {
        "DBInstanceIdentifier": database,
        "SourceDBInstanceIdentifier": source.arn,
        "SourceRegion": source_region,
        "DBInstanceClass": like.instance_class,
        "DBSubnetGroupName": like.subnet_group,
        "DBParameterGroupName": like.parameter_group,
        "VpcSecurityGroupIds": list(like.security_groups),
        "Port": like.port,
        "StorageType": like.storage_type,
        "PubliclyAccessible": False,
        "CopyTagsToSnapshot": True,
        "MultiAZ": False,
        "DeletionProtection": True,  # as the stacks have it in both roles
        "Tags": [{"Key": key, "Value": value} for key, value in like.tags],
    }
    if like.key is not None:
        request["KmsKeyId"] = like.key
    if like.storage_limit is not None:
        request["MaxAllocatedStorage"] = like.storage_limit
    region.client("rds").create_db_instance_read_replica(**request)


@uses("rds:ModifyDBInstance")
def keep_backups(region: Region, database: str, retention_days: int) -> None:
    """Turn automated backups on, now; RDS gives a new replica none."""
    region.client("rds").modify_db_instance(
        DBInstanceIdentifier=database,
        BackupRetentionPeriod=retention_days,
        ApplyImmediately=True,
    )


@uses("rds:ModifyDBInstance")
def protect(region: Region, database: str) -> None:
    """Keep the instance from being deleted."""
    region.client("rds").modify_db_instance(
        DBInstanceIdentifier=database, DeletionProtection=True, ApplyImmediately=True
    )


@uses("rds:ModifyDBInstance")
def rename(region: Region, database: str, name: str) -> None:
    """Give the instance another identifier, and with it another endpoint; it takes minutes.

    The instance restarts. Its old name is known until the change is over, and free after it
    (Amazon RDS User Guide, Renaming a DB instance).
    """
    region.client("rds").modify_db_instance(
        DBInstanceIdentifier=database, NewDBInstanceIdentifier=name, ApplyImmediately=True
    )


@uses("rds:PromoteReadReplica")
def promote(region: Region, database: str, retention_days: int) -> None:
    """Ask RDS to make the replica a writer with that backup retention; it takes minutes.

    RDS refuses while the replica is `backing-up`, and for what is no replica (RejectedError). A
    repeated call after a lost answer is refused too: look before calling again.
    """
    region.client("rds").promote_read_replica(
        DBInstanceIdentifier=database, BackupRetentionPeriod=retention_days
    )


@uses("rds:CreateDBSnapshot")
def create_snapshot(region: Region, database: str, snapshot: str) -> None:
    """Start a snapshot; one of that name that exists already is a ConflictError."""
    region.client("rds").create_db_snapshot(
        DBInstanceIdentifier=database, DBSnapshotIdentifier=snapshot
    )


@uses("rds:DescribeDBSnapshots")
def snapshot_status(region: Region, snapshot: str) -> str | None:
    """Return the snapshot's status, such as `available`, or None when there is none."""
    try:
        answer = region.client("rds").describe_db_snapshots(DBSnapshotIdentifier=snapshot)
    except region.client("rds").exceptions.DBSnapshotNotFoundFault:
        return None
    return next((found.get("Status") for found in answer["DBSnapshots"]), None)


def _parse(found: DBInstanceTypeDef) -> Database:
    endpoint = found.get("Endpoint") or {}
    return Database(
        id=found.get("DBInstanceIdentifier", ""),
        arn=found.get("DBInstanceArn", ""),
        status=found.get("DBInstanceStatus", ""),
        source=found.get("ReadReplicaSourceDBInstanceIdentifier") or None,
        host=endpoint.get("Address"),
        port=endpoint.get("Port", 0),
        instance_class=found.get("DBInstanceClass", ""),
        multi_az=found.get("MultiAZ", False),
        retention_days=found.get("BackupRetentionPeriod", 0),
        replication=next(
            (
                status.get("Status")
                for status in found.get("StatusInfos", ())
                if status.get("StatusType") == "read replication"
            ),
            None,
        ),
        engine=found.get("Engine", ""),
        engine_version=found.get("EngineVersion", ""),
        resource_id=found.get("DbiResourceId", ""),
    )
