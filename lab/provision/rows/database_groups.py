"""What RDS instances are put into, and the replication of their backups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.provision.clients import existing
from lab.provision.rows import tags
from lab.provision.rows.row import Change, Naming, Row, props, update

if TYPE_CHECKING:
    from lab.provision.values import Properties


TAGS = tags.tagging(
    lambda c: {"ResourceName": c.outputs["arn"]},
    tag="add_tags_to_resource",
    untag="remove_tags_from_resource",
)


def first(change: Change, operation: str, key: str, **arguments: Any) -> Any:
    """Return the first that RDS describes, or None where it knows nothing of that name."""
    found = existing(lambda: getattr(change.aws, operation)(**arguments))
    return next(iter(found[key]), None) if found else None


# Subnet group


def _subnets(change: Change) -> Any:
    return first(
        change, "describe_db_subnet_groups", "DBSubnetGroups", DBSubnetGroupName=change.new["name"]
    )


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
        TAGS,
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
    named = {"DBParameterGroupName": change.new["name"]}
    return first(change, "describe_db_parameter_groups", "DBParameterGroups", **named)


def _read_parameters(change: Change) -> Properties | None:
    found = _parameters(change)
    return found and {"arn": found["DBParameterGroupArn"], "description": found["Description"]}


PARAMETER_GROUP = Row(
    type="aws:rds/parameterGroup:ParameterGroup",
    service="rds",
    source="internal/service/rds/parameter_group.go",
    replace=props("description family name"),
    local=props("skipDestroy"),
    updates=(update("parameters", _set_parameters, at_creation=True), TAGS),
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


def _observe_replicated(change: Change) -> Properties | None:
    every = change.aws.describe_db_instance_automated_backups()["DBInstanceAutomatedBackups"]
    found = next((b for b in every if b.get("DBInstanceAutomatedBackupsArn") == change.id), None)
    return found and {
        "sourceDbInstanceArn": found["DBInstanceArn"],
        "retentionPeriod": found["BackupRetentionPeriod"],
        "kmsKeyId": found.get("KmsKeyId"),
    }


BACKUPS_REPLICATION = Row(
    type="aws:rds/instanceAutomatedBackupsReplication:InstanceAutomatedBackupsReplication",
    service="rds",
    source="internal/service/rds/instance_automated_backups_replication.go",
    replace=props("kmsKeyId preSignedUrl retentionPeriod sourceDbInstanceArn"),
    create=_start,
    read=lambda c: {"kmsKeyId": c.new.get("kmsKeyId")},
    observe=_observe_replicated,
    delete=lambda c: c.aws.stop_db_instance_automated_backups_replication(
        SourceDBInstanceArn=c.new["sourceDbInstanceArn"], **_source_region(c)
    ),
    find=_find_replicated,
)

ROWS = (SUBNET_GROUP, PARAMETER_GROUP, BACKUPS_REPLICATION)
