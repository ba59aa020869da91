"""Who may talk to whom: the security groups of a product at a site, all on one page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

if TYPE_CHECKING:
    from collections.abc import Sequence

ANYWHERE = "0.0.0.0/0"
HTTPS = 443


@dataclass(frozen=True, slots=True, kw_only=True)
class FirewallArgs:
    """What a product's groups lie in and let through."""

    vpc_id: pulumi.Input[str]
    https_port: int
    service_ports: Sequence[int]
    database_port: int
    control_group_id: pulumi.Input[str]
    peer_control_cidr: str
    """Where the other site's control host stands: groups cannot be named across regions."""


class Firewall(pulumi.ComponentResource):
    """Customers reach the balancer, it the hosts, they and both control hosts the database.

    Hosts also reach AWS, over HTTPS. Nothing leaves the database.
    """

    balancer_id: pulumi.Output[str]
    hosts_id: pulumi.Output[str]
    database_id: pulumi.Output[str]

    def __init__(
        self, name: str, args: FirewallArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("standby:infra:Firewall", name, None, opts)
        own = pulumi.ResourceOptions(parent=self)
        rules = _Rules(name, own)
        self.balancer_id = group(f"{name}-balancer", "Balancer", args.vpc_id, own)
        self.hosts_id = group(f"{name}-hosts", "Hosts", args.vpc_id, own)
        self.database_id = group(f"{name}-database", "Database", args.vpc_id, own)
        rules.enter("customers", self.balancer_id, args.https_port, cidr=ANYWHERE)
        for port in args.service_ports:
            rules.leave(f"balancer-{port}", self.balancer_id, port, to=self.hosts_id)
            rules.enter(f"hosts-{port}", self.hosts_id, port, source=self.balancer_id)
        rules.leave("hosts-aws", self.hosts_id, HTTPS, cidr=ANYWHERE)
        rules.leave("hosts-database", self.hosts_id, args.database_port, to=self.database_id)
        rules.enter("database-hosts", self.database_id, args.database_port, source=self.hosts_id)
        rules.enter(
            "database-control", self.database_id, args.database_port, source=args.control_group_id
        )
        rules.enter(
            "database-peer-control",
            self.database_id,
            args.database_port,
            cidr=args.peer_control_cidr,
        )
        rules.leave(
            "control-database", args.control_group_id, args.database_port, to=self.database_id
        )
        self.register_outputs({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlFirewallArgs:
    """What a control host reaches besides AWS."""

    vpc_id: pulumi.Input[str]
    https_port: int
    peer_cidr: str
    database_ports: Sequence[int]


class ControlFirewall(pulumi.ComponentResource):
    """The control host reaches AWS, the products' public names and the peer's databases.

    Nobody reaches it but SSM.
    """

    group_id: pulumi.Output[str]

    def __init__(
        self, name: str, args: ControlFirewallArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("standby:infra:ControlFirewall", name, None, opts)
        own = pulumi.ResourceOptions(parent=self)
        self.group_id = group(name, "Control host", args.vpc_id, own)
        rules = _Rules(name, own)
        for port in sorted({HTTPS, args.https_port}):
            rules.leave(f"https-{port}", self.group_id, port, cidr=ANYWHERE)
        for port in sorted(set(args.database_ports)):
            rules.leave(f"peer-databases-{port}", self.group_id, port, cidr=args.peer_cidr)
        self.register_outputs({"group_id": self.group_id})


def group(
    name: str, of: str, vpc_id: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> pulumi.Output[str]:
    """Return a security group that lets nothing through yet."""
    return aws.ec2.SecurityGroup(
        name, description=f"{of} of {name}", vpc_id=vpc_id, tags={"Name": name}, opts=opts
    ).id


@dataclass(frozen=True, slots=True)
class _Rules:
    name: str
    opts: pulumi.ResourceOptions

    def enter(
        self,
        rule: str,
        group_id: pulumi.Input[str],
        port: int,
        *,
        source: pulumi.Input[str] | None = None,
        cidr: str | None = None,
    ) -> None:
        aws.vpc.SecurityGroupIngressRule(
            f"{self.name}-{rule}-in",
            security_group_id=group_id,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            referenced_security_group_id=source,
            cidr_ipv4=cidr,
            opts=self.opts,
        )

    def leave(
        self,
        rule: str,
        group_id: pulumi.Input[str],
        port: int,
        *,
        to: pulumi.Input[str] | None = None,
        cidr: str | None = None,
    ) -> None:
        aws.vpc.SecurityGroupEgressRule(
            f"{self.name}-{rule}-out",
            security_group_id=group_id,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            referenced_security_group_id=to,
            cidr_ipv4=cidr,
            opts=self.opts,
        )
