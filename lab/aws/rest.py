"""Name the action of a request to S3 or Route 53, which say it by method, path and query."""

from __future__ import annotations

import re

_BUCKET_PARTS = {
    "versioning": "BucketVersioning",
    "replication": "BucketReplication",
    "encryption": "BucketEncryption",
    "publicAccessBlock": "PublicAccessBlock",
    "policy": "BucketPolicy",
    "policyStatus": "BucketPolicyStatus",
    "location": "BucketLocation",
    "tagging": "BucketTagging",
    "lifecycle": "BucketLifecycleConfiguration",
    "acl": "BucketAcl",
    "cors": "BucketCors",
    "website": "BucketWebsite",
    "logging": "BucketLogging",
    "notification": "BucketNotificationConfiguration",
    "ownershipControls": "BucketOwnershipControls",
    "object-lock": "ObjectLockConfiguration",
    "metrics": "BucketMetricsConfiguration",
    "accelerate": "BucketAccelerateConfiguration",
    "requestPayment": "BucketRequestPayment",
}
_OBJECT_PARTS = {
    "tagging": "ObjectTagging",
    "acl": "ObjectAcl",
    "retention": "ObjectRetention",
    "legal-hold": "ObjectLegalHold",
    "attributes": "ObjectAttributes",
}
_VERBS = {"GET": "Get", "PUT": "Put", "DELETE": "Delete", "HEAD": "Head", "POST": "Post"}


def s3_action(method: str, path: str, query: dict[str, list[str]], *, copies: bool = False) -> str:
    """Return the name of an S3 operation, such as `PutObject`."""
    bucket, _, key = path.lstrip("/").partition("/")
    if not bucket:
        return "ListBuckets"
    verb = _VERBS.get(method, method.title())
    parts = _OBJECT_PARTS if key else _BUCKET_PARTS
    if part := next((name for name in query if name in parts), None):
        return verb + parts[part]
    return (
        _object_action(method, verb, query, copies=copies) if key else _bucket_action(method, query)
    )


def _bucket_action(method: str, query: dict[str, list[str]]) -> str:
    if method == "GET":
        if "versions" in query:
            return "ListObjectVersions"
        if "uploads" in query:
            return "ListMultipartUploads"
        return "ListObjectsV2" if "list-type" in query else "ListObjects"
    if method == "POST" and "delete" in query:
        return "DeleteObjects"
    names = {"PUT": "CreateBucket", "DELETE": "DeleteBucket", "HEAD": "HeadBucket"}
    return names.get(method, f"{method} bucket")


def _object_action(method: str, verb: str, query: dict[str, list[str]], *, copies: bool) -> str:
    if "uploads" in query:
        return "CreateMultipartUpload"
    if "uploadId" in query:
        multipart = {
            "POST": "CompleteMultipartUpload",
            "DELETE": "AbortMultipartUpload",
            "GET": "ListParts",
            "PUT": "UploadPartCopy" if copies else "UploadPart",
        }
        return multipart.get(method, f"{method} upload")
    if method == "PUT" and copies:
        return "CopyObject"
    return f"{verb}Object"


_ROUTE53: tuple[tuple[str, re.Pattern[str], str], ...] = tuple(
    (method, re.compile(rf"^/[^/]+/{path}/?$"), action)
    for method, path, action in (
        ("POST", "hostedzone/[^/]+/rrset", "ChangeResourceRecordSets"),
        ("GET", "hostedzone/[^/]+/rrset", "ListResourceRecordSets"),
        ("POST", "hostedzone", "CreateHostedZone"),
        ("GET", "hostedzone", "ListHostedZones"),
        ("GET", "hostedzone/[^/]+", "GetHostedZone"),
        ("DELETE", "hostedzone/[^/]+", "DeleteHostedZone"),
        ("GET", "hostedzonesbyname", "ListHostedZonesByName"),
        ("POST", "healthcheck", "CreateHealthCheck"),
        ("GET", "healthcheck", "ListHealthChecks"),
        ("GET", "healthcheck/[^/]+/status", "GetHealthCheckStatus"),
        ("GET", "healthcheck/[^/]+", "GetHealthCheck"),
        ("POST", "healthcheck/[^/]+", "UpdateHealthCheck"),
        ("DELETE", "healthcheck/[^/]+", "DeleteHealthCheck"),
        ("GET", "change/[^/]+", "GetChange"),
        ("GET", "tags/[^/]+/[^/]+", "ListTagsForResource"),
        ("POST", "tags/[^/]+/[^/]+", "ChangeTagsForResource"),
        ("POST", "tags/[^/]+", "ListTagsForResources"),
    )
)


def route53_action(method: str, path: str) -> str:
    """Return the name of a Route 53 operation; method and path where it is none that we know."""
    for candidate, pattern, action in _ROUTE53:
        if method == candidate and pattern.match(path):
            return action
    return f"{method} {path}"
