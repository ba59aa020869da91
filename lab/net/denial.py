"""What a network ACL denies: packets of some hosts to one database.

A host is a folder that its processes run in (lab/hosts.py); whose a connection is, the kernel
knows. What comes from a denied one is left where it is, as AWS drops it: an established
connection falls silent, a new one gets no answer. What the database still says arrives; nobody
hears that it did.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import psutil

from lab.net.relay import reset

if TYPE_CHECKING:
    from collections.abc import Collection

Peer = tuple[str, int]


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
        peers = {each: _peer(each) for each in clients}
        owners = await asyncio.to_thread(_hosts_of, set(peers.values()))
        for client, peer in peers.items():
            if client not in self._clients:
                continue
            if owners.get(peer) in self._hosts:
                self._hold(client)
            elif client in self._held:
                self._held.discard(client)
                if peer in owners:
                    client.release()
                elif client.transport:
                    reset(client.transport)


def _peer(client: Client) -> Peer | None:
    found = client.transport.get_extra_info("peername") if client.transport else None
    return cast("Peer | None", found)


def _hosts_of(peers: set[Peer | None]) -> dict[Peer | None, str]:
    """Return the host behind each address that a process has, empty where it is on none."""
    found: dict[Peer | None, str] = {}
    for connection in psutil.net_connections("tcp4"):
        peer = cast("Peer", tuple(connection.laddr))
        if peer in peers and connection.pid:
            found[peer] = _host(connection.pid)
    return found


def _host(pid: int) -> str:
    try:
        folder = Path(psutil.Process(pid).cwd())
    except psutil.Error:
        return ""
    return folder.name if folder.parent.name == "hosts" else ""
