"""Predicted loss: what the standby has not received when it takes over.

Start of the outage minus the last heartbeat that replicated. Never now minus the last replay:
that grows while the primary is dark.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from recovery import naming
from recovery.cloud import metrics
from recovery.cloud.databases import Database
from recovery.database import gate, heartbeat
from recovery.steps.case import Case
from recovery.steps.reach import Unseen, ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What a failover now would lose at most; `seconds` is None where nobody can know."""

    seconds: float | None
    outage_began: datetime | None
    last_heartbeat: datetime | None
    text: str


def predict(case: Case, database: Database, *, healthy_now: bool) -> Loss:
    """Predict the loss of promoting the target's replica now; an upper bound."""
    beat = _last_beat(case, database)
    began = _outage_began(case, healthy_now=healthy_now)
    if isinstance(beat, Unseen):
        return _unknown(began, f"the replica cannot be asked ({beat.why})")
    if beat is None:
        return _unknown(began, "no heartbeat has ever reached the replica")
    if began is None:
        return _unknown(None, "nobody saw the product healthy; give --outage-began", beat)
    if case.accepted.outage_began is None:
        # It was alive when it wrote the heartbeat, and may have been until the next was due.
        next_beat = beat + timedelta(seconds=case.topology.guard.heartbeat_seconds)
        began = max(began, min(datetime.now(UTC), next_beat))
    seconds = max(0.0, (began - beat).total_seconds())
    return Loss(
        seconds=seconds,
        outage_began=began,
        last_heartbeat=beat,
        text=f"predicted loss at most {seconds:.1f} s",
    )


def _last_beat(case: Case, database: Database) -> datetime | Unseen | None:
    """Return when the replica's last heartbeat was written.

    A switchover that broke off leaves the replica closed as its source was: then the last commit
    that was replayed stands for the heartbeat, as all commits before it are there too.
    """
    found = ask(case, database, heartbeat.read)
    if not isinstance(found, Unseen):
        return found and found.at
    name = case.deployment.database_name
    replayed = ask(
        case, database, lambda session: gate.last_commit_behind(session, name), maintenance=True
    )
    return found if replayed is None or isinstance(replayed, Unseen) else replayed


def _outage_began(case: Case, *, healthy_now: bool) -> datetime | None:
    """Return the latest moment at which the outage can have begun."""
    now = datetime.now(UTC)
    if case.accepted.outage_began is not None:
        return min(now, case.accepted.outage_began)
    if healthy_now:
        return now
    seen = metrics.latest(
        case.here,
        naming.SWITCH_NAMESPACE,
        naming.HEALTHY_METRIC,
        naming.switch_dimensions(case.product.name, case.peer.name),
    )
    if seen is None:
        return None
    # Seen healthy then, and not when the next report was due: it began in between.
    last = datetime.fromtimestamp(seen[1], UTC)
    return min(now, last + timedelta(seconds=case.topology.guard.switch_seconds))


def _unknown(began: datetime | None, why: str, last_heartbeat: datetime | None = None) -> Loss:
    return Loss(
        seconds=None,
        outage_began=began,
        last_heartbeat=last_heartbeat,
        text=f"predicted loss unknown: {why}",
    )
