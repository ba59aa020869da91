"""The traffic's switch, ready to be thrown the other way.

A failover record is unhealthy while the other site claims the traffic, in a metric of that site's
own region; where both do, the record of `naming.UNCLAIMED_SITE` answers. A claim outlives its
region, as Route 53 goes on with the last known value. So that site's claim, left standing when its
region dies, would hold the traffic there for good: it is dropped as soon as the other one's is.
"""

from __future__ import annotations

import time
from dataclasses import replace

from recovery import assign, naming
from recovery.assignment import Assignment
from recovery.cloud import metrics
from recovery.cloud.client import Region
from recovery.engine.errors import OutsideError, StepFailedError
from recovery.engine.plan import Report, Seen
from recovery.steps import old_site, traffic
from recovery.steps.case import Case
from recovery.steps.waiting import watch

PATIENCE_SECONDS = 600.0
"""Guards hear of an assignment within the TTL, and publish every minute; a period is another."""


def is_needed(site: str) -> bool:
    """Say whether a site that is active has to claim the traffic while both regions are up."""
    return site != naming.UNCLAIMED_SITE


def is_armed(case: Case, target: Assignment) -> Seen:
    """Say whether the standby's claim is down, and the active site claims only where it must."""
    standby = _claims(case.turned)
    if standby:
        return Seen(holds=False, text=f"{case.peer.name} still claims the traffic")
    wanted = is_needed(case.site.name)
    if behind := [name for name, each in _told(case, target).items() if each.claim != wanted]:
        word = "does not claim" if wanted else "claims"
        said = f"{case.site.name} {word} the traffic, by the table in {', '.join(behind)}"
        return Seen(holds=False, text=said)
    if _claims(case) != wanted:
        word = "does not claim the traffic yet" if wanted else "still claims the traffic"
        return Seen(holds=False, text=f"{case.site.name} {word}")
    said = f"only {case.site.name} claims" if wanted else "neither site claims"
    return Seen(holds=True, text=f"{said} the traffic, as it must be")


def arm(case: Case, target: Assignment, report: Report) -> None:
    """Drop the standby's claim, then the active site's unless it needs one; see traffic stay.

    Guards publish by the assignment, so that is written before the metric, and heard by all of
    them before what they publish counts. Traffic that leaves is called back by the claim, and ends
    the step.
    """

    def quiet() -> Seen:
        _publish(case.turned, case.turned.here, 0.0)
        claims = _claims(case.turned)
        return Seen(holds=not claims, text=f"{case.peer.name} {'claims' if claims else 'is quiet'}")

    if not watch(quiet, report, seconds=PATIENCE_SECONDS):
        raise StepFailedError(
            f"{case.peer.name} still claims the traffic after {PATIENCE_SECONDS:.0f} s: see which "
            f"guard publishes {naming.CLAIM_METRIC} in {case.peer.region}"
        )
    wanted = is_needed(case.site.name)
    old_site.write(case, replace(target, claim=wanted))
    heard_at = time.monotonic() + case.topology.guard.ttl_seconds

    def armed() -> Seen:
        if time.monotonic() < heard_at:
            return Seen(holds=False, text="guards have a TTL to hear of it")
        _publish(case, case.here, float(wanted))
        return is_armed(case, target)

    if not watch(armed, report, seconds=PATIENCE_SECONDS):
        raise StepFailedError(f"{is_armed(case, target).text} after {PATIENCE_SECONDS:.0f} s")
    seen = traffic.is_here(case)
    if not seen.holds:
        old_site.write(case, replace(target, claim=True))
        traffic.claim(case)
        raise StepFailedError(f"without a claim {seen.text}; it was claimed back, run again")


def _claims(case: Case) -> bool:
    """Say whether CloudWatch sees the case's site claim the traffic, as Route 53 does."""
    return metrics.is_alarming(case.here, naming.switch_alarm(case.product.name, case.site.name))


def _publish(case: Case, region: Region, value: float) -> None:
    dimensions = naming.switch_dimensions(case.product.name, case.site.name)
    metrics.publish(region, naming.SWITCH_NAMESPACE, [(naming.CLAIM_METRIC, dimensions, value)])


def _told(case: Case, target: Assignment) -> dict[str, Assignment]:
    """Return what the tables say of the target's epoch; raise an OutsideError where one is dark."""
    told: dict[str, Assignment] = {}
    for region, answer in assign.shown(case).items():
        if isinstance(answer, OutsideError):
            raise answer
        if answer is not None and (answer.site, answer.epoch) == (target.site, target.epoch):
            told[region] = answer
    return told
