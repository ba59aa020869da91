"""VPCs, subnets, gateways and addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.provision.clients import until
from lab.provision.rows import tags
from lab.provision.rows.row import Change, Row, props, update, where

if TYPE_CHECKING:
    from lab.provision.values import Properties


def _arn(change: Change, kind: str, owner: str) -> str:
    return f"arn:aws:ec2:{change.region}:{owner}:{kind}/{change.id}"


# VPC


def _read_vpc(change: Change) -> Properties | None:
    aws, id_ = change.aws, change.id
    found = aws.describe_vpcs(VpcIds=[id_])["Vpcs"][0]
    of = where(vpc_id=id_)
    groups = aws.describe_security_groups(Filters=of)["SecurityGroups"]
    tables = aws.describe_route_tables(Filters=of)["RouteTables"]
    lists = aws.describe_network_acls(Filters=of)["NetworkAcls"]
    main = _first(t["RouteTableId"] for t in tables if any(a["Main"] for a in t["Associations"]))
    return {
        "arn": _arn(change, "vpc", found["OwnerId"]),
        "ownerId": found["OwnerId"],
        "cidrBlock": found["CidrBlock"],
        "dhcpOptionsId": found.get("DhcpOptionsId"),
        "mainRouteTableId": main,
        "defaultRouteTableId": main,
        "defaultSecurityGroupId": _first(
            g["GroupId"] for g in groups if g["GroupName"] == "default"
        ),
        "defaultNetworkAclId": _first(a["NetworkAclId"] for a in lists if a["IsDefault"]),
        "enableDnsHostnames": change.new.get("enableDnsHostnames", False),
    }


def _first(found: Any) -> Any:
    return next(iter(found), None)


def _find_vpc(change: Change) -> str | None:
    vpcs = change.aws.describe_vpcs(Filters=where(cidr=change.new["cidrBlock"]))["Vpcs"]
    return change.one((v["VpcId"], tags.carries(v, change)) for v in vpcs)


VPC = Row(
    type="aws:ec2/vpc:Vpc",
    service="ec2",
    source="internal/service/ec2/vpc_.go",
    replace=props("cidrBlock instanceTenancy"),
    updates=(
        # One attribute a call: ModifyVpcAttribute takes no two.
        update(
            "enableDnsSupport",
            lambda c: c.aws.modify_vpc_attribute(
                VpcId=c.id, EnableDnsSupport={"Value": c.new.get("enableDnsSupport", True)}
            ),
            at_creation=True,
        ),
        update(
            "enableDnsHostnames",
            lambda c: c.aws.modify_vpc_attribute(
                VpcId=c.id, EnableDnsHostnames={"Value": c.new.get("enableDnsHostnames", False)}
            ),
            at_creation=True,
        ),
        tags.EC2_TAGS,
    ),
    create=lambda c: c.aws.create_vpc(
        **c.pick("cidrBlock", "instanceTenancy"), **tags.specified(c, "vpc")
    )["Vpc"]["VpcId"],
    read=_read_vpc,
    delete=lambda c: c.aws.delete_vpc(VpcId=c.id),
    find=_find_vpc,
)


# Subnet


def _read_subnet(change: Change) -> Properties | None:
    found = change.aws.describe_subnets(SubnetIds=[change.id])["Subnets"][0]
    return {
        "arn": _arn(change, "subnet", found["OwnerId"]),
        "ownerId": found["OwnerId"],
        "cidrBlock": found["CidrBlock"],
        "availabilityZone": found["AvailabilityZone"],
        "availabilityZoneId": found.get("AvailabilityZoneId"),
    }


def _find_subnet(change: Change) -> str | None:
    filters = where(vpc_id=change.new["vpcId"], cidr_block=change.new["cidrBlock"])
    found = change.aws.describe_subnets(Filters=filters)["Subnets"]
    return change.one((s["SubnetId"], True) for s in found)


SUBNET = Row(
    type="aws:ec2/subnet:Subnet",
    service="ec2",
    source="internal/service/ec2/vpc_subnet.go",
    replace=props("availabilityZone availabilityZoneId cidrBlock vpcId"),
    updates=(
        update(
            "mapPublicIpOnLaunch",
            lambda c: c.aws.modify_subnet_attribute(
                SubnetId=c.id,
                MapPublicIpOnLaunch={"Value": c.new.get("mapPublicIpOnLaunch", False)},
            ),
            at_creation=True,
        ),
        tags.EC2_TAGS,
    ),
    create=lambda c: c.aws.create_subnet(
        **c.pick("vpcId", "cidrBlock", "availabilityZone", "availabilityZoneId"),
        **tags.specified(c, "subnet"),
    )["Subnet"]["SubnetId"],
    read=_read_subnet,
    delete=lambda c: c.aws.delete_subnet(SubnetId=c.id),
    find=_find_subnet,
)


# Internet gateway


def _attach(change: Change) -> None:
    before, now = change.old.get("vpcId"), change.new.get("vpcId")
    attached = _gateway(change)["Attachments"]
    if before and before != now:
        change.aws.detach_internet_gateway(InternetGatewayId=change.id, VpcId=before)
    if now and now not in {a["VpcId"] for a in attached}:
        change.aws.attach_internet_gateway(InternetGatewayId=change.id, VpcId=now)


def _gateway(change: Change) -> Any:
    found = change.aws.describe_internet_gateways(InternetGatewayIds=[change.id])
    return found["InternetGateways"][0]


def _read_gateway(change: Change) -> Properties | None:
    owner = _gateway(change).get("OwnerId", "")
    return {"arn": _arn(change, "internet-gateway", owner), "ownerId": owner}


def _delete_gateway(change: Change) -> None:
    for attached in _gateway(change)["Attachments"]:
        change.aws.detach_internet_gateway(InternetGatewayId=change.id, VpcId=attached["VpcId"])
    change.aws.delete_internet_gateway(InternetGatewayId=change.id)


def _find_gateway(change: Change) -> str | None:
    """Return one that is attached to the same VPC, or to none yet and tagged alike."""
    found = change.aws.describe_internet_gateways()["InternetGateways"]
    wanted = change.new.get("vpcId")
    return change.one(
        (g["InternetGatewayId"], {a["VpcId"] for a in g["Attachments"]} == {wanted}) for g in found
    ) or change.one(
        (g["InternetGatewayId"], not g["Attachments"] and tags.carries(g, change)) for g in found
    )


INTERNET_GATEWAY = Row(
    type="aws:ec2/internetGateway:InternetGateway",
    service="ec2",
    source="internal/service/ec2/vpc_internet_gateway.go",
    updates=(update("vpcId", _attach, at_creation=True), tags.EC2_TAGS),
    create=lambda c: c.aws.create_internet_gateway(**tags.specified(c, "internet-gateway"))[
        "InternetGateway"
    ]["InternetGatewayId"],
    read=_read_gateway,
    delete=_delete_gateway,
    find=_find_gateway,
)


# Elastic address and NAT gateway


def _read_address(change: Change) -> Properties | None:
    found = change.aws.describe_addresses(AllocationIds=[change.id])["Addresses"][0]
    return {
        "allocationId": change.id,
        "publicIp": found["PublicIp"],
        "domain": found.get("Domain", "vpc"),
        "publicDns": f"ec2-{found['PublicIp'].replace('.', '-')}.compute.amazonaws.com",
    }


def _find_address(change: Change) -> str | None:
    found = change.aws.describe_addresses()["Addresses"]
    return change.one((a["AllocationId"], tags.carries(a, change)) for a in found)


EIP = Row(
    type="aws:ec2/eip:Eip",
    service="ec2",
    source="internal/service/ec2/ec2_eip.go",
    replace=props("domain networkBorderGroup publicIpv4Pool"),
    updates=(tags.EC2_TAGS,),
    create=lambda c: c.aws.allocate_address(
        Domain=c.new.get("domain", "vpc"), **tags.specified(c, "elastic-ip")
    )["AllocationId"],
    read=_read_address,
    delete=lambda c: c.aws.release_address(AllocationId=c.id),
    find=_find_address,
)


def _nat(change: Change) -> Any:
    return change.aws.describe_nat_gateways(NatGatewayIds=[change.id])["NatGateways"][0]


def _create_nat(change: Change) -> str:
    made = change.aws.create_nat_gateway(
        **change.pick("allocationId", "subnetId", "connectivityType"),
        **tags.specified(change, "natgateway"),
        ClientToken=change.token,
    )
    id_ = made["NatGateway"]["NatGatewayId"]
    until(lambda: _nat(change.of(id_))["State"] == "available", f"{id_} to be available")
    return id_


def _read_nat(change: Change) -> Properties | None:
    address = _nat(change)["NatGatewayAddresses"][0]
    return {
        "associationId": address.get("AssociationId"),
        "networkInterfaceId": address.get("NetworkInterfaceId"),
        "privateIp": address.get("PrivateIp"),
        "publicIp": address.get("PublicIp"),
    }


def _find_nat(change: Change) -> str | None:
    filters = where(subnet_id=change.new["subnetId"])
    found = change.aws.describe_nat_gateways(Filters=filters)["NatGateways"]
    return change.one((n["NatGatewayId"], n["State"] in {"pending", "available"}) for n in found)


NAT_GATEWAY = Row(
    type="aws:ec2/natGateway:NatGateway",
    service="ec2",
    source="internal/service/ec2/vpc_nat_gateway.go",
    replace=props("allocationId connectivityType subnetId"),
    updates=(tags.EC2_TAGS,),
    create=_create_nat,
    read=_read_nat,
    delete=lambda c: c.aws.delete_nat_gateway(NatGatewayId=c.id),
    find=_find_nat,
)

ROWS = (VPC, SUBNET, INTERNET_GATEWAY, EIP, NAT_GATEWAY)
