"""What a network ACL denies: packets of some hosts to one database.

A host is a folder that its processes run in (lab/hosts.py); whose a connection is, the kernel
knows. What comes from a denied one is left where it is, as AWS drops it: an established
connection falls silent, a new one gets no answer. What the database still says arrives; nobody
hears that it did.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import psutil

from lab.net.relay import reset

if TYPE_CHECKING:
    from collections.abc import Collection

Ends = tuple[object, object]
"""Addresses and ports of a connection, the client's first: a port alone serves many at once."""


class Client(Protocol):
    """One connection of a client, before or after it speaks TLS."""

    transport: asyncio.Transport | None

    def hold(self) -> None:
        """Take nothing more from it."""
        ...

    def release(self) -> None:
        """Take again what comes from it."""
        ...


class Denial:
    """The clients of one endpoint, of whom those on some hosts are not heard."""

    def __init__(self) -> None:
        self._hosts: frozenset[str] = frozenset()
        self._clients: set[Client] = set()
        self._held: set[Client] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def admit(self, client: Client) -> None:
        """Take a client that is connected; while any host is denied it waits to be told apart."""
        self._clients.add(client)
        if self._hosts:
            self._hold(client)
            task = asyncio.create_task(self._judge({client}))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def forget(self, client: Client) -> None:
        """Leave out a client whose connection has ended, or goes on under another."""
        self._clients.discard(client)
        self._held.discard(client)

    async def close_to(self, hosts: Collection[str]) -> None:
        """Hear nothing from these instances, and everybody else; return when it is so."""
        if self._hosts != frozenset(hosts):
            self._hosts = frozenset(hosts)
            await self._judge(set(self._clients))

    def _hold(self, client: Client) -> None:
        self._held.add(client)
        client.hold()

    async def _judge(self, clients: set[Client]) -> None:
        """Hold those on denied hosts. What a process that is gone had sent reaches nobody."""
        connections = {each: _ends(each) for each in clients}
        owners = await asyncio.to_thread(_hosts_of, set(connections.values()))
        for client, ends in connections.items():
            if client not in self._clients:
                continue
            if owners.get(ends) in self._hosts:
                self._hold(client)
            elif client in self._held:
                self._held.discard(client)
                if ends in owners:
                    client.release()
                elif client.transport:
                    reset(client.transport)


def _ends(client: Client) -> Ends | None:
    if client.transport is None:
        return None
    ask = client.transport.get_extra_info
    return ask("peername"), ask("sockname")


def _hosts_of(connections: set[Ends | None]) -> dict[Ends | None, str]:
    """Return the host behind each connection that a process has, empty where it is on none."""
    found: dict[Ends | None, str] = {}
    for each in psutil.net_connections("tcp4"):
        ends = (tuple(each.laddr), tuple(each.raddr))
        if ends in connections and each.pid:
            found[ends] = _host(each.pid)
    return found


def _host(pid: int) -> str:
    try:
        folder = Path(psutil.Process(pid).cwd())
    except psutil.Error:
        return ""
    return folder.name if folder.parent.name == "hosts" else ""
