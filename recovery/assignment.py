"""The active assignment: which site may serve a product, in which epoch.

One item in each of three tables: both sites' and the witness's. Two of three that agree say who
is active; only recovery writes them, and an epoch never goes back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from recovery import naming
from recovery.cloud import tables
from recovery.cloud.client import Region
from recovery.cloud.errors import ConflictError
from recovery.engine.errors import RefusedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What one table says about a product."""

    site: str
    epoch: int
    claim: bool
    """Whether the site takes the product's traffic away from its peer."""
    settled: bool
    """Whether the execution that wrote it has finished."""
    execution: str
    alone: str = ""
    """The region whose table is enough by itself, or may be, as a person accepted; empty: none.

    It is enough only as that very table says it of its own site. Where another table says it, or
    a newer epoch of the peer, that table has to be made an ordinary one before anything is proven.
    """
    written_at: datetime | None = field(default=None, compare=False)
    """When the table took it, by the writer's clock; `write` notes the moment itself."""


def read(region: Region, table: str, product: str) -> Assignment | None:
    """Return the assignment in this table, strongly consistent; None if it has none."""
    item = tables.read(region, table, naming.assignment_item(product))
    return None if item is None else _parsed(item)


def write(region: Region, table: str, product: str, assignment: Assignment) -> None:
    """Write the assignment unless the table holds a newer one; writing it again changes nothing.

    Raise RefusedError where the table has a higher epoch, or gives this one to another site.
    """
    try:
        tables.put(
            region,
            table,
            _item(product, assignment),
            condition="attribute_not_exists(epoch) OR epoch < :epoch "
            "OR (epoch = :epoch AND site = :site)",
            values={"epoch": assignment.epoch, "site": assignment.site},
        )
    except ConflictError as error:
        raise RefusedError(
            f"{product} already has an epoch of {assignment.epoch} or more in {region.name}; "
            "another execution assigned it: see recovery.status"
        ) from error


def write_first(region: Region, table: str, product: str, assignment: Assignment) -> bool:
    """Write the assignment where the table has none; return whether it was written."""
    try:
        tables.put(
            region,
            table,
            _item(product, assignment),
            condition="attribute_not_exists(epoch)",
        )
    except ConflictError:
        return False
    return True


def newest(found: Iterable[Assignment | None]) -> Assignment | None:
    """Return the assignment with the highest epoch, the first of several."""
    return max(
        (assignment for assignment in found if assignment is not None),
        key=lambda assignment: assignment.epoch,
        default=None,
    )


def _item(product: str, assignment: Assignment) -> dict[str, Any]:
    return {
        naming.CONTROL_HASH_KEY: naming.assignment_item(product),
        "site": assignment.site,
        "epoch": assignment.epoch,
        "claim": assignment.claim,
        "settled": assignment.settled,
        "execution": assignment.execution,
        "alone": assignment.alone,
        "written_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }


def _parsed(item: dict[str, Any]) -> Assignment:
    return Assignment(
        site=str(item["site"]),
        epoch=int(item["epoch"]),
        claim=bool(item["claim"]),
        settled=bool(item["settled"]),
        execution=str(item["execution"]),
        alone=alone if isinstance(alone := item.get("alone"), str) else "",
        written_at=_moment(str(item.get("written_at"))),
    )


def _moment(text: str) -> datetime | None:
    with contextlib.suppress(ValueError):
        found = datetime.fromisoformat(text)
        return found if found.tzinfo else None
    return None
