"""The part of the SDK's service models that recovery uses, and nothing else of them.

The SDK reads a whole service (EC2: 700 operations with their documentation) to make one client.
Read this way it is ready in half the time and memory; and a client made from it cannot do
anything that is not in OPERATIONS.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
from botocore.loaders import JSONFileLoader, Loader

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

OPERATIONS: dict[str, frozenset[str]] = {
    "autoscaling": frozenset({"DescribeAutoScalingGroups", "UpdateAutoScalingGroup"}),
    "cloudwatch": frozenset({"DescribeAlarms", "GetMetricStatistics", "PutMetricData"}),
    "dynamodb": frozenset({"GetItem", "PutItem", "DescribeEndpoints"}),
    "ec2": frozenset(
        {
            "CreateNetworkAclEntry",
            "DeleteNetworkAclEntry",
            "DescribeImages",
            "DescribeInstanceTypes",
            "DescribeInstances",
            "DescribeNetworkAcls",
            "ReplaceNetworkAclEntry",
        }
    ),
    "elbv2": frozenset({"DescribeRules", "DescribeTargetHealth", "ModifyListener", "ModifyRule"}),
    "rds": frozenset(
        {
            "CreateDBInstanceReadReplica",
            "CreateDBSnapshot",
            "DescribeDBInstanceAutomatedBackups",
            "DescribeDBInstances",
            "DescribeDBSnapshots",
            "ModifyDBInstance",
            "PromoteReadReplica",
        }
    ),
    # HeadBucket and CreateSession are the SDK's own: a bucket's region, a directory bucket.
    "s3": frozenset(
        {
            "CopyObject",
            "CreateSession",
            "DeleteBucketReplication",
            "GetBucketEncryption",
            "GetBucketReplication",
            "GetObject",
            "HeadBucket",
            "HeadObject",
            "ListObjectsV2",
            "PutBucketReplication",
            "PutObject",
        }
    ),
    "secretsmanager": frozenset({"GetSecretValue"}),
    "service-quotas": frozenset({"GetServiceQuota"}),
    "sns": frozenset({"Publish"}),
    "ssm": frozenset({"GetParameter"}),
    # The first two are how the SDK itself turns a profile or a web identity into credentials.
    "sts": frozenset({"AssumeRole", "AssumeRoleWithWebIdentity", "GetCallerIdentity"}),
}

_ENDPOINT_PREFIXES = {*OPERATIONS, "elasticloadbalancing", "monitoring", "servicequotas"} | {
    "oidc",  # these two sign a person in
    "portal.sso",
}
"""Names of services in the SDK's list of endpoints."""


def loader() -> Loader:
    """Return what a botocore session loads its data with."""
    return Loader(file_loader=_Pruning())


class _Pruning(JSONFileLoader):
    """Loads any file of the SDK's data; of a service's model, only what is used."""

    def __init__(self) -> None:
        self._shapes: dict[Path, Collection[str]] = {}
        """Folder of a service → the shapes of its pruned model, which the SDK loads first."""

    def load_file(self, file_path: str) -> Any:
        for ending, read in ((".json", Path.read_bytes), (".json.gz", _unzipped)):
            path = Path(file_path + ending)
            if path.is_file():
                return self._decode(path, read(path))
        return None

    def _decode(self, path: Path, content: bytes) -> Any:
        used = OPERATIONS.get(path.parents[1].name)
        if used and path.name.startswith("service-2.json"):
            model = _model(content, used)
            self._shapes[path.parent] = model["shapes"]
            return model
        if used and path.name.startswith("service-2.sdk-extras"):
            return _amendment(content, self._shapes.get(path.parent, ()))
        if path.name == "endpoints.json":
            return _endpoints(content)
        return msgspec.json.decode(content)


def _unzipped(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


def _endpoints(content: bytes) -> dict[str, Any]:
    """Return the list of partitions and regions, with the services that are used."""
    endpoints: dict[str, Any] = msgspec.json.decode(content)
    for partition in endpoints["partitions"]:
        services = partition["services"]
        partition["services"] = {
            name: services[name] for name in _ENDPOINT_PREFIXES if name in services
        }
    return endpoints


def _model(content: bytes, used: Collection[str]) -> dict[str, Any]:
    parts = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    operations = msgspec.json.decode(parts.pop("operations"), type=dict[str, msgspec.Raw])
    shapes = msgspec.json.decode(parts.pop("shapes"), type=dict[str, msgspec.Raw])
    model: dict[str, Any] = {name: msgspec.json.decode(part) for name, part in parts.items()}
    model["operations"] = {
        name: _undocumented(msgspec.json.decode(part))
        for name, part in operations.items()
        if name in used
    }
    model["shapes"] = reached = dict[str, Any]()
    waiting = list(_references(model["operations"]))
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached[name] = _undocumented(msgspec.json.decode(shapes[name]))
            waiting.extend(_references(reached[name]))
    return model


def _amendment(content: bytes, known: Collection[str]) -> dict[str, Any]:
    """Return what amends a model, less the parts of shapes that the pruned model does not have."""
    extras: dict[str, Any] = msgspec.json.decode(content)
    amended: dict[str, Any] = extras.get("merge", {})
    shapes = amended.get("shapes", {})
    amended["shapes"] = {
        name: shape for name, shape in shapes.items() if "type" in shape or name in known
    }
    return extras


def _references(node: Any) -> Iterator[str]:
    """Yield the names of the shapes that a part of the model refers to."""
    if isinstance(node, dict):
        for key, value in cast("dict[str, Any]", node).items():
            if key == "shape" and isinstance(value, str):
                yield value
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for value in cast("list[Any]", node):
            yield from _references(value)


def _undocumented(node: Any) -> Any:
    """Return the part without its documentation, which is most of it."""
    if isinstance(node, dict):
        return {
            key: _undocumented(value)
            for key, value in cast("dict[str, Any]", node).items()
            if not (key == "documentation" and isinstance(value, str))
        }
    if isinstance(node, list):
        return [_undocumented(value) for value in cast("list[Any]", node)]
    return node
