"""Addresses of a site, and the network ACL that its hosts are behind."""

import copy
import ipaddress
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.network import LAYERS, control_subnet, subnets
from infra.rules import network
from recovery import topology
from tests.infra.program import Declaration, declare

THROUGH = ["allow", "-1", "0.0.0.0/0"]


@given(st.integers(16, 22), st.integers(0, 255), st.integers(2, 4))
def test_subnets_lie_in_the_network_and_never_overlap(prefix: int, at: int, zones: int) -> None:
    cidr = ipaddress.IPv4Network((f"10.{at}.0.0", prefix))
    found = [
        ipaddress.IPv4Network(each) for layer in subnets(cidr, zones).values() for each in layer
    ]
    assert len(found) == zones * len(LAYERS)
    assert all(each.subnet_of(cidr) for each in found)
    assert not any(a.overlaps(b) for a in found for b in found if a is not b)


def test_another_zone_moves_no_subnet_that_is_there() -> None:
    cidr = ipaddress.IPv4Network("10.10.0.0/16")
    two, three = subnets(cidr, 2), subnets(cidr, 3)
    assert {layer: three[layer][:2] for layer in LAYERS} == two


@pytest.mark.parametrize(
    "cidr", ["10.10.0.1/16", "10.0.0.0/8", "192.168.0.0/24", "1.2.0.0/16", "x"]
)
def test_a_network_that_cannot_be_a_sites_is_none(cidr: str) -> None:
    assert network(cidr) is None


@given(st.integers(16, 22), st.integers(2, 4))
def test_the_control_host_has_a_subnet_that_no_layer_has(prefix: int, zones: int) -> None:
    cidr = ipaddress.IPv4Network(("10.10.0.0", prefix))
    own = ipaddress.IPv4Network(control_subnet(cidr))
    assert own.subnet_of(cidr)
    others = [each for layer in subnets(cidr, zones).values() for each in layer]
    assert not any(own.overlaps(ipaddress.IPv4Network(each)) for each in others)


def test_hosts_and_nothing_else_are_behind_an_acl_that_lets_all_through(site: Declaration) -> None:
    (acl,) = site.of("ec2:NetworkAcl")
    # With rules in line, an entry that recovery adds would be taken away by the next update.
    assert not {"ingress", "egress", "subnetIds"} & set(acl.inputs)
    rules = {each.inputs["egress"]: each.inputs for each in site.of("ec2:NetworkAclRule")}
    assert set(rules) == {True, False}
    for rule in rules.values():
        assert rule["networkAclId"] == site.outputs["site"]["hosts_acl_id"]
        assert [rule[key] for key in ("ruleAction", "protocol", "cidrBlock")] == THROUGH
    behind = {each.inputs["subnetId"] for each in site.of("ec2:NetworkAclAssociation")}
    hosts = [each.inputs["vpcZoneIdentifiers"] for each in site.of("autoscaling:Group")]
    assert behind == set(itertools.chain(*hosts))
    databases = itertools.chain(*(each.inputs["subnetIds"] for each in site.of("rds:SubnetGroup")))
    assert not behind & {*databases, site.outputs["site"]["control_subnet_id"]}


def test_a_control_host_has_a_way_out_and_to_the_peer(site: Declaration) -> None:
    facts = site.outputs["site"]
    (way,) = [
        each.inputs["routeTableId"]
        for each in site.of("ec2:RouteTableAssociation")
        if each.inputs["subnetId"] == facts["control_subnet_id"]
    ]
    assert way in facts["route_table_ids"]
    assert way in {
        each.inputs["routeTableId"]
        for each in site.of("ec2:Route")
        if "natGatewayId" in each.inputs
    }


def test_each_product_has_an_entry_of_its_own_before_the_rules_that_let_through(
    primary: Declaration, dr: Declaration, link: Declaration
) -> None:
    (document, _) = [each.inputs["content"] for each in link.of("s3:BucketObjectv2")]
    published = topology.decode(document.encode())
    for site in (primary, dr):
        fences = [each.deployments[site.stack].fence for each in published.products]
        assert all(fences)
        assert {each.acl for each in fences if each} == {site.outputs["site"]["hosts_acl_id"]}
        numbers = [each.rule for each in fences if each]
        assert len(set(numbers)) == len(numbers)
        assert max(numbers) < min(e.inputs["ruleNumber"] for e in site.of("ec2:NetworkAclRule"))


def test_outputs_that_are_older_than_the_acl_publish_no_fence(
    primary: Declaration, dr: Declaration
) -> None:
    outputs = {each.stack: copy.deepcopy(each.outputs) for each in (primary, dr)}
    del outputs["dr"]["site"]["hosts_acl_id"]
    link = declare("link", outputs=outputs)
    document = link.of("s3:BucketObjectv2")[0].inputs["content"]
    for product in topology.decode(document.encode()).products:
        assert product.deployments["dr"].fence is None
        assert product.deployments["primary"].fence
