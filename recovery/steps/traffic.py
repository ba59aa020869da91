"""Moving customers: through a metric that Route 53 already watches, never by editing records.

The target's claim makes the *peer's* failover record unhealthy. Route 53's data plane does the
rest, also while its control plane in us-east-1 is dark.
"""

from __future__ import annotations

from datetime import timedelta

from recovery import names, naming
from recovery.cloud import metrics
from recovery.engine import wait
from recovery.engine.errors import StepFailedError
from recovery.engine.plan import Seen
from recovery.steps.case import Case

BUDGET_SECONDS = 180.0
"""Standard resolution (60 s), Route 53's evaluation, and the record's TTL (60 s)."""
FORECAST = timedelta(seconds=BUDGET_SECONDS)
"""The whole of it: each of the three is as long as it says (Amazon Route 53 Developer Guide)."""


def is_here(case: Case) -> Seen:
    """Say whether the product's name leads to the target's balancer, as customers resolve it."""
    ours = set(names.resolve(case.deployment.load_balancer_dns, case.resolver))
    answer = set(names.resolve(case.product.domain, case.resolver))
    where = "here" if answer <= ours else "elsewhere"
    return Seen(
        holds=answer <= ours,
        text=f"{case.product.domain} leads {where} ({', '.join(sorted(answer))})",
    )


def claim(case: Case) -> None:
    """Claim the traffic, again and again until the name leads here."""

    def arrived() -> bool | None:
        metrics.publish(
            case.here,
            naming.SWITCH_NAMESPACE,
            [
                (
                    naming.CLAIM_METRIC,
                    naming.switch_dimensions(case.product.name, case.site.name),
                    1.0,
                )
            ],
        )
        return is_here(case).holds or None

    if wait.until(arrived, seconds=BUDGET_SECONDS) is None:
        raise StepFailedError(
            f"{is_here(case).text} {BUDGET_SECONDS:.0f} s after the claim; look at the health "
            f"check {case.peer_deployment.health_check}, or edit the record (RUNBOOK.md)"
        )
