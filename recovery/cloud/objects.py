"""S3 objects, in a bucket of the region that is asked."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, BinaryIO

from recovery.cloud.call import uses

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from mypy_boto3_s3.type_defs import ObjectTypeDef

    from recovery.cloud.client import Region

PAGE = 1000
"""As many as S3 lists at once (its API reference)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """One object of a listing."""

    key: str
    size: int
    etag: str
    """Without the quotes that S3 puts around it."""
    version: str | None
    """None: a listing of current objects does not say."""
    last_modified: datetime


@uses("s3:GetObject", "kms:Decrypt")
def read(region: Region, bucket: str, key: str) -> bytes:
    """Return the object's bytes; NotFoundError when there is none."""
    return region.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()


@uses("s3:PutObject", "kms:GenerateDataKey", "kms:Decrypt")
def write(
    region: Region, bucket: str, key: str, body: bytes | BinaryIO, *, only_new: bool = False
) -> str | None:
    """Write the object and return its version, None in a bucket without versions.

    With `only_new`, an object that exists already is left alone: ConflictError.
    """
    s3 = region.client("s3")
    if only_new:
        return s3.put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*").get("VersionId")
    return s3.put_object(Bucket=bucket, Key=key, Body=body).get("VersionId")


@uses("s3:GetObject", "s3:ListBucket")
def exists(region: Region, bucket: str, key: str) -> bool:
    """Say whether the object is there.

    Without the permission to list, S3 answers 403 for what is not there (its API reference).
    """
    s3 = region.client("s3")
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except s3.exceptions.ClientError as error:
        if error.response.get("Error", {}).get("Code") in {"404", "NoSuchKey"}:
            return False
        raise
    return True


@uses("s3:GetObject", "s3:ListBucket")
def deleted(region: Region, bucket: str, key: str) -> bool:
    """Say whether somebody deleted the object in a bucket that keeps versions.

    S3 then answers 404 with the header x-amz-delete-marker; without it, there never was one.
    """
    s3 = region.client("s3")
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except s3.exceptions.ClientError as error:
        metadata: Any = error.response.get("ResponseMetadata", {})
        if metadata.get("HTTPStatusCode") == HTTPStatus.NOT_FOUND:
            return metadata.get("HTTPHeaders", {}).get("x-amz-delete-marker") == "true"
        raise
    return False


@uses("s3:GetObject", "s3:ListBucket")
def version(region: Region, bucket: str, key: str) -> str | None:
    """Return the id of the object's current version, None in a bucket without versions."""
    return region.client("s3").head_object(Bucket=bucket, Key=key).get("VersionId")


COPY_LIMIT = 5 * 1024**3
"""Bytes that S3 copies in one call (its API reference, CopyObject)."""


@uses(
    "s3:GetObject",
    "s3:GetObjectTagging",
    "s3:PutObject",
    "s3:PutObjectTagging",
    "kms:Decrypt",
    "kms:GenerateDataKey",
)
def copy(region: Region, source: str, bucket: str, key: str) -> None:
    """Copy the object into `bucket`, of `region`, from the bucket `source` of any region.

    Metadata and tags go with it; the time of last modification, the version and the storage class
    are new, and the key that encrypts it is the bucket's own.
    """
    region.client("s3").copy_object(
        Bucket=bucket,
        Key=key,
        CopySource={"Bucket": source, "Key": key},
        MetadataDirective="COPY",
        TaggingDirective="COPY",
    )


def listing(region: Region, bucket: str, prefix: str = "") -> Iterator[Object]:
    """Yield the current objects under `prefix`, in the order of their keys, page by page."""
    after, more = "", True
    while more:
        found, more = _page(region, bucket, prefix, after)
        yield from found
        after = found[-1].key if found else after


@uses("s3:ListBucket")
def _page(region: Region, bucket: str, prefix: str, after: str) -> tuple[list[Object], bool]:
    answer = region.client("s3").list_objects_v2(
        Bucket=bucket, Prefix=prefix, StartAfter=after, MaxKeys=PAGE
    )
    found = [_parse(each) for each in answer.get("Contents", ())]
    return found, bool(found) and answer.get("IsTruncated", False)


def _parse(found: ObjectTypeDef) -> Object:
    assert "LastModified" in found
    return Object(
        key=found.get("Key", ""),
        size=found.get("Size", 0),
        etag=found.get("ETag", "").strip('"'),
        version=None,
        last_modified=found["LastModified"],
    )
