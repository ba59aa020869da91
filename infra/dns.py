"""How traffic changes sites: failover records that no control plane has to edit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from recovery import naming

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.products import Product
    from infra.region import Region
    from infra.settings import SiteName

# Route 53 reads an alarm's metric only at standard resolution, and no extended statistics
# (Route 53 developer guide, health checks that monitor CloudWatch alarms).
_PERIOD_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The balancer of one site."""

    dns_name: pulumi.Input[str]
    zone_id: pulumi.Input[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchArgs:
    """A product, the zone of its name, and its balancers."""

    product: Product
    zone_id: pulumi.Input[str]
    regions: Mapping[SiteName, Region]
    entries: Mapping[SiteName, Entry]


class Switch(pulumi.ComponentResource):
    """A failover record per site; each is unhealthy while the peer claims the product's traffic.

    The claim is a metric in the peer's own region, so that either site can take the traffic from
    a dark one. The record of the place `primary` is Route 53's PRIMARY whoever is active: with
    no claim, and with two, it answers.
    """

    health_checks: dict[str, pulumi.Output[str]]
    """Site → health check of its record."""

    def __init__(
        self, name: str, args: SwitchArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("standby:infra:Switch", name, None, opts)
        self.health_checks = {}
        for site, entry in args.entries.items():
            peer: SiteName = "dr" if site == "primary" else "primary"
            check = self._health_check(f"{name}-{site}", args, peer)
            kind = "PRIMARY" if site == naming.UNCLAIMED_SITE else "SECONDARY"
            self.health_checks[site] = check
            aws.route53.Record(
                f"{name}-{site}",
                zone_id=args.zone_id,
                name=args.product.domain,
                type="A",
                set_identifier=f"{name}-{site}",
                failover_routing_policies=[{"type": kind}],
                health_check_id=check,
                aliases=[
                    {
                        "name": entry.dns_name,
                        "zone_id": entry.zone_id,
                        # The claim alone decides: a balancer without healthy hosts must not
                        # send customers to a database that does not write.
                        "evaluate_target_health": False,
                    }
                ],
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({"health_checks": self.health_checks})

    def _health_check(self, name: str, args: SwitchArgs, peer: SiteName) -> pulumi.Output[str]:
        region = args.regions[peer]
        alarm = aws.cloudwatch.MetricAlarm(
            f"{name}-{peer}-claim",
            name=naming.switch_alarm(args.product.name, peer),
            alarm_description=f"{peer} claims the traffic of {args.product.name}",
            namespace=naming.SWITCH_NAMESPACE,
            metric_name=naming.CLAIM_METRIC,
            dimensions=naming.switch_dimensions(args.product.name, peer),
            statistic="Maximum",
            comparison_operator="GreaterThanOrEqualToThreshold",
            threshold=1,
            period=_PERIOD_SECONDS,
            evaluation_periods=1,
            treat_missing_data="ignore",
            opts=pulumi.ResourceOptions(parent=self, provider=region.provider),
        )
        return aws.route53.HealthCheck(
            name,
            type="CLOUDWATCH_METRIC",
            reference_name=name,
            cloudwatch_alarm_name=alarm.name,
            cloudwatch_alarm_region=region.name,
            insufficient_data_health_status="LastKnownStatus",
            # A health check keeps a copy of the alarm's settings and follows no edit of it.
            triggers={
                "metric": f"{naming.SWITCH_NAMESPACE}/{naming.CLAIM_METRIC}",
                "period": str(_PERIOD_SECONDS),
                "threshold": "1",
            },
            tags={"Name": name},
            opts=pulumi.ResourceOptions(parent=self),
        ).id
