"""Makes the sockets of the machine agree with the world, version by version."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path
from typing import Protocol

from lab.net.authority import Authority
from lab.net.balancer import Port
from lab.net.databases import Endpoint, LinkDoor
from lab.net.health import Health
from lab.net.world import Database, Link, World

_SHORTEST_KEEP_ALIVE = 1.0


class Opening(Protocol):
    """A listening socket that can be opened once, and closed with all its connections."""

    async def open(self) -> None:
        """Listen; raise OSError when the address is taken."""
        ...

    def close(self) -> None:
        """Stop listening and reset every connection."""
        ...


class Network:
    """Every listening socket of the lab's network."""

    def __init__(self, *, authority: Authority, health: Health) -> None:
        self.version = -1
        """The world's version that the sockets agree with."""
        self.failed: dict[str, str] = {}
        """What could not be opened, and why; tried again with every version."""
        self._authority = authority
        self._health = health
        self._world = World(version=-1)
        self._open: dict[Hashable, Opening] = {}

    async def follow(self, world: World) -> None:
        """Close what is gone or dead, then open what is new; return when all of it listens."""
        self._world = world
        wanted = self._wanted(world)
        for key in set(self._open) - set(wanted):
            self._open.pop(key).close()
        self._health.follow(world)
        self.failed = {}
        for key in wanted:
            if key not in self._open:
                opening = wanted[key]()
                try:
                    await opening.open()
                except OSError as error:
                    self.failed[str(key)] = str(error)
                    continue
                self._open[key] = opening
        self._update(world)
        for database in world.databases:
            endpoint = self._open.get(_endpoint_key(database))
            if isinstance(endpoint, Endpoint):
                await endpoint.denial.close_to(database.closed_to)
        self.version = world.version

    def close(self) -> None:
        """Close everything."""
        for opening in self._open.values():
            opening.close()
        self._open.clear()

    def _wanted(self, world: World) -> dict[Hashable, Callable[[], Opening]]:
        wanted: dict[Hashable, Callable[[], Opening]] = {}
        for balancer in world.balancers:
            for listener in balancer.listeners:
                if world.is_up(balancer.region):
                    key = ("balancer", balancer.arn, balancer.address, listener.port)
                    wanted[*key, listener.protocol] = partial(
                        Port,
                        address=balancer.address,
                        dns=balancer.dns,
                        listener=listener,
                        health=self._health,
                        authority=self._authority,
                    )
        for database in world.databases:
            if world.is_up(database.region) and database.state == "up":
                wanted[_endpoint_key(database)] = partial(
                    self._endpoint,
                    database.endpoint,
                    database.address,
                    database.port,
                    database.socket,
                )
        for replica in world.replicas:
            regions = (replica.source_region, replica.region)
            cut = any(world.link(*way).state == "cut" for way in (regions, regions[::-1]))
            if not cut and all(world.is_up(region) for region in regions):
                key = ("link", replica.id, replica.link_address, replica.link_port)
                wanted[*key, replica.source_socket] = partial(
                    LinkDoor,
                    address=replica.link_address,
                    port=replica.link_port,
                    socket_folder=Path(replica.source_socket),
                    to_replica=partial(self._delay, *regions),
                    to_source=partial(self._delay, *regions[::-1]),
                )
        return wanted

    def _endpoint(self, name: str, address: str, port: int, socket_folder: str) -> Endpoint:
        context = self._authority.issue([name]).server_context()
        return Endpoint(
            address=address, port=port, socket_folder=Path(socket_folder), context=context
        )

    def _delay(self, source: str, target: str) -> float:
        link: Link = self._world.link(source, target)
        return link.delay_ms / 1000 if link.state == "slow" else 0.0

    def _update(self, world: World) -> None:
        targets = [target for group in world.target_groups.values() for target in group.targets]
        for balancer in world.balancers:
            names = frozenset(
                record.name.rstrip(".").lower()
                for zone in world.zones
                for record in zone.records
                if record.alias and _same_name(record.alias.name, balancer.dns)
            )
            for listener in balancer.listeners:
                key = ("balancer", balancer.arn, balancer.address, listener.port, listener.protocol)
                port = self._open.get(key)
                if isinstance(port, Port):
                    port.listener = listener
                    port.keep_alive = _compressed(balancer.keep_alive, world.speed)
                    port.names = names
                    port.forget_except(targets)


def _endpoint_key(database: Database) -> Hashable:
    key = ("database", database.endpoint, database.address, database.port)
    return (*key, database.socket)


def _compressed(keep_alive: float, speed: float) -> float:
    """Return how long a client's connection is kept here: TLS anew at every request costs much."""
    return max(_SHORTEST_KEEP_ALIVE, keep_alive / speed if speed > 0 else 0.0)


def _same_name(alias: str, dns: str) -> bool:
    """Whether an alias names a balancer, also with the `dualstack.` that consoles put before."""
    return alias.rstrip(".").lower().removeprefix("dualstack.") == dns.rstrip(".").lower()
