"""Fencing: make the old active unable to accept writes, as far as it can be reached.

Everything is tried at once, each call once and for at most two seconds, and every result is
told. Only what AWS confirmed counts as fenced; where nothing answers, fencing is unproven.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from recovery import assignment
from recovery.assignment import Assignment
from recovery.cloud import balancers, hosts
from recovery.engine.errors import RefusedError
from recovery.engine.parallel import answers
from recovery.steps.case import PEER_SECONDS, Case


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One way of fencing; `failed` says why it could not be done, None that AWS confirmed it."""

    what: str
    failed: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fencing:
    """All attempts together."""

    attempts: tuple[Attempt, ...]

    @property
    def text(self) -> str:
        """Say in one line what was confirmed, and that the rest is unproven."""
        done = ", ".join(each.what for each in self.attempts if each.failed is None)
        failed = ", ".join(each.what for each in self.attempts if each.failed is not None)
        if not done:
            return f"UNPROVEN: nothing answered ({failed})"
        return f"confirmed: {done}" + (f"; UNPROVEN: {failed}" if failed else "")


def fence(case: Case, target: Assignment) -> Fencing:
    """Try every way at once; never raises, what failed is told."""
    old = case.peer_deployment
    ways: dict[str, Callable[[], None]] = {
        "assignment in its table": lambda: assignment.write(
            case.there, case.peer.control_table, case.product.name, target
        ),
        "balancer refuses": lambda: balancers.refuse(case.there, old.listener_arn),
        "hosts scaled to none": lambda: hosts.scale(case.there, old.host_group, 0),
    }
    tried = answers([lambda way=way: _try(way) for way in ways.values()], seconds=PEER_SECONDS)
    return Fencing(
        attempts=tuple(
            Attempt(what=what, failed=None if failed is None else str(failed))
            for what, failed in zip(ways, tried, strict=True)
        )
    )


def _try(way: Callable[[], None]) -> str | None:
    try:
        way()
    except RefusedError as error:
        return str(error)
    return None
