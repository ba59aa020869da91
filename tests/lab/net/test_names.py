from __future__ import annotations

from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.resolver
import pytest

from lab.net import names
from lab.net.world import (
    Alias,
    Balancer,
    Database,
    HealthCheck,
    Link,
    Record,
    World,
    Zone,
)

PRIMARY_DNS = "primary-1.us-east-1.elb.amazonaws.com"
DR_DNS = "dr-1.us-west-2.elb.amazonaws.com"
ENDPOINT = "db-1.cafe.us-east-1.rds.amazonaws.com"


def record(name: str, kind: str = "A", **fields: Any) -> Record:
    return Record(name=name, type=kind, **fields)


def balancer(dns_name: str, region: str, address: str) -> Balancer:
    return Balancer(arn=dns_name, name="b", dns=dns_name, region=region, address=address)


def failover(role: Any, target: str) -> Record:
    return record(
        "data.rlg.example.",
        alias=Alias(name=f"{target}."),
        failover=role,
        set_id=role,
        health_check=role,
    )


def world(*, primary: bool = True, secondary: bool = True, **fields: Any) -> World:
    checks = {"PRIMARY": primary, "SECONDARY": secondary}
    records = (
        failover("SECONDARY", DR_DNS),
        failover("PRIMARY", PRIMARY_DNS),
        record("www.rlg.example.", "CNAME", ttl=300, values=("data.rlg.example.",)),
        record("_x.data.rlg.example.", "TXT", ttl=300, values=('"proof"',)),
        record("deep.er.rlg.example.", ttl=300, values=("192.0.2.1", "192.0.2.2")),
        record("out.rlg.example.", "CNAME", ttl=300, values=("nowhere.example.org.",)),
    )
    return World(
        **{
            "version": 1,
            "speed": 1,
            "zones": (Zone(name="rlg.example.", id="Z", records=records),),
            "balancers": (
                balancer(PRIMARY_DNS, "us-east-1", "127.100.0.1"),
                balancer(DR_DNS, "us-west-2", "127.100.1.1"),
            ),
            "databases": (
                Database(
                    id="db-1",
                    region="us-east-1",
                    arn="arn",
                    endpoint=ENDPOINT,
                    address="127.10.1.9",
                    socket="/x",
                ),
            ),
            "health_checks": {
                key: HealthCheck(type="CLOUDWATCH_METRIC", healthy=value)
                for key, value in checks.items()
            },
        }
        | fields
    )


def ask(name: str, of: World, kind: str = "A") -> dns.message.Message:
    return names.answer(dns.message.make_query(name, kind), of)


def values(response: dns.message.Message) -> list[str]:
    return [item.to_text() for rrset in response.answer for item in rrset]


@pytest.mark.parametrize(
    ("primary", "secondary", "address"),
    [
        (True, True, "127.100.0.1"),
        (True, False, "127.100.0.1"),
        (False, True, "127.100.1.1"),
        (False, False, "127.100.0.1"),
    ],
)
def test_failover_follows_the_health_checks_and_falls_back_to_the_primary(
    *, primary: bool, secondary: bool, address: str
) -> None:
    response = ask("data.rlg.example", world(primary=primary, secondary=secondary))
    assert values(response) == [address]
    assert response.flags & dns.flags.AA
    assert str(response.answer[0].name) == "data.rlg.example."


def test_a_dead_region_changes_no_answer() -> None:
    dead = world(regions={"us-east-1": "dead"}, links={"a>b": Link(state="cut")})
    assert values(ask("data.rlg.example", dead)) == ["127.100.0.1"]
    assert values(ask(ENDPOINT, dead)) == ["127.10.1.9"]


@pytest.mark.parametrize(("speed", "ttl"), [(1, 60), (7, 9), (100, 1), (0, 0)])
def test_an_alias_lives_sixty_seconds_at_the_lab_s_speed(speed: float, ttl: int) -> None:
    assert ask("data.rlg.example", world(speed=speed)).answer[0].ttl == ttl


def test_a_cname_is_followed_through_the_zone() -> None:
    response = ask("WWW.rlg.example", world())
    assert values(response) == ["data.rlg.example.", "127.100.0.1"]
    assert values(ask("www.rlg.example", world(), "CNAME")) == ["data.rlg.example."]


def test_a_name_without_that_type_is_no_data_and_an_unknown_one_nxdomain() -> None:
    for name, kind, code in (
        ("data.rlg.example", "AAAA", dns.rcode.NOERROR),
        ("er.rlg.example", "A", dns.rcode.NOERROR),
        ("rlg.example", "MX", dns.rcode.NOERROR),
        ("none.rlg.example", "A", dns.rcode.NXDOMAIN),
    ):
        response = ask(name, world(), kind)
        assert (name, response.rcode(), response.answer) == (name, code, [])
        assert response.authority[0].to_text().startswith("rlg.example. 900 IN SOA")


def test_names_outside_the_zones_are_balancers_endpoints_or_unknown() -> None:
    assert values(ask(f"dualstack.{DR_DNS}", world())) == ["127.100.1.1"]
    assert values(ask(ENDPOINT, world())) == ["127.10.1.9"]
    assert ask(ENDPOINT, world(), "AAAA").rcode() == dns.rcode.NOERROR
    assert ask("example.org", world()).rcode() == dns.rcode.NXDOMAIN
    assert ask("out.rlg.example", world()).rcode() == dns.rcode.NXDOMAIN


def test_a_loop_of_aliases_and_of_cnames_ends() -> None:
    loop = (
        record("a.x.", "CNAME", ttl=1, values=("b.x.",)),
        record("b.x.", "CNAME", ttl=1, values=("a.x.",)),
        record("c.x.", alias=Alias(name="d.x.")),
        record("d.x.", alias=Alias(name="c.x.")),
    )
    looping = world(zones=(Zone(name="x.", id="Z", records=loop),))
    assert ask("a.x", looping).rcode() == dns.rcode.SERVFAIL
    assert ask("c.x", looping).rcode() == dns.rcode.SERVFAIL


def test_the_running_resolver_answers_by_udp_and_tcp(
    resolver: tuple[str, int], world: Any, eventually: Any
) -> None:
    many = [
        {"name": "many.z.", "type": "A", "ttl": 5, "values": [f"192.0.2.{n}" for n in range(99)]}
    ]
    address, port = resolver
    asker = dns.resolver.Resolver(configure=False)
    asker.nameservers, asker.port = [address], port
    eventually(lambda: _resolves(asker, "many.z", world.set(zones=[])) is False)
    world.set(zones=[{"name": "z.", "id": "Z", "records": many}])
    eventually(lambda: _resolves(asker, "many.z", 0))
    for tcp in (False, True):
        assert len(asker.resolve("many.z", "A", tcp=tcp)) == 99


def test_the_resolver_ignores_what_is_no_query(resolver: tuple[str, int], eventually: Any) -> None:
    address, port = resolver
    query = dns.message.make_query("x.", "A")
    asked = eventually(lambda: _udp(query, address, port))
    reply = dns.message.make_response(query)
    with pytest.raises(dns.exception.Timeout):
        dns.query.udp(reply, address, port=port, timeout=0.3)
    assert asked.rcode() in {dns.rcode.NXDOMAIN, dns.rcode.SERVFAIL}


def _udp(query: dns.message.Message, address: str, port: int) -> dns.message.Message | None:
    try:
        return dns.query.udp(query, address, port=port, timeout=1)
    except (dns.exception.Timeout, OSError):
        return None


def _resolves(asker: dns.resolver.Resolver, name: str, _: int) -> bool | None:
    try:
        asker.resolve(name, "A", lifetime=1)
    except dns.resolver.NXDOMAIN:
        return False
    except (dns.exception.DNSException, OSError):
        return None
    return True
