"""How customers reach a product at one site: certificate, balancer, a target group per service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from recovery import naming

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recovery.topology import Service

EVERYTHING = "/*"
_RULE_STEP = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerArgs:
    """A product's public side at a site."""

    product: str
    site: str
    domain: str
    zone_id: pulumi.Input[str]
    https_port: int
    services: Sequence[Service]
    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    group_id: pulumi.Input[str]


class Balancer(pulumi.ComponentResource):
    """HTTPS under the product's name, each path to its service.

    `ready` certificates only: the listener waits for the validation.
    """

    arn: pulumi.Output[str]
    dns_name: pulumi.Output[str]
    zone_id: pulumi.Output[str]
    listener_arn: pulumi.Output[str]
    target_groups: dict[str, pulumi.Output[str]]
    """Service → target group."""

    def __init__(
        self, name: str, args: BalancerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("standby:infra:Balancer", name, None, opts)
        balancer = aws.lb.LoadBalancer(
            name,
            name=naming.load_balancer(args.product, args.site),
            load_balancer_type="application",
            internal=False,
            subnets=args.subnet_ids,
            security_groups=[args.group_id],
            drop_invalid_header_fields=True,
            # Customers who keep asking keep their connection to the site that they were at, and
            # get its 503 however their name resolves meanwhile. The shortest that AWS takes.
            client_keep_alive=60,
            # In both roles: the other site's failover record names this balancer's address.
            enable_deletion_protection=True,
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )
        self.arn, self.dns_name, self.zone_id = balancer.arn, balancer.dns_name, balancer.zone_id
        self.target_groups = {
            service.name: self._targets(args, service) for service in args.services
        }
        self.listener_arn = self._listener(name, args, balancer.arn)
        self._rules(name, args.services)
        self.register_outputs({"arn": self.arn, "dns_name": self.dns_name})

    def _targets(self, args: BalancerArgs, service: Service) -> pulumi.Output[str]:
        name = naming.target_group(args.product, args.site, service.name)
        return aws.lb.TargetGroup(
            name,
            name=name,
            port=service.port,
            protocol="HTTP",
            target_type="instance",
            vpc_id=args.vpc_id,
            deregistration_delay=30,
            health_check={
                "path": service.health_path,
                "port": "traffic-port",
                "protocol": "HTTP",
                "matcher": "200",
                "interval": 10,
                "timeout": 5,
                "healthy_threshold": 2,
                "unhealthy_threshold": 2,
            },
            opts=pulumi.ResourceOptions(parent=self),
        ).arn

    def _listener(
        self, name: str, args: BalancerArgs, balancer_arn: pulumi.Output[str]
    ) -> pulumi.Output[str]:
        whole = next((each for each in args.services if each.path == EVERYTHING), None)
        default: aws.lb.ListenerDefaultActionArgsDict = (
            {"type": "forward", "target_group_arn": self.target_groups[whole.name]}
            if whole
            else {
                "type": "fixed-response",
                "fixed_response": {"content_type": "text/plain", "status_code": "404"},
            }
        )
        return aws.lb.Listener(
            name,
            load_balancer_arn=balancer_arn,
            port=args.https_port,
            protocol="HTTPS",
            ssl_policy="ELBSecurityPolicy-TLS13-1-2-2021-06",
            certificate_arn=self._certificate(name, args),
            default_actions=[default],
            opts=pulumi.ResourceOptions(parent=self),
        ).arn

    def _rules(self, name: str, services: Sequence[Service]) -> None:
        for index, service in enumerate(services, start=1):
            if service.path == EVERYTHING:
                continue
            aws.lb.ListenerRule(
                f"{name}-{service.name}",
                listener_arn=self.listener_arn,
                priority=index * _RULE_STEP,
                # `/api/*` does not match `/api` itself (ELB User Guide, path conditions).
                conditions=[
                    {"path_pattern": {"values": [service.path, service.path.removesuffix("/*")]}}
                ],
                actions=[{"type": "forward", "target_group_arn": self.target_groups[service.name]}],
                opts=pulumi.ResourceOptions(parent=self),
            )

    def _certificate(self, name: str, args: BalancerArgs) -> pulumi.Output[str]:
        certificate = aws.acm.Certificate(
            name,
            domain_name=args.domain,
            validation_method="DNS",
            opts=pulumi.ResourceOptions(parent=self),
        )
        option = certificate.domain_validation_options[0]
        # Account and domain alone decide the record: both regions write the same one, and the
        # peer's certificate still needs it when this site's is gone.
        record = aws.route53.Record(
            f"{name}-validation",
            zone_id=args.zone_id,
            name=option.resource_record_name,
            type=option.resource_record_type,
            records=[option.resource_record_value],
            ttl=300,
            allow_overwrite=True,
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
        )
        return aws.acm.CertificateValidation(
            name,
            certificate_arn=certificate.arn,
            validation_record_fqdns=[record.fqdn],
            opts=pulumi.ResourceOptions(parent=self),
        ).certificate_arn
