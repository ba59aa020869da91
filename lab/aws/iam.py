"""Who calls, and whether the operator's role allows it.

The operator's calls are checked against the actions that the provisioned recovery role allows,
once that role exists. Resources and conditions of its statements are not looked at: what counts
here is that the list of actions is complete.
"""

# moto and the documents of AWS are untyped.
# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from moto.iam.models import iam_backends
from moto.sts import models as sts_models

from lab.aws import errors
from lab.aws.context import ACCOUNT
from recovery import naming

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    from lab.aws.call import Call
    from lab.aws.errors import Refusal

_OPERATOR = "LABOPERATOR"
_IDENTITIES = {
    _OPERATOR: f"arn:aws:sts::{ACCOUNT}:assumed-role/{naming.RECOVERY_ROLE}/operator",
    "LABHOST": f"arn:aws:sts::{ACCOUNT}:assumed-role/standby-host/host",
    "LABPROVISION": f"arn:aws:iam::{ACCOUNT}:user/provision",
    "LABSELF": f"arn:aws:iam::{ACCOUNT}:user/lab",
}
_PREFIXES = {
    "elbv2": "elasticloadbalancing",
    "service-quotas": "servicequotas",
}
# Actions of S3 that are not named like the operation (Service Authorization Reference).
_S3 = {
    "HeadObject": "GetObject",
    "HeadBucket": "ListBucket",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListBuckets": "ListAllMyBuckets",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "DeleteObjects": "DeleteObject",
    "GetBucketReplication": "GetReplicationConfiguration",
    "PutBucketReplication": "PutReplicationConfiguration",
    "DeleteBucketReplication": "PutReplicationConfiguration",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
}


def identity(access_key: str) -> str | None:
    """Return the ARN behind an access key of the lab, or None for any other."""
    return next((arn for prefix, arn in _IDENTITIES.items() if access_key.startswith(prefix)), None)


def install() -> None:
    """Let STS answer with the identities of the lab."""
    backend: Any = sts_models.STSBackend
    plain = backend.get_caller_identity

    def get_caller_identity(self: Any, access_key_id: str, region: str) -> tuple[str, str, str]:
        if arn := identity(access_key_id):
            return f"AROA{access_key_id[-16:]}:{arn.rpartition('/')[2]}", arn, ACCOUNT
        return plain(self, access_key_id, region)

    backend.get_caller_identity = get_caller_identity


def check(call: Call, _environ: WSGIEnvironment, _body: bytes) -> Refusal | None:
    """Refuse an operator's call that the recovery role does not allow."""
    if not call.caller.startswith(_OPERATOR):
        return None
    statements = _statements()
    action = action_of(call)
    if statements is None or action == "sts:GetCallerIdentity" or _allows(statements, action):
        return None
    return errors.denied(call, _IDENTITIES[_OPERATOR], action)


def action_of(call: Call) -> str:
    """Return the IAM action that a call needs."""
    if call.service == "s3":
        return "s3:" + _S3.get(call.action, call.action)
    return f"{_PREFIXES.get(call.service, call.service)}:{call.action}"


def _statements() -> list[dict[str, Any]] | None:
    """Return the statements of the role's policies; None while there is no such role."""
    backend = iam_backends[ACCOUNT]["aws"]
    role: Any = next(
        (one for one in backend.roles.values() if one.name == naming.RECOVERY_ROLE), None
    )
    if role is None:
        return None
    managed = (
        version.document
        for policy in role.managed_policies.values()
        for version in policy.versions
        if version.is_default
    )
    documents: list[Any] = [*role.policies.values(), *managed]
    found: list[dict[str, Any]] = []
    for document in documents:
        parsed = json.loads(document) if isinstance(document, str) else document
        listed = parsed["Statement"]
        found += listed if isinstance(listed, list) else [listed]
    return found


def _allows(statements: list[dict[str, Any]], action: str) -> bool:
    effects = {one["Effect"] for one in statements if _names(one, action)}
    return effects == {"Allow"}


def _names(statement: dict[str, Any], action: str) -> bool:
    listed = statement.get("Action") or []
    patterns = [listed] if isinstance(listed, str) else listed
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)
