"""S3 replication rules: which bucket sends its objects where, and under which role."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recovery.cloud.call import uses

if TYPE_CHECKING:
    from recovery.cloud.client import Region

_NONE = "ReplicationConfigurationNotFoundError"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of a bucket, whole, so that it can be turned round."""

    destination: str
    """Name of the bucket that receives."""
    role: str
    """ARN of the role under which S3 replicates."""
    enabled: bool
    document: Any
    """The rule as S3 returns and takes it."""


@uses("s3:GetReplicationConfiguration")
def rules(region: Region, bucket: str) -> tuple[Rule, ...]:
    """Return the bucket's rules, none where it has no configuration."""
    s3 = region.client("s3")
    try:
        found = s3.get_bucket_replication(Bucket=bucket)["ReplicationConfiguration"]
    except s3.exceptions.ClientError as error:
        if error.response.get("Error", {}).get("Code") == _NONE:
            return ()
        raise
    return tuple(
        Rule(
            destination=rule["Destination"]["Bucket"].rpartition(":")[2],
            role=found["Role"],
            enabled=rule["Status"] == "Enabled",
            document=rule,
        )
        for rule in found["Rules"]
    )


def turned(rule: Rule, destination: str, key: str | None) -> Rule:
    """Return the rule with another bucket to send to, which encrypts with `key`."""
    document = copy.deepcopy(rule.document)
    document["Status"] = "Enabled"
    document["Destination"]["Bucket"] = f"arn:aws:s3:::{destination}"
    if key is not None:
        document["Destination"]["EncryptionConfiguration"] = {"ReplicaKmsKeyID": key}
    return Rule(destination=destination, role=rule.role, enabled=True, document=document)


@uses("s3:PutReplicationConfiguration", "iam:PassRole")
def put(region: Region, bucket: str, wanted: tuple[Rule, ...]) -> None:
    """Give the bucket these rules and no others; without any it replicates nothing any more.

    S3 refuses a bucket without versions, and a destination that does not exist (RejectedError).
    """
    s3 = region.client("s3")
    if not wanted:
        s3.delete_bucket_replication(Bucket=bucket)
        return
    s3.put_bucket_replication(
        Bucket=bucket,
        ReplicationConfiguration={
            "Role": wanted[0].role,
            "Rules": [rule.document for rule in wanted],
        },
    )


@uses("s3:GetEncryptionConfiguration")
def default_key(region: Region, bucket: str) -> str | None:
    """Return the ARN of the key that encrypts new objects, None where S3's own does."""
    answer = region.client("s3").get_bucket_encryption(Bucket=bucket)
    for rule in answer["ServerSideEncryptionConfiguration"]["Rules"]:
        default = rule.get("ApplyServerSideEncryptionByDefault", {})
        if key := default.get("KMSMasterKeyID"):
            return key
    return None
