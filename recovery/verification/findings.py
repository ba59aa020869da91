"""What a verification comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["ok", "failed", "unverified"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    what: str
    outcome: Outcome
    """`unverified`: it could not be looked at, which is not to say that it is wrong."""
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Everything that was looked at for one product at one site."""

    product: str
    site: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether all of it was verified and is as it should be."""
        return all(finding.outcome == "ok" for finding in self.findings)


def ok(what: str, detail: str) -> Finding:
    """Return a finding that is as it should be."""
    return Finding(what=what, outcome="ok", detail=detail)


def failed(what: str, detail: str) -> Finding:
    """Return a finding that is not as it should be."""
    return Finding(what=what, outcome="failed", detail=detail)


def unverified(what: str, detail: str) -> Finding:
    """Return a finding about what could not be looked at."""
    return Finding(what=what, outcome="unverified", detail=detail)
