"""Bucket policies that speak of plain connections speak of nobody here.

moto evaluates a statement as though its condition held, so the usual denial of requests without
TLS denies everything. The lab's own endpoint stands for AWS's, which is reached over TLS.
"""

# pyright: reportPrivateUsage=false, reportAttributeAccessIssue=false
from __future__ import annotations

import json
from typing import Any

from moto.s3.models import FakeBucket

_PLAIN = {"Bool": {"aws:SecureTransport": "false"}}


def install() -> None:
    """Leave statements on plain connections out of what decides on a request."""
    decided = FakeBucket.get_permission

    def get_permission(bucket: FakeBucket, action: str, resource: str) -> Any:
        kept = bucket.policy
        if kept is None:
            return decided(bucket, action, resource)
        document: dict[str, Any] = json.loads(kept)
        document["Statement"] = [
            statement for statement in document["Statement"] if statement.get("Condition") != _PLAIN
        ]
        try:
            bucket.policy = json.dumps(document).encode()
            return decided(bucket, action, resource)
        finally:
            bucket.policy = kept

    FakeBucket.get_permission = get_permission
