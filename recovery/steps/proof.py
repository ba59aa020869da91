"""One writer: the proof that nothing of the product serves at the old site any more.

The guards of the old site obey the control tables (recovery/README.md, "One writer"). Once two of
the three name this site, the last moment at which an old guard may still serve is a TTL away, by
its own clock; the drift bound covers the difference to ours.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from recovery import names, web
from recovery.engine.errors import OutsideError
from recovery.steps.case import Case

_WRITES = {"POST", "PUT", "PATCH", "DELETE"}
_REFUSING = 500
"""A service that works answers less, be it that the probe has not signed in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Whether one writer is proven, and by what, or what is missing, in one line."""

    proven: bool
    text: str


def outwait(case: Case, tables: int, assigned_at: float) -> Proof:
    """Return once no guard of the old site can serve any more.

    That many of the three tables, two at least, named this site at `assigned_at` (time.monotonic).
    """
    goes_by = case.topology.guard
    over = assigned_at + goes_by.ttl_seconds + goes_by.drift_seconds
    time.sleep(max(0.0, over - time.monotonic()))
    waited = f"TTL {goes_by.ttl_seconds:g} s and drift {goes_by.drift_seconds:g} s"
    return Proof(proven=True, text=f"{tables} of 3 tables name this site; outwaited {waited}")


def still_takes_writes(case: Case) -> str | None:
    """Send an unsigned write to the old balancer; return what took it, None where nothing did.

    A service that runs answers, if only that nobody has signed in. A refusing balancer and idle
    guards answer 503; no answer at all proves nothing, and needs nothing to be done.
    """
    written = next((each for each in case.product.journey if each.method in _WRITES), None)
    if written is None:
        return None
    try:
        answer = web.request(
            written.method,
            case.product.domain,
            case.topology.https_port,
            written.path.partition("$")[0],
            body={},
            addresses=names.resolve(case.peer_deployment.load_balancer_dns, case.resolver),
            seconds=2.0,
        )
    except OutsideError:
        return None
    if answer.status >= _REFUSING:
        return None
    return f"{written.method} {written.path} at the old balancer answers {answer.status}"
