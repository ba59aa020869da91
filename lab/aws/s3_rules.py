"""Replication rules: what they take, and which configurations AWS refuses."""

# moto and the documents of AWS are untyped.
# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.kms.models import kms_backends
from moto.s3.models import FakeDeleteMarker

from lab.aws.context import ACCOUNT
from lab.aws.errors import RefusedError

if TYPE_CHECKING:
    from moto.s3.models import FakeBucket, S3Backend


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One enabled rule of a bucket's replication configuration."""

    role: str
    bucket: str
    """Name of the destination."""
    priority: int
    prefix: str
    tags: dict[str, str]
    markers: bool
    """Whether delete markers follow."""
    kms: bool
    """Whether objects under KMS follow."""
    replica_key: str | None
    storage_class: str | None

    def takes(self, version: Any, tags: dict[str, str]) -> bool:
        """Return whether a new version follows this rule."""
        if not version.name.startswith(self.prefix):
            return False
        if isinstance(version, FakeDeleteMarker):
            return self.markers and not self.tags
        if version.encryption == "aws:kms" and not self.kms:
            return False
        return self.tags.items() <= tags.items()


def rules_of(bucket: FakeBucket) -> list[Rule]:
    """Return a bucket's enabled rules, the one with the highest priority first."""
    config = getattr(bucket, "replication", None)
    if not config:
        return []
    rules = [
        _rule(config["Role"], rule) for rule in config["Rule"] if rule.get("Status") == "Enabled"
    ]
    return sorted(rules, key=lambda rule: -rule.priority)


def _rule(role: str, rule: dict[str, Any]) -> Rule:
    chosen = rule.get("Filter") or {}
    combined = chosen.get("And") or {}
    tags = combined.get("Tag") or chosen.get("Tag") or []
    destination = rule["Destination"]
    return Rule(
        role=role,
        bucket=_bucket_name(destination["Bucket"]),
        priority=int(rule.get("Priority") or 0),
        prefix=combined.get("Prefix") or chosen.get("Prefix") or rule.get("Prefix") or "",
        tags={tag["Key"]: tag["Value"] for tag in (tags if isinstance(tags, list) else [tags])},
        markers=_enabled(rule.get("DeleteMarkerReplication")),
        kms=_enabled((rule.get("SourceSelectionCriteria") or {}).get("SseKmsEncryptedObjects")),
        replica_key=(destination.get("EncryptionConfiguration") or {}).get("ReplicaKmsKeyID"),
        storage_class=destination.get("StorageClass"),
    )


def _enabled(part: dict[str, Any] | None) -> bool:
    return bool(part) and part.get("Status") == "Enabled"


def _bucket_name(arn: str) -> str:
    return arn.rpartition(":")[2]


def check(bucket: FakeBucket, config: dict[str, Any], backend: S3Backend) -> None:
    """Refuse a configuration that AWS refuses (PutBucketReplication, API Reference)."""
    if not bucket.is_versioned:
        _refuse("Versioning must be 'Enabled' on the bucket to apply a replication configuration")
    listed = config["Rule"] if isinstance(config["Rule"], list) else [config["Rule"]]
    priorities = [rule.get("Priority") for rule in listed if "Filter" in rule]
    if len(priorities) != len(set(priorities)):
        _refuse("Found duplicate priority in the replication rules")
    for rule in listed:
        if "Filter" in rule and "DeleteMarkerReplication" not in rule:
            _refuse(
                "DeleteMarkerReplication must be specified for this version of Cross Region "
                "Replication configuration schema."
            )
        _check_destination(_rule(config["Role"], rule), bucket, backend)


def _check_destination(rule: Rule, bucket: FakeBucket, backend: S3Backend) -> None:
    target = backend.buckets.get(rule.bucket)
    if target is None:
        _refuse("Destination bucket must exist.")
    elif target.name == bucket.name:
        _refuse("Destination bucket cannot be the same as the source bucket.")
    elif not target.is_versioned:
        _refuse("Destination bucket must have versioning enabled.")
    elif rule.kms:
        if not rule.replica_key:
            _refuse(
                "SseKmsEncryptedObjects must be specified together with a ReplicaKmsKeyID in "
                "the EncryptionConfiguration of the destination."
            )
        keys = kms_backends[ACCOUNT][target.region_name]
        name = str(rule.replica_key).rpartition("/")[2]
        if name not in keys.keys and not str(rule.replica_key).rpartition(":")[2].startswith(
            "alias/"
        ):
            _refuse(f"The key {rule.replica_key} does not exist in {target.region_name}.")


def _refuse(message: str) -> None:
    raise RefusedError("InvalidRequest", message)
