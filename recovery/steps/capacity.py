"""The target's hosts at full scale."""

from __future__ import annotations

from datetime import timedelta

from recovery.cloud import balancers, hosts
from recovery.engine import wait
from recovery.engine.errors import StepFailedError
from recovery.engine.parallel import at_once
from recovery.engine.plan import Report, Seen
from recovery.steps.case import Case

PATIENCE_SECONDS = 600.0
FORECAST = timedelta(seconds=30)
"""Hosts boot while the database is promoted; what is left is two health checks in a row, ten
seconds apart (infra/service.py), and the services' own start. AWS promises no figure."""


def is_requested(case: Case) -> Seen:
    """Say whether the group is asked for full scale."""
    group = hosts.describe(case.here, case.deployment.host_group)
    desired, wanted = (group.desired if group else 0), case.deployment.hosts_active
    return Seen(holds=desired >= wanted, text=f"{desired} of {wanted} hosts are asked for")


def request(case: Case) -> None:
    """Ask for full scale; hosts start while the database is promoted."""
    hosts.scale(case.here, case.deployment.host_group, case.deployment.hosts_active)


def is_healthy(case: Case) -> Seen:
    """Say whether every service has as many healthy targets as full scale asks for."""
    wanted = case.deployment.hosts_active
    service, fewest = _fewest(case)
    if fewest >= wanted:
        return Seen(holds=True, text=f"{wanted} healthy hosts behind each service")
    return Seen(holds=False, text=f"{service} has {fewest} of {wanted} healthy hosts")


def await_healthy(case: Case, report: Report) -> None:
    """Wait for full scale; go on with less, saying so, where it does not come.

    A region that everybody flees to may not give what it is asked for (EC2 launches failed for
    eight hours in October 2025): a slow service is better than none.
    """
    if wait.until(lambda: is_healthy(case).holds or None, seconds=PATIENCE_SECONDS):
        return
    seen = is_healthy(case)
    if _fewest(case)[1] == 0:
        raise StepFailedError(f"{seen.text}; see the scaling activities of the group")
    report.deviate(f"{seen.text} after {PATIENCE_SECONDS:.0f} s; going on with what there is")


def _fewest(case: Case) -> tuple[str, int]:
    """Return the service with the fewest healthy targets, and their number."""
    groups = case.deployment.target_groups
    found = at_once([lambda arn=arn: balancers.targets(case.here, arn) for arn in groups.values()])
    counts = {
        service: sum(state == balancers.HEALTHY for state in states.values())
        for service, states in zip(groups, found, strict=True)
    }
    fewest = min(counts, key=lambda service: counts[service])
    return fewest, counts[fewest]
