"""Run the lab's resolver: `python -m lab.net.dns --run-dir RUN`.

It answers on UDP and TCP from the newest world that it has. `lab.net.names` says what.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import struct
from pathlib import Path
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.rcode

from lab.net import names, world

ADDRESS = ("127.0.53.2", 5300)

_IDLE_TIMEOUT = 10.0
_MOST_UDP = 512


class Resolver(asyncio.DatagramProtocol):
    """Answers datagrams; holds the world that they are answered from."""

    def __init__(self) -> None:
        self.world = world.World(version=-1)
        self._transport: asyncio.DatagramTransport | None = None
        self._serving: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer; too long an answer says so, and is asked for again by TCP."""
        reply = self.reply(data, tcp=False)
        if reply and self._transport:
            self._transport.sendto(reply, addr)

    def arrived(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a TCP connection."""
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await asyncio.wait_for(reader.readexactly(2), _IDLE_TIMEOUT)
                length = int.from_bytes(head)
                data = await asyncio.wait_for(reader.readexactly(length), _IDLE_TIMEOUT)
                reply = self.reply(data, tcp=True)
                if reply is None:
                    break
                writer.write(struct.pack("!H", len(reply)) + reply)
                await writer.drain()
        except (OSError, EOFError, TimeoutError):
            pass  # the client is done
        finally:
            writer.close()

    def reply(self, data: bytes, *, tcp: bool) -> bytes | None:
        """Return the answer to a query on the wire; None where it is not even a query."""
        try:
            query = dns.message.from_wire(data)
        except dns.exception.DNSException:
            return None
        if query.flags & dns.flags.QR:
            return None
        if self.world.version < 0:
            response = dns.message.make_response(query)
            response.set_rcode(dns.rcode.SERVFAIL)
        else:
            response = names.answer(query, self.world)
        if tcp:
            return response.to_wire(max_size=65535)
        most = max(_MOST_UDP, query.payload)
        try:
            return response.to_wire(max_size=most)
        except dns.exception.TooBig:
            cut = dns.message.make_response(query, recursion_available=True)
            cut.flags |= dns.flags.TC
            return cut.to_wire()


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m lab.net.dns", description=__doc__)
    parser.add_argument("--run-dir", type=Path, required=True, help="the lab's run folder")
    parser.add_argument("--world", default=world.DEFAULT_URL, help="URL of the AWS process")
    parser.add_argument("--listen", default=":".join(map(str, ADDRESS)), help="ADDRESS:PORT")
    options = parser.parse_args()
    asyncio.run(_serve(options.world, options.listen))


async def _serve(url: str, listen: str) -> None:
    address, _, port = listen.rpartition(":")
    resolver = Resolver()
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: resolver, local_addr=(address, int(port)))
    await asyncio.start_server(resolver.arrived, address, int(port))
    task = asyncio.create_task(_follow(resolver, url))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    await asyncio.wait([task])


async def _follow(resolver: Resolver, url: str) -> None:
    async for version in world.follow(url):
        resolver.world = version


if __name__ == "__main__":
    main()
