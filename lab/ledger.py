"""What customers remember of their writes, and what follows from it: outage, loss, duplicates."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_GAP_WORTH_KEEPING = 0.5
"""Seconds; customers of one product are acknowledged several times a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A write that a product acknowledged, at a Unix time."""

    id: str
    at: float
    site: str = ""
    """Which site said so; empty where none did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A time in which no customer of a product had a write acknowledged."""

    since: float
    until: float

    @property
    def seconds(self) -> float:
        """Return how long it lasted."""
        return self.until - self.since


@dataclass(frozen=True, slots=True, kw_only=True)
class Experience:
    """What the customers of one product lived through, by their own ledger."""

    product: str
    acknowledged: int
    failed: int
    """Requests that got no acknowledgement: refused, broken off, timed out."""
    misread: int
    """Acknowledged writes that could not be read back right away."""
    last_write: float | None
    """Unix time of the last acknowledged one."""
    last_by_site: dict[str, float]
    """Site → Unix time of the last one that it acknowledged."""
    gaps: tuple[Gap, ...]
    compared: bool
    """Whether the product could be asked in the end what it has; else the next two say nothing."""
    lost: tuple[Write, ...]
    duplicated: tuple[str, ...]

    def outage(self, since: float) -> Gap | None:
        """Return the longest gap that ended after the Unix time `since`, or None."""
        later = [gap for gap in self.gaps if gap.until > since]
        return max(later, key=lambda gap: gap.seconds, default=None)


def experience(  # the facts of one ledger, each from elsewhere
    product: str,
    writes: Iterable[Write],
    *,
    failed: int,
    misread: int,
    until: float,
    present: list[str] | None,
) -> Experience:
    """Return what a ledger amounts to.

    `present` is what the product has of these customers' ids in the end, each as often as it is
    there; None when it could not be asked. `until` is when the customers stopped.
    """
    ordered = sorted(writes, key=lambda write: write.at)
    times = [write.at for write in ordered]
    gaps = (Gap(since=a, until=b) for a, b in pairwise([*times, until]))
    counted = Counter(present or ())
    return Experience(
        product=product,
        acknowledged=len(ordered),
        failed=failed,
        misread=misread,
        last_write=times[-1] if times else None,
        last_by_site={write.site: write.at for write in ordered},
        gaps=tuple(gap for gap in gaps if gap.seconds >= _GAP_WORTH_KEEPING),
        compared=present is not None,
        lost=tuple(w for w in ordered if present is not None and w.id not in counted),
        duplicated=tuple(sorted(entry for entry, found in counted.items() if found > 1)),
    )


def save(path: Path, experiences: Iterable[Experience]) -> None:
    """Write the experiences so that a reader sees all of them or the ones before."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(tuple(experiences)))
    fresh.replace(path)


def load(path: Path) -> tuple[Experience, ...]:
    """Return what was saved; nothing when nothing was yet."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[Experience, ...])
    except FileNotFoundError:
        return ()
