"""Policy documents as IAM, KMS and S3 read them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Statement = dict[str, Any]


def document(*statements: Statement) -> str:
    """Return the policy of these statements; equal statements give equal text."""
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, sort_keys=True)


def allow(
    actions: Sequence[str],
    resources: Sequence[str],
    conditions: Mapping[str, Mapping[str, str | Sequence[str]]] | None = None,
) -> Statement:
    """Return a statement of an identity's policy."""
    statement: Statement = {
        "Effect": "Allow",
        "Action": sorted(actions),
        "Resource": sorted(resources),
    }
    return statement | ({"Condition": conditions} if conditions else {})


def trust(*services: str) -> str:
    """Return the policy of a role that these AWS services may take."""
    return document(
        {
            "Effect": "Allow",
            "Principal": {"Service": sorted(services)},
            "Action": "sts:AssumeRole",
        }
    )


def encrypted_only(bucket: str) -> str:
    """Return the policy of a bucket that answers over TLS only."""
    return document(
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    )


def key_policy(account: str) -> str:
    """Return the policy of a site's key.

    IAM of the account decides who may use it; alarms encrypt what they send to the topic.
    """
    return document(
        {
            "Sid": "IamOfTheAccountDecides",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
            "Action": "kms:*",
            "Resource": "*",
        },
        {
            "Sid": "AlarmsReachTheTopic",
            "Effect": "Allow",
            "Principal": {"Service": "cloudwatch.amazonaws.com"},
            "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:SourceAccount": account}},
        },
    )
