"""Fencing: make the old active unable to accept writes, as far as it can be reached.

Everything is tried at once, each call once and for at most two seconds, and every result is
told. It shortens what the old site's guards would do by themselves; where nothing answers, theirs
is the proof (steps/proof.py). The network's entry is the one that also stops what runs there
without a guard.

Nothing here touches the old database's catalogue: to revoke a login or close the database there
would replicate to the standby like any other write, and lock out the site that takes over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from recovery import assignment, names
from recovery.assignment import Assignment
from recovery.cloud import balancers, databases, hosts, network
from recovery.engine.errors import OutsideError, PassingError, RefusedError
from recovery.engine.parallel import answers
from recovery.steps.case import PEER_SECONDS, Case


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One way of fencing; `failed` says why it could not be done, None that AWS confirmed it."""

    what: str
    failed: str | None
    overtaken: bool = False
    """Whether the peer's table holds this epoch for another site, or a newer one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fencing:
    """All attempts together."""

    attempts: tuple[Attempt, ...]

    @property
    def text(self) -> str:
        """Say in one line what was confirmed, and what was not."""
        done = ", ".join(each.what for each in self.attempts if each.failed is None)
        failed = ", ".join(each.what for each in self.attempts if each.failed is not None)
        if not done:
            return f"nothing answered ({failed})"
        return f"confirmed: {done}" + (f"; not: {failed}" if failed else "")

    def confirmed(self, what: str) -> bool:
        """Say whether AWS confirmed that attempt."""
        return any(each.what == what and each.failed is None for each in self.attempts)

    @property
    def overtaken(self) -> str | None:
        """Say why the peer's table cannot take the epoch; None: it took it, or is silent."""
        return next((each.failed for each in self.attempts if each.overtaken), None)

    @property
    def answered(self) -> bool:
        """Say whether anything of the old side answered."""
        return any(each.failed is None for each in self.attempts)


ASSIGNMENT = "assignment in its table"
NETWORK = "hosts cut off from its database"


def fence(case: Case, target: Assignment) -> Fencing:
    """Try every way at once; never raises, what failed is told."""
    old = case.peer_deployment
    ways: dict[str, Callable[[], None]] = {
        ASSIGNMENT: lambda: assignment.write(
            case.there, case.peer.control_table, case.product.name, replace(target, alone="")
        ),
        "balancer refuses": lambda: balancers.refuse(case.there, old.listener_arn),
        "hosts scaled to none": lambda: hosts.scale(case.there, old.host_group, 0),
        NETWORK: lambda: _cut_off(case, until=time.monotonic() + PEER_SECONDS),
    }
    tried = answers([lambda way=way: _try(way) for way in ways.values()], seconds=PEER_SECONDS)
    return Fencing(
        attempts=tuple(
            Attempt(
                what=what,
                failed=None if failed is None else str(failed),
                overtaken=isinstance(failed, RefusedError),
            )
            for what, failed in zip(ways, tried, strict=True)
        )
    )


def _cut_off(case: Case, *, until: float) -> None:
    """Close the old site's network between its hosts and its database, in three calls.

    RDS gives an address to a database's name only, and another one after a failover between its
    zones. Nothing is asked after `until`, when nobody waits for it any more.
    """
    old = case.peer_deployment
    if old.fence is None:
        raise OutsideError("the topology names no network ACL; run pulumi up of the three stacks")
    database = databases.describe(case.there, old.database)
    if database is None or database.host is None:
        raise OutsideError(f"{old.database} has no endpoint in {case.there.name}")
    _require_time(until)
    address, *_ = names.resolve(database.host, case.resolver)
    _require_time(until)
    network.deny(case.there, old.fence.acl, old.fence.rule, address=address, port=database.port)


def _require_time(until: float) -> None:
    if time.monotonic() >= until:
        raise PassingError("no answer in time")


def _try(way: Callable[[], None]) -> RefusedError | None:
    try:
        way()
    except RefusedError as error:
        return error
    return None
