"""Outages on demand: a dead region, a cut or slow link between two."""

from __future__ import annotations

import time
from typing import Literal

from lab import control

Api = Literal["hang", "refuse"]
"""How the API of a dead region fails: like a black hole, or by refusing connections."""


def kill(region: str, api: Api) -> float:
    """Kill everything in `region` at once; return the Unix time at which that was ordered."""
    ordered = time.time()
    control.post("regions", {"region": region, "state": "dead", "api": api})
    return ordered


def heal(region: str) -> None:
    """Give the region back: its API, its databases as they were, new hosts."""
    control.post("regions", {"region": region, "state": "up"})


def cut(one: str, other: str) -> None:
    """Let nothing pass between two regions, in either direction."""
    _link(one, other, {"state": "cut"})


def slow(one: str, other: str, delay_ms: int) -> None:
    """Delay what passes between two regions by so many milliseconds."""
    _link(one, other, {"state": "slow", "delay_ms": delay_ms})


def join(one: str, other: str) -> None:
    """Let everything pass between two regions again, at full speed."""
    _link(one, other, {"state": "up"})


def _link(one: str, other: str, how: dict[str, object]) -> None:
    for source, target in ((one, other), (other, one)):
        control.post("links", {"from": source, "to": target, **how})
