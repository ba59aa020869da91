"""A person's go for a step, kept beside the journal so that any machine can give it."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, cast

from recovery import naming
from recovery.cloud import objects
from recovery.cloud.client import Region
from recovery.cloud.errors import ConflictError, NotFoundError
from recovery.engine.gates import Go, name_in


def read(region: Region, bucket: str, execution: str, product: str, step: str) -> Go | None:
    """Return the go that was given; None where there is none.

    Whoever may write to the bucket may have written anything: what is no name is none.
    """
    try:
        content = objects.read(region, bucket, naming.approval_key(execution, product, step))
    except NotFoundError:
        return None
    given = _parsed(content)
    return Go(step=step, by=_named(given, "by"), identity=_named(given, "identity") or "unknown")


def give(region: Region, bucket: str, execution: str, product: str, go: Go) -> Go:
    """Give the go unless somebody did; return the one that counts."""
    key = naming.approval_key(execution, product, go.step)
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    content = json.dumps(asdict(go) | {"at": at}, indent=2, sort_keys=True).encode()
    try:
        objects.write(region, bucket, key, content, only_new=True)
    except ConflictError:
        return read(region, bucket, execution, product, go.step) or go
    return go


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        found: Any = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _named(given: dict[str, Any], field: str) -> str:
    found = given.get(field)
    return (name_in(found) or "") if isinstance(found, str) else ""
