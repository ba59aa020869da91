"""Objects in S3."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from lab.provision.clients import existing
from lab.provision.rows.row import Change, Row, props, update

if TYPE_CHECKING:
    from lab.provision.values import Properties


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
    return existing(lambda: change.aws.head_object(**change.pick("bucket", "key")))


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


def delete_versions(aws: Any, bucket: str, key: str = "") -> None:
    """Delete every version and delete marker of an object, or of all objects of a bucket."""
    for page in aws.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key):
        for found in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            if key in {"", found["Key"]}:
                aws.delete_object(Bucket=bucket, Key=found["Key"], VersionId=found["VersionId"])


def _delete_object(change: Change) -> None:
    """Delete the object with all its versions, as the provider does."""
    delete_versions(change.aws, change.new["bucket"], change.new["key"])


OBJECT = Row(
    type="aws:s3/bucketObjectv2:BucketObjectv2",
    service="s3",
    source="internal/service/s3/object.go",
    replace=props("bucket key"),
    moving=props("etag versionId"),
    local=props("forceDestroy"),
    updates=(
        update(
            " ".join(_HEADERS) + " content contentBase64 etag kmsKeyId source sourceHash tags",
            _put_object,
        ),
    ),
    create=_put_object,
    read=_read_object,
    delete=_delete_object,
    find=lambda c: f"{c.new['bucket']}/{c.new['key']}" if _head(c) else None,
)

ROWS = (OBJECT,)
