"""Arithmetic of addresses, which needs no Pulumi."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.network import LAYERS, subnets
from infra.rules import network


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
