"""Put the parts of the lab's AWS together."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.aws import (
    acls,
    autoscaling,
    cloudwatch,
    ec2,
    elbv2,
    health_checks,
    hosts,
    iam,
    keepers,
    outbox,
    postgres,
    quotas,
    rds,
    rds_backups,
    rds_groups,
    rds_snapshots,
    reservations,
    route53,
    s3,
    s3_replication,
    seed,
)
from lab.aws.activities import Activities
from lab.aws.alarms import Alarms
from lab.aws.control import Control
from lab.aws.faults import FaultPlane
from lab.aws.gateway import Gateway
from lab.aws.rds_figures import Figures
from lab.aws.rds_servers import Servers
from lab.aws.record import Record
from lab.aws.server import Server
from lab.aws.world import World
from lab.environment import environment

if TYPE_CHECKING:
    from lab.aws.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Where the lab's AWS is served, and what stands behind it."""

    address: str
    port: int
    links: str
    """The first three numbers of the addresses of replication links."""
    postgres: str
    """Module of the database servers: lab.data.postgres, or a stand-in."""
    hosts: str
    """Module that launches hosts: lab.hosts, or a stand-in."""


_TEND_SECONDS = 0.1
_FIGURES_SECONDS = 0.3
_EVALUATE_SECONDS = 0.1
_CHECK_SECONDS = 0.05
_REPLICATE_SECONDS = 0.05
_KEPT_VARIABLES = ("PATH", "LANG", "PYTHONPATH", "VIRTUAL_ENV", "STANDBY_PG_BIN", "TMPDIR")


def build(context: Context, options: Options) -> Server:
    """Return the server of a whole AWS, ready to serve; its loops run from now on."""
    health: dict[str, dict[str, str]] = {}
    faults, record, limits = FaultPlane(), Record(), quotas.Quotas()
    servers = Servers(context, postgres.load(options.postgres), options.links)
    activities = Activities()
    fleet = hosts.Hosts(
        context=context,
        launcher=hosts.load(options.hosts),
        environment=_host_environment(context, options),
        quotas=limits,
        health=health,
        activities=activities,
    )
    metrics = cloudwatch.Metrics()
    checks = health_checks.HealthChecks(context, metrics)
    world = World(context, servers, checks.states)

    rds.install(servers)
    rds_snapshots.install(context, servers)
    rds_backups.install()
    quotas.install(limits)
    reservations.install(reservations.Reservations(limits))
    autoscaling.install(fleet, activities)
    elbv2.install(context, health)
    cloudwatch.install(metrics)
    route53.install()
    health_checks.install(checks)
    ec2.install()
    acls.install()
    iam.install()
    keepers.install()
    rds_groups.install()
    s3.install()
    replicator = s3_replication.Replicator(context)
    s3_replication.install(replicator)
    outbox.install()
    seed.plant(context)

    def report_health(reported: dict[str, dict[str, str]]) -> None:
        health.update(reported)

    control = Control(
        context=context,
        faults=faults,
        record=record,
        world=world,
        report_health=report_health,
        outbox=outbox.messages,
        quotas=limits,
    )
    gateway = Gateway(
        context=context,
        faults=faults,
        record=record,
        control=control,
        checks=(iam.check, s3.check_region, s3.check_expiry, s3.check_digest),
        region_of_bucket=s3.region_of_bucket,
    )
    alarms = Alarms(context, metrics)
    figures = Figures(context, servers, metrics.publish)
    world.refresh()
    context.every(0.0, "world", world.keep)
    context.every(_TEND_SECONDS, "hosts", fleet.tend)
    context.every(_FIGURES_SECONDS, "figures", figures.read)
    context.every(_REPLICATE_SECONDS, "s3 replication", replicator.work)
    context.every(_EVALUATE_SECONDS, "alarms", alarms.evaluate)
    context.every(_CHECK_SECONDS, "health checks", checks.evaluate)
    return Server(options.address, options.port, gateway)


def _host_environment(context: Context, options: Options) -> dict[str, str]:
    """Return what a host gets of its surroundings: AWS, a resolver, a CA and its credentials."""
    return {
        **{name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
        **environment(context.run_dir, "HOST"),
        "AWS_ENDPOINT_URL": f"http://{options.address}:{options.port}",
    }
