"""The protected site's hosts, balancer and network as a standby has them."""

from __future__ import annotations

from recovery.cloud import balancers, hosts, network
from recovery.engine.plan import Report, Seen
from recovery.steps.case import Case
from recovery.steps.waiting import watch

PATIENCE_SECONDS = 600.0


def is_armed(case: Case) -> Seen:
    """Say whether the standby's hosts are there, and its balancer forwards to them."""
    there, wanted = case.turned.here, case.peer_deployment
    if balancers.is_refusing(there, wanted.listener_arn):
        return Seen(holds=False, text=f"the balancer in {there.name} refuses, as it was fenced")
    if wanted.fence and network.is_denied(there, wanted.fence.acl, wanted.fence.rule):
        return Seen(holds=False, text=f"hosts in {there.name} are cut off from their database")
    group = hosts.describe(there, wanted.host_group)
    if group is None:
        return Seen(holds=False, text=f"there is no host group {wanted.host_group}")
    said = f"{len(group.in_service)} of {wanted.hosts_standby} hosts of the standby's scale"
    return Seen(
        holds=group.desired == wanted.hosts_standby
        and len(group.in_service) >= wanted.hosts_standby,
        text=f"{said}, its balancer forwards",
    )


def arm(case: Case, report: Report) -> None:
    """Undo the fencing of network and balancer, and scale the hosts to the standby's size.

    Its hosts start nothing: their guards obey the assignment. Hosts that do not come deviate.
    """
    there, wanted = case.turned.here, case.peer_deployment
    paths = {
        service.path: wanted.target_groups[service.name]
        for service in case.product.services
        if service.name in wanted.target_groups
    }
    if wanted.fence:
        network.allow(there, wanted.fence.acl, wanted.fence.rule)
    balancers.forward(there, wanted.listener_arn, paths)
    hosts.scale(there, wanted.host_group, wanted.hosts_standby)
    if not watch(lambda: is_armed(case), report, seconds=PATIENCE_SECONDS):
        report.deviate(f"{is_armed(case).text} after {PATIENCE_SECONDS:.0f} s")
