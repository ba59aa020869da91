"""S3 replication: new objects and delete markers follow the bucket's rules after a lag.

What replicates and what not is from the Amazon S3 User Guide, What does Amazon S3 replicate:
objects made after the rule; delete markers where the rule says so; objects under KMS where the
rule selects them and names a key; neither replicas nor deletions of a version.
"""

# moto and the documents of AWS are untyped.
# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import copy
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.iam.models import iam_backends
from moto.s3 import models, responses

from lab.aws.context import ACCOUNT
from lab.aws.patch import replace, wrap
from lab.aws.s3_rules import Rule, check, rules_of
from lab.durations import DURATIONS

if TYPE_CHECKING:
    from moto.s3.models import FakeBucket, FakeDeleteMarker, FakeKey, S3Backend

    from lab.aws.context import Context


@dataclass(slots=True, kw_only=True)
class _Task:
    source: FakeBucket
    version: FakeKey | FakeDeleteMarker
    rule: Rule
    due: float


class Replicator:
    """Carries versions to where their buckets' rules send them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._tasks: deque[_Task] = deque()
        self._lock = threading.Lock()

    def enqueue(self, bucket: FakeBucket, version: Any) -> None:
        """Let a new version follow the bucket's rules; called under moto's lock."""
        if getattr(version, "lab_replication", None) == "REPLICA":
            return
        tags = _backend().tagger.get_tag_dict_for_resource(getattr(version, "arn", ""))
        for rule in rules_of(bucket):
            if not rule.takes(version, tags):
                continue
            lag = self._context.pace.compress(DURATIONS["s3:replicate"].seconds)
            if not _is_marker(version):
                version.lab_replication = "PENDING"
            task = _Task(source=bucket, version=version, rule=rule, due=time.monotonic() + lag)
            with self._lock:
                self._tasks.append(task)
            return

    def work(self) -> None:
        """Carry what is due and can be carried; what cannot waits."""
        with self._lock:
            tasks, self._tasks = list(self._tasks), deque()
        for task in tasks:
            if time.monotonic() < task.due or not self._carry(task):
                with self._lock:
                    self._tasks.append(task)

    def _carry(self, task: _Task) -> bool:
        """Return whether the version has arrived, or never will."""
        with self._context.lock:
            target = _backend().buckets.get(task.rule.bucket)
            home = task.source.region_name
            role = iam_backends[ACCOUNT]["aws"].roles
            known = any(one.arn == task.rule.role for one in role.values())
            if target is None or not target.is_versioned or not known:
                if not _is_marker(task.version):
                    task.version.lab_replication = "FAILED"  # type: ignore[union-attr]
                return True
            link = self._context.links.get((home, target.region_name))
            if not self._context.carries(home, target.region_name):
                return False
            if link and link.state == "slow" and time.monotonic() < task.due + link.delay_ms / 1e3:
                return False
            self._arrive(task, target)
            return True

    def _arrive(self, task: _Task, target: FakeBucket) -> None:
        version = task.version
        existing = target.keys.getlist(version.name, [])
        if all(one.version_id != version.version_id for one in existing):
            arrived = _marker(version) if _is_marker(version) else _replica(task, target)
            versions = sorted([*existing, arrived], key=lambda one: one.last_modified)
            target.keys.setlist(version.name, versions)
        if not _is_marker(version):
            version.lab_replication = "COMPLETED"  # type: ignore[union-attr]


def _backend() -> S3Backend:
    return models.s3_backends[ACCOUNT]["aws"]


def _is_marker(version: Any) -> bool:
    return isinstance(version, models.FakeDeleteMarker)


def _marker(version: Any) -> FakeDeleteMarker:
    """Return the replica of a delete marker: same version id and time."""
    return copy.copy(version)


def _replica(task: _Task, target: FakeBucket) -> FakeKey:
    """Return the replica of an object: same content, metadata, tags, time and version id."""
    source: Any = task.version
    rule = task.rule
    kms = rule.replica_key if source.encryption == "aws:kms" else None
    replica: Any = models.FakeKey(
        name=source.name,
        bucket_name=target.name,
        value=source.value,
        account_id=source.account_id,
        region_name=target.region_name,
        storage=rule.storage_class or source.storage_class,
        etag=source.etag,
        is_versioned=True,
        version_id=source.version_id,
        encryption=source.encryption,
        kms_key_id=kms or source.kms_key_id,
        bucket_key_enabled=source.bucket_key_enabled,
        lock_mode=source.lock_mode,
        lock_legal_status=source.lock_legal_status,
        lock_until=source.lock_until,
        checksum_value=source.checksum_value,
    )
    replica._metadata = copy.copy(source._metadata)
    replica.checksum_algorithm = source.checksum_algorithm
    replica.checksum_type = source.checksum_type
    replica.last_modified = source.last_modified
    replica.lab_replication = "REPLICA"
    backend = _backend()
    tags = backend.tagger.get_tag_dict_for_resource(source.arn)
    if tags:
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        backend.tagger.tag_resource(replica.arn, listed)
    return replica


def install(replicator: Replicator) -> None:
    """Hand every new version to the replicator, and show what became of it."""

    def put_object(original: Any, backend: S3Backend, name: str, *rest: Any, **named: Any) -> Any:
        key = original(backend, name, *rest, **named)
        replicator.enqueue(backend.get_bucket(name), key)
        return key

    def mark(original: Any, backend: S3Backend, name: str, key_name: str) -> Any:
        marker = original(backend, name, key_name)
        replicator.enqueue(backend.get_bucket(name), marker)
        return marker

    def put_rules(original: Any, backend: S3Backend, name: str, config: dict[str, Any]) -> None:
        check(backend.get_bucket(name), config, backend)
        original(backend, name, config)

    key_class: Any = models.FakeKey
    plain = key_class.response_dict.fget

    def response_dict(key: Any) -> dict[str, Any]:
        found = plain(key)
        if status := getattr(key, "lab_replication", None):
            found["x-amz-replication-status"] = status
        return found

    wrap(models.S3Backend, "put_object", put_object)
    wrap(models.S3Backend, "_set_delete_marker", mark)
    wrap(models.S3Backend, "put_bucket_replication", put_rules)
    key_class.response_dict = property(response_dict)
    replace(responses.S3Response, "get_bucket_replication", _get_bucket_replication)


def _get_bucket_replication(self: Any) -> Any:
    """Return the configuration as it was put; moto forgets filters, criteria and markers."""
    from moto.core.responses import ActionResult  # noqa: PLC0415 - only needed here
    from moto.s3.exceptions import ReplicationConfigurationNotFoundError  # noqa: PLC0415

    self.data["Action"] = "GetBucketReplication"
    found = self.backend.get_bucket_replication(self.bucket_name)
    if not found:
        raise ReplicationConfigurationNotFoundError(bucket_name=self.bucket_name)
    rules = [_typed(rule) for rule in found["Rule"]]
    config = {"Role": found["Role"], "Rules": rules}
    return self.serialized(ActionResult({"ReplicationConfiguration": config}))


def _typed(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a rule with the types that its serialisation needs."""
    typed = copy.deepcopy(rule)
    typed["Priority"] = int(typed.get("Priority") or 0)
    combined = (typed.get("Filter") or {}).get("And")
    if combined and "Tag" in combined:
        tags = combined.pop("Tag")
        combined["Tags"] = tags if isinstance(tags, list) else [tags]
    if "Filter" in typed and not typed["Filter"]:
        typed["Filter"] = {"Prefix": ""}
    for part in ("ReplicationTime", "Metrics"):
        threshold = typed["Destination"].get(part) or {}
        for value in threshold.values():
            if isinstance(value, dict) and "Minutes" in value:
                value["Minutes"] = int(value["Minutes"])
    return typed
