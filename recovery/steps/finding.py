"""What one check says about a failover."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "accepted", "unknown", "wait", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check's answer. Only `refused` and `wait` hold a failover up."""

    check: str
    verdict: Verdict
    text: str


def refused(check: str, text: str) -> Finding:
    """Return the finding that holds a failover up."""
    return Finding(check=check, verdict="refused", text=text)
