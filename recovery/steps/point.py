"""The recovery point of a failover: what the standby held when it was told to take over."""

from __future__ import annotations

import json
from collections.abc import Mapping

from recovery import naming
from recovery.cloud import objects
from recovery.cloud.errors import ConflictError
from recovery.steps.case import Case


def exists(case: Case, epoch: int) -> bool:
    """Say whether the point of this epoch is recorded."""
    return objects.exists(
        case.here, case.site.bucket, naming.recovery_point_key(case.product.name, epoch)
    )


def write(case: Case, epoch: int, facts: Mapping[str, object]) -> None:
    """Record the point; one that is there already stays as it is."""
    try:
        objects.write(
            case.here,
            case.site.bucket,
            naming.recovery_point_key(case.product.name, epoch),
            json.dumps(facts, indent=2, sort_keys=True, default=str).encode(),
            only_new=True,
        )
    except ConflictError:
        return


def read(case: Case, epoch: int) -> Mapping[str, object]:
    """Return the recorded facts; NotFoundError when there are none."""
    return json.loads(
        objects.read(
            case.here, case.site.bucket, naming.recovery_point_key(case.product.name, epoch)
        )
    )
