"""DynamoDB tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.provision.clients import existing, until
from lab.provision.rows import tags
from lab.provision.rows.row import Change, Naming, Row, props, update

if TYPE_CHECKING:
    from lab.provision.values import Properties


# DynamoDB table


def _create_table(change: Change) -> str:
    new = change.new
    keys = [{"AttributeName": new["hashKey"], "KeyType": "HASH"}]
    if "rangeKey" in new:
        keys.append({"AttributeName": new["rangeKey"], "KeyType": "RANGE"})
    mode = new.get("billingMode", "PROVISIONED")
    capacity = change.pick(ReadCapacityUnits="readCapacity", WriteCapacityUnits="writeCapacity")
    change.aws.create_table(
        TableName=new["name"],
        KeySchema=keys,
        AttributeDefinitions=_attributes(change),
        BillingMode=mode,
        **({"ProvisionedThroughput": capacity} if mode == "PROVISIONED" else {}),
        **change.pick("deletionProtectionEnabled", "tableClass"),
        **_table_encryption(change),
        **tags.given(change),
    )
    until(lambda: _active(change), f"table {new['name']} to be active")
    return new["name"]


def _attributes(change: Change) -> list[dict[str, str]]:
    given = change.new["attributes"]
    return [{"AttributeName": a["name"], "AttributeType": a["type"]} for a in given]


def _table_encryption(change: Change) -> Properties:
    encryption = change.new.get("serverSideEncryption")
    if not encryption:
        return {}
    key = {"KMSMasterKeyId": encryption["kmsKeyArn"]} if "kmsKeyArn" in encryption else {}
    kind = {"SSEType": "KMS"} if encryption["enabled"] else {}
    return {"SSESpecification": {"Enabled": encryption["enabled"], **kind, **key}}


def _table(change: Change) -> Any:
    found = existing(lambda: change.aws.describe_table(TableName=change.new["name"]))
    return found and found["Table"]


def _active(change: Change) -> bool:
    found = _table(change)
    return bool(found) and found["TableStatus"] == "ACTIVE"


def _recovery(change: Change) -> None:
    enabled = change.new.get("pointInTimeRecovery", {}).get("enabled", False)
    change.aws.update_continuous_backups(
        TableName=change.id,
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": enabled},
    )


def _expiry(change: Change) -> None:
    ttl = change.new.get("ttl")
    if ttl:
        change.aws.update_time_to_live(
            TableName=change.id,
            TimeToLiveSpecification={
                "Enabled": ttl.get("enabled", True),
                "AttributeName": ttl["attributeName"],
            },
        )


def _update_table(change: Change) -> None:
    change.aws.update_table(
        TableName=change.id,
        **change.pick_changed("billingMode", "deletionProtectionEnabled", "tableClass"),
        **(_table_encryption(change) if "serverSideEncryption" in change.changed else {}),
        **({"AttributeDefinitions": _attributes(change)} if "attributes" in change.changed else {}),
    )
    until(lambda: _active(change), f"table {change.id} to be active")


def _read_table(change: Change) -> Properties | None:
    found = _table(change)
    return found and {
        "arn": found["TableArn"],
        "readCapacity": change.new.get("readCapacity", 0),
        "writeCapacity": change.new.get("writeCapacity", 0),
        "streamArn": "",
        "streamLabel": "",
    }


TABLE = Row(
    type="aws:dynamodb/table:Table",
    service="dynamodb",
    source="internal/service/dynamodb/table.go",
    replace=props("hashKey name rangeKey"),
    updates=(
        update(
            "attributes billingMode deletionProtectionEnabled readCapacity serverSideEncryption "
            "tableClass writeCapacity",
            _update_table,
        ),
        update("pointInTimeRecovery", _recovery, at_creation=True),
        update("ttl", _expiry, at_creation=True),
        tags.tagging(lambda c: {"ResourceArn": c.outputs["arn"]}),
    ),
    create=_create_table,
    read=_read_table,
    delete=lambda c: c.aws.delete_table(TableName=c.id),
    find=lambda c: c.new["name"] if _table(c) else None,
    naming=Naming(property="name"),
)

ROWS = (TABLE,)
