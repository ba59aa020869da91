"""Answers to questions about names, as Route 53's name servers and AWS's resolver give them.

Zones come from the world, and so do the names of balancers and RDS endpoints. A region's death
changes no answer: answering is Route 53's data plane. Failover records follow their health
checks: the primary while healthy, else the secondary while healthy, else the primary.
"""

from __future__ import annotations

import math

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset
from dns.rdatatype import RdataType

from lab.net.world import Record, World, Zone

_ALIAS_TTL = 60  # of a balancer's addresses, and so of an alias to it: Route 53's documentation
_ENDPOINT_TTL = 5  # of an RDS endpoint
_NEGATIVE_TTL = 900
_MOST_STEPS = 8


def answer(query: dns.message.Message, world: World) -> dns.message.Message:
    """Return the response to a query."""
    response = dns.message.make_response(query, recursion_available=True)
    if query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
        response.set_rcode(dns.rcode.NOTIMP)
        return response
    question = query.question[0]
    found = _Answer(world, response)
    found.resolve(question.name, question.rdtype)
    return response


class _Answer:
    """One response in the making."""

    def __init__(self, world: World, response: dns.message.Message) -> None:
        self._world = world
        self._response = response

    def resolve(self, name: dns.name.Name, kind: RdataType) -> None:
        """Add what the name holds, following CNAMEs through the zones that are known."""
        for _ in range(_MOST_STEPS):
            zone = _zone_of(self._world, name)
            if zone is None:
                self._resolve_endpoint(name, kind)
                return
            self._response.flags |= dns.flags.AA
            target = self._from_zone(zone, name, kind)
            if target is None:
                return
            name = target
        self._response.set_rcode(dns.rcode.SERVFAIL)

    def _from_zone(self, zone: Zone, name: dns.name.Name, kind: RdataType) -> dns.name.Name | None:
        """Add the zone's records of a name; return the name to go on with, if any."""
        here = [record for record in zone.records if _name(record.name) == name]
        record = choose([record for record in here if _kind(record) == kind], self._world)
        cname = choose([record for record in here if record.type == "CNAME"], self._world)
        if record is None and cname is not None and kind != RdataType.CNAME:
            target = _name(cname.alias.name if cname.alias else cname.values[0])
            self._add(name, RdataType.CNAME, cname.ttl or 0, [target.to_text()])
            return target
        if record is None:
            exists = any(_name(known.name).is_subdomain(name) for known in zone.records)
            self._negative(zone, exists=exists or name == _name(zone.name))
        elif record.alias is None:
            self._add(name, kind, record.ttl or 0, list(record.values))
        else:
            self._alias(zone, name, kind, record.alias.name, _MOST_STEPS)
        return None

    def _alias(  # what is asked, and how far to go
        self, zone: Zone, name: dns.name.Name, kind: RdataType, alias: str, steps: int
    ) -> None:
        """Answer with the records of the alias's target, under the alias's own name."""
        addresses = _addresses(self._world, _name(alias)) if kind == RdataType.A else []
        if addresses:
            self._add(name, kind, _ALIAS_TTL, addresses)
            return
        same = [
            record
            for record in zone.records
            if _name(record.name) == _name(alias) and _kind(record) == kind
        ]
        target = choose(same, self._world)
        if steps == 0:
            self._response.set_rcode(dns.rcode.SERVFAIL)
        elif target is None:
            self._negative(zone, exists=True)
        elif target.alias:
            self._alias(zone, name, kind, target.alias.name, steps - 1)
        else:
            self._add(name, kind, target.ttl or 0, list(target.values))

    def _resolve_endpoint(self, name: dns.name.Name, kind: RdataType) -> None:
        balancers = _addresses(self._world, name)
        databases = [
            database.address
            for database in self._world.databases
            if _name(database.endpoint) == name
        ]
        if not balancers and not databases:
            self._response.set_rcode(dns.rcode.NXDOMAIN)
        elif kind == RdataType.A:
            self._add(
                name, kind, _ALIAS_TTL if balancers else _ENDPOINT_TTL, balancers or databases
            )

    def _add(self, name: dns.name.Name, kind: RdataType, ttl: float, values: list[str]) -> None:
        self._response.answer.append(
            dns.rrset.from_text_list(name, self._ttl(ttl), "IN", kind, values)
        )

    def _negative(self, zone: Zone, *, exists: bool) -> None:
        """Say that there is no such name, or no such type under it, with the zone's SOA."""
        if not exists:
            self._response.set_rcode(dns.rcode.NXDOMAIN)  # of the end of a chain: RFC 6604
        soa = f"ns-1.awsdns.example. hostmaster.example. 1 7200 900 1209600 {_NEGATIVE_TTL}"
        self._response.authority.append(
            dns.rrset.from_text(_name(zone.name), self._ttl(_NEGATIVE_TTL), "IN", "SOA", soa)
        )

    def _ttl(self, seconds: float) -> int:
        """Return a TTL at the lab's speed, in whole seconds as DNS has it, rounded up."""
        return math.ceil(seconds / self._world.speed) if self._world.speed else 0


def choose(records: list[Record], world: World) -> Record | None:
    """Return the record set that Route 53 answers with, of those of one name and type."""
    primaries = [record for record in records if record.failover != "SECONDARY"]
    secondaries = [record for record in records if record.failover == "SECONDARY"]
    for record in (*primaries, *secondaries):
        if _is_healthy(record, world):
            return record
    return next(iter((*primaries, *secondaries)), None)


def _is_healthy(record: Record, world: World) -> bool:
    """Whether its health check passes; a record without one is always healthy."""
    check = world.health_checks.get(record.health_check or "")
    return check is None or check.healthy


def _zone_of(world: World, name: dns.name.Name) -> Zone | None:
    holders = [zone for zone in world.zones if name.is_subdomain(_name(zone.name))]
    return max(holders, key=lambda zone: len(_name(zone.name)), default=None)


def _addresses(world: World, name: dns.name.Name) -> list[str]:
    return [
        balancer.address
        for balancer in world.balancers
        if _name(f"dualstack.{balancer.dns}") == name or _name(balancer.dns) == name
    ]


def _name(text: str) -> dns.name.Name:
    return dns.name.from_text(text)


def _kind(record: Record) -> RdataType:
    return dns.rdatatype.from_text(record.type)
