"""S3 buckets, what is set on them, and objects; DynamoDB tables."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lab.provision.clients import until
from lab.provision.rows import tags
from lab.provision.rows.row import Change, Naming, Row, pascal_all, props, update

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.provision.values import Properties


# Bucket

# S3's hosted zones for website endpoints are a table of constants; nothing here uses them.
_NO_ZONE = ""


def _create_bucket(change: Change) -> str:
    # us-east-1 is the one region that must not be named.
    where = {"CreateBucketConfiguration": {"LocationConstraint": change.region}}
    locked = {"ObjectLockEnabledForBucket": True} if change.new.get("objectLockEnabled") else {}
    change.aws.create_bucket(
        Bucket=change.new["bucket"], **({} if change.region == "us-east-1" else where), **locked
    )
    return change.new["bucket"]


def _tag_bucket(change: Change) -> None:
    if change.tags:
        change.aws.put_bucket_tagging(
            Bucket=change.id, Tagging={"TagSet": tags.listed(change.tags)}
        )
    else:
        change.aws.delete_bucket_tagging(Bucket=change.id)


def _read_bucket(change: Change) -> Properties | None:
    name = change.id
    return {
        "arn": f"arn:aws:s3:::{name}",
        "bucket": name,
        "bucketDomainName": f"{name}.s3.amazonaws.com",
        "bucketRegion": change.region,
        "bucketRegionalDomainName": f"{name}.s3.{change.region}.amazonaws.com",
        "hostedZoneId": _NO_ZONE,
    }


def _find_bucket(change: Change) -> str | None:
    names = {bucket["Name"] for bucket in change.aws.list_buckets()["Buckets"]}
    return change.new["bucket"] if change.new["bucket"] in names else None


def _delete_bucket(change: Change) -> None:
    if change.new.get("forceDestroy"):
        pages = change.aws.get_paginator("list_object_versions").paginate(Bucket=change.id)
        for page in pages:
            for found in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                change.aws.delete_object(
                    Bucket=change.id, Key=found["Key"], VersionId=found["VersionId"]
                )
    change.aws.delete_bucket(Bucket=change.id)


BUCKET = Row(
    type="aws:s3/bucket:Bucket",
    service="s3",
    source="internal/service/s3/bucket.go",
    replace=props("bucket objectLockEnabled"),
    local=props("forceDestroy"),
    updates=(update("tags", _tag_bucket, at_creation=True),),
    create=_create_bucket,
    read=_read_bucket,
    delete=_delete_bucket,
    find=_find_bucket,
    naming=Naming(property="bucket", limit=63),
)


# What is set on a bucket


def _setting(
    name: str,
    source: str,
    properties: str,
    *,
    put: Callable[[Change], object],
    remove: Callable[[Change], object],
    local: str = "",
    json: str = "",
) -> Row:
    """Return the row of a setting: its id is the bucket, and putting it again is no error."""

    def apply(change: Change) -> str:
        put(change)
        return change.new["bucket"]

    lower = name[:1].lower() + name[1:]
    return Row(
        type=f"aws:s3/{lower}:{name}",
        service="s3",
        source=f"internal/service/s3/{source}.go",
        replace=props("bucket expectedBucketOwner"),
        local=props(local),
        updates=(update(properties, apply),),
        create=apply,
        delete=remove,
        find=apply,
        json=props(json),
    )


VERSIONING = _setting(
    "BucketVersioning",
    "bucket_versioning",
    "versioningConfiguration",
    put=lambda c: c.aws.put_bucket_versioning(
        Bucket=c.new["bucket"],
        VersioningConfiguration={"Status": c.new["versioningConfiguration"]["status"]},
    ),
    # Versioning can be suspended, never taken away.
    remove=lambda c: c.aws.put_bucket_versioning(
        Bucket=c.id, VersioningConfiguration={"Status": "Suspended"}
    ),
)


def _encryption(change: Change) -> Properties:
    rules: list[Properties] = []
    for rule in change.new["rules"]:
        made: Properties = {}
        if default := rule.get("applyServerSideEncryptionByDefault"):
            made["ApplyServerSideEncryptionByDefault"] = {
                "SSEAlgorithm": default["sseAlgorithm"],
                **(
                    {"KMSMasterKeyID": default["kmsMasterKeyId"]}
                    if "kmsMasterKeyId" in default
                    else {}
                ),
            }
        if "bucketKeyEnabled" in rule:
            made["BucketKeyEnabled"] = rule["bucketKeyEnabled"]
        rules.append(made)
    return {"Rules": rules}


ENCRYPTION = _setting(
    "BucketServerSideEncryptionConfiguration",
    "bucket_server_side_encryption_configuration",
    "rules",
    put=lambda c: c.aws.put_bucket_encryption(
        Bucket=c.new["bucket"], ServerSideEncryptionConfiguration=_encryption(c)
    ),
    remove=lambda c: c.aws.delete_bucket_encryption(Bucket=c.id),
)

_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")

PUBLIC_ACCESS_BLOCK = _setting(
    "BucketPublicAccessBlock",
    "bucket_public_access_block",
    " ".join(_BLOCKS),
    put=lambda c: c.aws.put_public_access_block(
        Bucket=c.new["bucket"], PublicAccessBlockConfiguration=c.pick(*_BLOCKS)
    ),
    remove=lambda c: c.aws.delete_public_access_block(Bucket=c.id),
    local="skipDestroy",
)

POLICY = _setting(
    "BucketPolicy",
    "bucket_policy",
    "policy",
    put=lambda c: c.aws.put_bucket_policy(Bucket=c.new["bucket"], Policy=c.new["policy"]),
    remove=lambda c: c.aws.delete_bucket_policy(Bucket=c.id),
    json="policy",
)


def _replication(change: Change) -> Properties:
    rules = [_replication_rule(rule) for rule in change.new["rules"]]
    return {"Role": change.new["role"], "Rules": rules}


_RULE_NAMES = {"id": "ID"}


def _replication_rule(rule: Properties) -> Properties:
    made = pascal_all({k: v for k, v in rule.items() if k not in {"id", "destination", "filter"}})
    if "id" in rule:
        made["ID"] = rule["id"]
    # Without a filter the rule is of the first schema version, which knows no delete markers.
    if "filter" in rule or "deleteMarkerReplication" in rule:
        made["Filter"] = pascal_all(rule.get("filter") or {"prefix": ""})
    made["Destination"] = _destination(rule["destination"])
    return made


def _destination(destination: Properties) -> Properties:
    made = pascal_all({k: v for k, v in destination.items() if k != "encryptionConfiguration"})
    if encryption := destination.get("encryptionConfiguration"):
        made["EncryptionConfiguration"] = {"ReplicaKmsKeyID": encryption["replicaKmsKeyId"]}
    return made


REPLICATION = _setting(
    "BucketReplicationConfig",
    "bucket_replication_configuration",
    "role rules",
    put=lambda c: c.aws.put_bucket_replication(
        Bucket=c.new["bucket"], ReplicationConfiguration=_replication(c)
    ),
    remove=lambda c: c.aws.delete_bucket_replication(Bucket=c.id),
    local="token",
)


def _put_metrics(change: Change) -> str:
    bucket, name = change.new["bucket"], change.new["name"]
    only = {"Filter": pascal_all(change.new["filter"])} if "filter" in change.new else {}
    change.aws.put_bucket_metrics_configuration(
        Bucket=bucket, Id=name, MetricsConfiguration={"Id": name, **only}
    )
    return f"{bucket}:{name}"


METRIC = Row(
    type="aws:s3/bucketMetric:BucketMetric",
    service="s3",
    source="internal/service/s3/bucket_metric.go",
    replace=props("bucket name"),
    updates=(update("filter", _put_metrics),),
    create=_put_metrics,
    delete=lambda c: c.aws.delete_bucket_metrics_configuration(
        Bucket=c.new["bucket"], Id=c.new["name"]
    ),
    find=_put_metrics,
    naming=Naming(property="name", limit=64),
)


# Object

_HEADERS = (
    "bucketKeyEnabled",
    "cacheControl",
    "contentDisposition",
    "contentEncoding",
    "contentLanguage",
    "contentType",
    "metadata",
    "serverSideEncryption",
    "storageClass",
)


def _put_object(change: Change) -> str:
    change.aws.put_object(
        Body=_body(change),
        **change.pick("bucket", "key", *_HEADERS, SSEKMSKeyId="kmsKeyId"),
        **(
            {"Tagging": "&".join(f"{k}={v}" for k, v in change.tags.items())} if change.tags else {}
        ),
    )
    return f"{change.new['bucket']}/{change.new['key']}"


def _body(change: Change) -> bytes:
    if "contentBase64" in change.new:
        return base64.b64decode(change.new["contentBase64"])
    if "content" in change.new:
        return change.new["content"].encode()
    return change.new.get("source", b"")


def _head(change: Change) -> Any:
    try:
        return change.aws.head_object(**change.pick("bucket", "key"))
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in {"404", "NoSuchKey"}:
            return None
        raise


def _read_object(change: Change) -> Properties | None:
    found = _head(change)
    return found and {
        "arn": f"arn:aws:s3:::{change.new['bucket']}/{change.new['key']}",
        "etag": found["ETag"].strip('"'),
        "versionId": found.get("VersionId", ""),
        "contentType": found.get("ContentType"),
        "serverSideEncryption": found.get("ServerSideEncryption"),
        "storageClass": found.get("StorageClass", "STANDARD"),
    }


OBJECT = Row(
    type="aws:s3/bucketObjectv2:BucketObjectv2",
    service="s3",
    source="internal/service/s3/object.go",
    replace=props("bucket key"),
    local=props("forceDestroy"),
    updates=(
        update(
            " ".join(_HEADERS) + " content contentBase64 etag kmsKeyId source sourceHash tags",
            _put_object,
        ),
    ),
    create=_put_object,
    read=_read_object,
    delete=lambda c: c.aws.delete_object(**c.pick("bucket", "key")),
    find=lambda c: f"{c.new['bucket']}/{c.new['key']}" if _head(c) else None,
)


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
        AttributeDefinitions=[
            {"AttributeName": a["name"], "AttributeType": a["type"]} for a in new["attributes"]
        ],
        BillingMode=mode,
        **({"ProvisionedThroughput": capacity} if mode == "PROVISIONED" else {}),
        **change.pick("deletionProtectionEnabled", "tableClass"),
        **_table_encryption(change),
        **tags.given(change),
    )
    until(lambda: _active(change), f"table {new['name']} to be active")
    return new["name"]


def _table_encryption(change: Change) -> Properties:
    encryption = change.new.get("serverSideEncryption")
    if not encryption:
        return {}
    key = {"KMSMasterKeyId": encryption["kmsKeyArn"]} if "kmsKeyArn" in encryption else {}
    kind = {"SSEType": "KMS"} if encryption["enabled"] else {}
    return {"SSESpecification": {"Enabled": encryption["enabled"], **kind, **key}}


def _table(change: Change) -> Any:
    try:
        return change.aws.describe_table(TableName=change.new["name"])["Table"]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "ResourceNotFoundException":
            return None
        raise


def _active(change: Change) -> bool:
    return (_table(change) or {}).get("TableStatus") == "ACTIVE"


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
    replace=props("attributes hashKey name rangeKey"),
    updates=(
        update(
            "billingMode deletionProtectionEnabled readCapacity serverSideEncryption tableClass "
            "writeCapacity",
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

ROWS = (
    BUCKET,
    VERSIONING,
    ENCRYPTION,
    PUBLIC_ACCESS_BLOCK,
    POLICY,
    REPLICATION,
    METRIC,
    OBJECT,
    TABLE,
)
