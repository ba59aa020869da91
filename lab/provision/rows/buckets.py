"""S3 buckets and what is set on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lab.provision.clients import existing
from lab.provision.rows import tags
from lab.provision.rows.objects import delete_versions
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
        delete_versions(change.aws, change.id)
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
    observe: Callable[[Change], Properties | None] | None = None,
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
        replace=props("bucket"),
        local=props(local),
        updates=(update(properties, apply),),
        create=apply,
        delete=remove,
        find=apply,
        observe=observe,
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


def _observe_replication(change: Change) -> Properties | None:
    found = existing(lambda: change.aws.get_bucket_replication(Bucket=change.id))
    if found is None:
        return None
    held = found["ReplicationConfiguration"]
    rules = [_camel_all(rule) for rule in held["Rules"]]
    for rule in rules:
        # What S3 gives back as an empty prefix, moto forgets once it was read and written again.
        if rule.get("filter") == {}:
            rule["filter"] = {"prefix": ""}
    return {"bucket": change.id, "role": held["Role"], "rules": rules}


_CAMEL = {"ID": "id", "ReplicaKmsKeyID": "replicaKmsKeyId"}


def _camel_all(value: Any) -> Any:
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {_CAMEL.get(k) or k[:1].lower() + k[1:]: _camel_all(v) for k, v in items}
    if isinstance(value, list):
        return [_camel_all(item) for item in cast("list[Any]", value)]
    return value


REPLICATION = _setting(
    "BucketReplicationConfig",
    "bucket_replication_configuration",
    "role rules",
    put=lambda c: c.aws.put_bucket_replication(
        Bucket=c.new["bucket"], ReplicationConfiguration=_replication(c)
    ),
    remove=lambda c: c.aws.delete_bucket_replication(Bucket=c.id),
    local="token",
    observe=_observe_replication,
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

ROWS = (BUCKET, VERSIONING, ENCRYPTION, PUBLIC_ACCESS_BLOCK, POLICY, REPLICATION, METRIC)
