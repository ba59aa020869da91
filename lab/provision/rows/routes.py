"""Route tables, routes, and peering between VPCs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.provision.rows import tags
from lab.provision.rows.row import Change, Row, props, update, where

if TYPE_CHECKING:
    from lab.provision.values import Properties


# Route tables


def _read_table(change: Change) -> Properties | None:
    found = change.aws.describe_route_tables(RouteTableIds=[change.id])["RouteTables"][0]
    owner = found.get("OwnerId", "")
    return {
        "arn": f"arn:aws:ec2:{change.region}:{owner}:route-table/{change.id}",
        "ownerId": owner,
        "propagatingVgws": [],
    }


def _find_table(change: Change) -> str | None:
    filters = where(vpc_id=change.new["vpcId"])
    found = change.aws.describe_route_tables(Filters=filters)["RouteTables"]
    return change.one(
        (
            t["RouteTableId"],
            tags.carries(t, change) and not any(a["Main"] for a in t["Associations"]),
        )
        for t in found
    )


ROUTE_TABLE = Row(
    type="aws:ec2/routeTable:RouteTable",
    service="ec2",
    source="internal/service/ec2/vpc_route_table.go",
    replace=props("vpcId"),
    updates=(tags.EC2_TAGS,),
    create=lambda c: c.aws.create_route_table(
        **c.pick("vpcId"), **tags.specified(c, "route-table")
    )["RouteTable"]["RouteTableId"],
    read=_read_table,
    delete=lambda c: c.aws.delete_route_table(RouteTableId=c.id),
    find=_find_table,
)

_TARGETS = ("gatewayId", "natGatewayId", "networkInterfaceId", "vpcPeeringConnectionId")


def _route(change: Change) -> Properties:
    return change.pick("routeTableId", "destinationCidrBlock", *_TARGETS)


def _route_id(change: Change) -> str:
    return f"r-{change.new['routeTableId']}-{change.new['destinationCidrBlock']}"


def _create_route(change: Change) -> str:
    change.aws.create_route(**_route(change))
    return _route_id(change)


def _find_route(change: Change) -> str | None:
    tables = change.aws.describe_route_tables(RouteTableIds=[change.new["routeTableId"]])
    routes = tables["RouteTables"][0]["Routes"]
    wanted = change.new["destinationCidrBlock"]
    there = any(route.get("DestinationCidrBlock") == wanted for route in routes)
    return _route_id(change) if there else None


ROUTE = Row(
    type="aws:ec2/route:Route",
    service="ec2",
    source="internal/service/ec2/vpc_route.go",
    replace=props("destinationCidrBlock routeTableId"),
    updates=(update(" ".join(_TARGETS), lambda c: c.aws.replace_route(**_route(c))),),
    create=_create_route,
    read=lambda _c: {"origin": "CreateRoute", "state": "active"},
    delete=lambda c: c.aws.delete_route(**c.pick("routeTableId", "destinationCidrBlock")),
    find=_find_route,
)


def _find_association(change: Change) -> str | None:
    tables = change.aws.describe_route_tables(RouteTableIds=[change.new["routeTableId"]])
    found = tables["RouteTables"][0]["Associations"]
    wanted = change.new["subnetId"]
    return change.one((a["RouteTableAssociationId"], a.get("SubnetId") == wanted) for a in found)


ROUTE_TABLE_ASSOCIATION = Row(
    type="aws:ec2/routeTableAssociation:RouteTableAssociation",
    service="ec2",
    source="internal/service/ec2/vpc_route_table_association.go",
    replace=props("subnetId"),
    updates=(
        update(
            "routeTableId",
            lambda c: c.aws.replace_route_table_association(
                AssociationId=c.id, **c.pick("routeTableId")
            )["NewAssociationId"],
            renews=True,
        ),
    ),
    create=lambda c: c.aws.associate_route_table(**c.pick("routeTableId", "subnetId"))[
        "AssociationId"
    ],
    delete=lambda c: c.aws.disassociate_route_table(AssociationId=c.id),
    find=_find_association,
)


# Peering


def _peering(change: Change) -> Any:
    found = change.aws.describe_vpc_peering_connections(VpcPeeringConnectionIds=[change.id])
    return found["VpcPeeringConnections"][0]


def _create_peering(change: Change) -> str:
    made = change.aws.create_vpc_peering_connection(
        **change.pick("vpcId", "peerVpcId", "peerRegion", "peerOwnerId"),
        **tags.specified(change, "vpc-peering-connection"),
    )
    return made["VpcPeeringConnection"]["VpcPeeringConnectionId"]


def _read_peering(change: Change) -> Properties | None:
    found = _peering(change)
    accepter = found["AccepterVpcInfo"]
    return {
        "acceptStatus": found["Status"]["Code"],
        "peerOwnerId": accepter.get("OwnerId"),
        "peerRegion": accepter.get("Region") or change.new.get("peerRegion"),
        "vpcId": found["RequesterVpcInfo"].get("VpcId"),
        "peerVpcId": accepter.get("VpcId") or change.new.get("peerVpcId"),
    }


_LIVE = ("initiating-request", "pending-acceptance", "provisioning", "active")


def _find_peering(change: Change) -> str | None:
    found = change.aws.describe_vpc_peering_connections()["VpcPeeringConnections"]
    wanted = (change.new["vpcId"], change.new["peerVpcId"])
    return change.one(
        (
            p["VpcPeeringConnectionId"],
            (p["RequesterVpcInfo"].get("VpcId"), p["AccepterVpcInfo"].get("VpcId")) == wanted
            and p["Status"]["Code"] in _LIVE,
        )
        for p in found
    )


PEERING = Row(
    type="aws:ec2/vpcPeeringConnection:VpcPeeringConnection",
    service="ec2",
    source="internal/service/ec2/vpc_peering_connection.go",
    replace=props("peerOwnerId peerRegion peerVpcId vpcId"),
    local=props("autoAccept"),
    updates=(tags.EC2_TAGS,),
    create=_create_peering,
    read=_read_peering,
    delete=lambda c: c.aws.delete_vpc_peering_connection(VpcPeeringConnectionId=c.id),
    find=_find_peering,
)


def _accept(change: Change) -> str:
    id_ = change.new["vpcPeeringConnectionId"]
    if _peering(change.of(id_))["Status"]["Code"] != "active":
        change.aws.accept_vpc_peering_connection(VpcPeeringConnectionId=id_)
    return id_


def _read_accepter(change: Change) -> Properties | None:
    found = _peering(change)
    requester, accepter = found["RequesterVpcInfo"], found["AccepterVpcInfo"]
    return {
        "acceptStatus": found["Status"]["Code"],
        "vpcId": accepter.get("VpcId"),
        "peerVpcId": requester.get("VpcId"),
        "peerOwnerId": requester.get("OwnerId"),
        "peerRegion": requester.get("Region"),
    }


PEERING_ACCEPTER = Row(
    type="aws:ec2/vpcPeeringConnectionAccepter:VpcPeeringConnectionAccepter",
    service="ec2",
    source="internal/service/ec2/vpc_peering_connection_accepter.go",
    replace=props("vpcPeeringConnectionId"),
    local=props("autoAccept"),
    updates=(tags.EC2_TAGS,),
    create=_accept,
    read=_read_accepter,
    # Accepting cannot be taken back; the requester's side deletes the connection.
    delete=lambda _c: None,
    find=_accept,
)

ROWS = (
    ROUTE_TABLE,
    ROUTE,
    ROUTE_TABLE_ASSOCIATION,
    PEERING,
    PEERING_ACCEPTER,
)
