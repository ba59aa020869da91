"""RDS instances and their snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recovery.cloud.call import uses

if TYPE_CHECKING:
    from mypy_boto3_rds.type_defs import DBInstanceTypeDef

    from recovery.cloud.client import Region

AVAILABLE = "available"
BACKING_UP = "backing-up"


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
    )
