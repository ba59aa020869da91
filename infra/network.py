"""The addresses of a site: one VPC over two zones, in three layers, and a control host's subnet."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

if TYPE_CHECKING:
    from collections.abc import Sequence

LAYERS = ("public", "private", "database")
_SUBNET_BITS = 4
_CONTROL = 12
"""The sixteenth of the network that the control host has for itself."""
_THROUGH = 1000
"""Number of the rules that let everything through; recovery's entries are below it."""


def subnets(cidr: ipaddress.IPv4Network, zones: int) -> dict[str, tuple[str, ...]]:
    """Return layer → one subnet per zone; a sixteenth of the network each.

    Layers start at multiples of four sixteenths, so that a third and a fourth zone would fit.
    """
    parts = [str(part) for part in cidr.subnets(prefixlen_diff=_SUBNET_BITS)]
    return {layer: tuple(parts[4 * at : 4 * at + zones]) for at, layer in enumerate(LAYERS)}


def control_subnet(cidr: ipaddress.IPv4Network) -> str:
    """Return the subnet in which a site's control host is, and no product's."""
    return str(list(cidr.subnets(prefixlen_diff=_SUBNET_BITS))[_CONTROL])


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkArgs:
    """Where the network lies."""

    cidr: ipaddress.IPv4Network
    zones: Sequence[str]


class Network(pulumi.ComponentResource):
    """Balancers in public subnets, hosts in private ones, databases in ones with no way out.

    Hosts are behind a network ACL of their own. It lets everything through, until recovery denies
    them the database of a product that moved away; the control host is not behind it.

    Each zone has a NAT gateway of its own: losing a zone must not cut the other's hosts off
    from AWS.
    """

    vpc_id: pulumi.Output[str]
    subnet_ids: dict[str, list[pulumi.Output[str]]]
    """Layer → subnets, in the order of the zones."""
    control_subnet_id: pulumi.Output[str]
    hosts_acl_id: pulumi.Output[str]
    route_table_ids: list[pulumi.Output[str]]
    """The tables of private and database subnets: those that a route to the peer concerns."""

    def __init__(
        self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("standby:infra:Network", name, None, opts)
        self._name = name
        self._own = pulumi.ResourceOptions(parent=self)
        vpc = aws.ec2.Vpc(
            name,
            cidr_block=str(args.cidr),
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags={"Name": name},
            opts=self._own,
        )
        self.vpc_id = vpc.id
        self.subnet_ids = {
            layer: [
                self._subnet(f"{name}-{layer}-{zone[-1]}", cidr, zone)
                for cidr, zone in zip(cidrs, args.zones, strict=True)
            ]
            for layer, cidrs in subnets(args.cidr, len(args.zones)).items()
        }
        self.control_subnet_id = self._subnet(
            f"{name}-control", control_subnet(args.cidr), args.zones[0]
        )
        self.hosts_acl_id = self._acl("private", [zone[-1] for zone in args.zones])
        self.route_table_ids = self._routes([zone[-1] for zone in args.zones])
        self.register_outputs({"vpc_id": self.vpc_id})

    def _subnet(self, name: str, cidr: str, zone: str) -> pulumi.Output[str]:
        return aws.ec2.Subnet(
            name,
            vpc_id=self.vpc_id,
            cidr_block=cidr,
            availability_zone=zone,
            tags={"Name": name},
            opts=self._own,
        ).id

    def _routes(self, zones: Sequence[str]) -> list[pulumi.Output[str]]:
        gateway = aws.ec2.InternetGateway(
            self._name, vpc_id=self.vpc_id, tags={"Name": self._name}, opts=self._own
        )
        public = self._table("public", self.subnet_ids["public"], zones)
        aws.ec2.Route(
            f"{self._name}-public-internet",
            route_table_id=public,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway.id,
            opts=self._own,
        )
        private = [self._private_table(zone, at, gateway) for at, zone in enumerate(zones)]
        return [*private, self._table("database", self.subnet_ids["database"], zones)]

    def _private_table(
        self, zone: str, at: int, gateway: aws.ec2.InternetGateway
    ) -> pulumi.Output[str]:
        name = f"{self._name}-private-{zone}"
        address = aws.ec2.Eip(name, domain="vpc", tags={"Name": name}, opts=self._own)
        translator = aws.ec2.NatGateway(
            name,
            allocation_id=address.id,
            subnet_id=self.subnet_ids["public"][at],
            tags={"Name": name},
            # Without a way out of its subnet the gateway is made but fails (EC2 API reference).
            opts=pulumi.ResourceOptions(parent=self, depends_on=[gateway]),
        )
        table = self._table(f"private-{zone}", [self.subnet_ids["private"][at]], [zone])
        if at == 0:
            self._associate(f"{self._name}-control", table, self.control_subnet_id)
        aws.ec2.Route(
            f"{name}-internet",
            route_table_id=table,
            destination_cidr_block="0.0.0.0/0",
            nat_gateway_id=translator.id,
            opts=self._own,
        )
        return table

    def _table(
        self, layer: str, of_subnets: Sequence[pulumi.Output[str]], zones: Sequence[str]
    ) -> pulumi.Output[str]:
        name = f"{self._name}-{layer}"
        table = aws.ec2.RouteTable(name, vpc_id=self.vpc_id, tags={"Name": name}, opts=self._own)
        for subnet, zone in zip(of_subnets, zones, strict=True):
            self._associate(f"{name}-{zone}", table.id, subnet)
        return table.id

    def _associate(self, name: str, table: pulumi.Output[str], subnet: pulumi.Output[str]) -> None:
        aws.ec2.RouteTableAssociation(name, route_table_id=table, subnet_id=subnet, opts=self._own)

    def _acl(self, layer: str, zones: Sequence[str]) -> pulumi.Output[str]:
        """Return an ACL that lets through what the default one does.

        Its rules are resources of their own: entries beside them, as recovery adds, are no
        difference then (documentation of aws.ec2.NetworkAcl). A subnet comes behind it after
        they are there, as a new ACL denies everything (VPC User Guide, "Custom network ACLs").
        """
        name = f"{self._name}-{layer}"
        acl = aws.ec2.NetworkAcl(name, vpc_id=self.vpc_id, tags={"Name": name}, opts=self._own)
        rules = [
            aws.ec2.NetworkAclRule(
                f"{name}-{way}",
                network_acl_id=acl.id,
                rule_number=_THROUGH,
                egress=egress,
                protocol="-1",
                rule_action="allow",
                cidr_block="0.0.0.0/0",
                opts=self._own,
            )
            for way, egress in (("in", False), ("out", True))
        ]
        for subnet, zone in zip(self.subnet_ids[layer], zones, strict=True):
            aws.ec2.NetworkAclAssociation(
                f"{name}-{zone}",
                network_acl_id=acl.id,
                subnet_id=subnet,
                opts=pulumi.ResourceOptions(parent=self, depends_on=rules),
            )
        return acl.id
