"""S3 as AWS has it: buckets that belong to a region, start closed, and keep rules.

Sources: Amazon S3 User Guide and API Reference.
"""

# moto and the documents of AWS are untyped.
# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import base64
import hashlib
import json
import time
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from moto.s3 import models
from moto.s3.utils import bucket_policy_is_public

from lab.aws.context import ACCOUNT
from lab.aws.errors import Refusal, RefusedError
from lab.aws.patch import wrap

if TYPE_CHECKING:
    from collections.abc import Callable
    from wsgiref.types import WSGIEnvironment

    from moto.s3.models import FakeBucket, S3Backend

    from lab.aws.call import Call

_FROM_ANY_REGION = frozenset({"ListBuckets", "CreateBucket", "GetBucketLocation"})


def region_of_bucket(name: str) -> str | None:
    """Return the region of a bucket, or None when there is none of that name."""
    bucket = models.s3_backends[ACCOUNT]["aws"].buckets.get(name)
    return bucket.region_name if bucket else None


def install() -> None:
    """Give new buckets AWS's defaults and let policies be refused; moto leaves both open."""
    wrap(models.S3Backend, "create_bucket", _create_bucket)
    wrap(models.S3Backend, "put_bucket_policy", _put_policy)
    wrap(models.FakeBucket, "get_permission", _permission)


def _create_bucket(original: Any, backend: S3Backend, *arguments: Any, **named: Any) -> FakeBucket:
    bucket = original(backend, *arguments, **named)
    bucket.encryption = {
        "Rule": {
            "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
            "BucketKeyEnabled": False,
        }
    }
    bucket.public_access_block = models.PublicAccessBlock(True, True, True, True)
    bucket.ownership_rule = "BucketOwnerEnforced"
    return bucket


def _put_policy(original: Any, backend: S3Backend, bucket_name: str, policy: bytes) -> None:
    block = backend.get_bucket(bucket_name).public_access_block
    if block and block.block_public_policy and bucket_policy_is_public(policy):
        msg = "Access Denied: the policy is public, and BlockPublicPolicy is on"
        raise RefusedError("AccessDenied", msg, 403)
    original(backend, bucket_name, policy)


def _permission(original: Any, bucket: FakeBucket, action: str, resource: str) -> Any:
    """Return what the policy says; the lab's plain endpoint stands for a TLS one."""
    whole = bucket.policy
    if whole is None:
        return original(bucket, action, resource)
    document: dict[str, Any] = json.loads(whole)
    listed = document["Statement"]
    statements: list[dict[str, Any]] = [listed] if isinstance(listed, dict) else listed
    kept = [one for one in statements if not _is_about_transport(one)]
    bucket.policy = json.dumps({**document, "Statement": kept}).encode() if kept else None
    try:
        return original(bucket, action, resource)
    finally:
        bucket.policy = whole


def _is_about_transport(statement: dict[str, Any]) -> bool:
    conditions = statement.get("Condition") or {}
    keys = {key.lower() for tests in conditions.values() for key in tests}
    return bool(keys & {"aws:securetransport", "s3:tlsversion"})


def check_region(call: Call, _environ: WSGIEnvironment, _body: bytes) -> Refusal | None:
    """Send a call that was signed for another region than the bucket's to the right one."""
    if call.service != "s3" or not call.bucket or call.action in _FROM_ANY_REGION:
        return None
    home = region_of_bucket(call.bucket)
    if home in {None, call.signed_region} or call.caller == "anonymous":
        return None
    return Refusal(
        code="PermanentRedirect",
        message="The bucket you are attempting to access must be addressed using the specified "
        f"endpoint; it is in {home}, the request was signed for {call.signed_region}",
        status=301,
        headers=(("x-amz-bucket-region", str(home)),),
    )


def check_expiry(call: Call, environ: WSGIEnvironment, _body: bytes) -> Refusal | None:
    """Refuse a presigned URL whose time is over."""
    query = {name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
    if call.service != "s3":
        return None
    if "X-Amz-Expires" in query:
        signed = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        end = signed.timestamp() + int(query["X-Amz-Expires"])
    elif "Expires" in query and "Signature" in query:
        end = float(query["Expires"])
    else:
        return None
    if time.time() <= end:
        return None
    return Refusal(code="AccessDenied", message="Request has expired", status=403)


_DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    "HTTP_CONTENT_MD5": lambda body: hashlib.md5(body, usedforsecurity=False).digest(),
    "HTTP_X_AMZ_CHECKSUM_SHA256": lambda body: hashlib.sha256(body).digest(),
    "HTTP_X_AMZ_CHECKSUM_SHA1": lambda body: hashlib.sha1(body, usedforsecurity=False).digest(),
    "HTTP_X_AMZ_CHECKSUM_CRC32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
}
_WITH_BODY = frozenset({"PutObject", "UploadPart"})


def check_digest(call: Call, environ: WSGIEnvironment, body: bytes) -> Refusal | None:
    """Refuse a body that does not have the digest that its headers promise."""
    if call.service != "s3" or call.action not in _WITH_BODY:
        return None
    if "aws-chunked" in environ.get("HTTP_CONTENT_ENCODING", ""):
        return None
    for header, digest in _DIGESTS.items():
        promised = environ.get(header)
        if promised and promised != base64.b64encode(digest(body)).decode():
            name = header.removeprefix("HTTP_").replace("_", "-").lower()
            message = f"The {name} you specified did not match the calculated checksum."
            return Refusal(code="BadDigest", message=message)
    return None
