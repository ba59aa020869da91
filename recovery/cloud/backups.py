"""Automated backups that RDS copies to another region."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recovery.cloud.call import uses

if TYPE_CHECKING:
    from recovery.cloud.client import Region

_ENDED = "retained"
"""What is left of an instance that is gone, or is copied no longer (Amazon RDS API Reference)."""


@uses("rds:DescribeDBInstanceAutomatedBackups")
def replication(region: Region, resource_id: str) -> str | None:
    """Return the ARN under which the region receives the backups of another region's instance.

    None where it receives none. The instance is named by its resource id, `db-…`: its identifier
    may have been another's before.
    """
    answer = region.client("rds").describe_db_instance_automated_backups(DbiResourceId=resource_id)
    return next(
        (
            found["DBInstanceAutomatedBackupsArn"]
            for found in answer["DBInstanceAutomatedBackups"]
            if found.get("Status") != _ENDED and "DBInstanceAutomatedBackupsArn" in found
        ),
        None,
    )
