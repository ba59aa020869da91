"""What stands in front of the PostgreSQL servers: RDS endpoints with TLS, and replication links.

The servers listen on Unix sockets only. An endpoint demands TLS as RDS does from version 15 on
(`rds.force_ssl`); a link is plain, and can be cut or slowed.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from pathlib import Path
from typing import cast

from lab.net.denial import Denial
from lab.net.relay import Delay, Half, join, reset

# Protocol's own numbers: "Message Formats", SSLRequest, GSSENCRequest, CancelRequest.
_SSL_REQUEST = 80877103
_GSSENC_REQUEST = 80877104
_CANCEL_REQUEST = 80877102
_CANCEL_LENGTH = 16
_STARTUP_TIMEOUT = 30.0
_MOST_STARTUP = 10000


class Door:
    """A listening socket in front of a server's Unix socket."""

    def __init__(self, *, address: str, port: int, socket_folder: Path) -> None:
        self.address = address
        self.port = port
        self.server_socket = str(socket_folder / ".s.PGSQL.5432")
        self.live: set[asyncio.BaseTransport] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen. Raise OSError when the address is taken."""
        self._server = await asyncio.get_running_loop().create_server(
            self._arrival, self.address, self.port, reuse_address=True, backlog=100
        )

    def close(self) -> None:
        """Stop listening and reset every connection, now."""
        if self._server:
            self._server.close()
        for transport in list(self.live):
            reset(transport)
        for task in self._tasks:
            task.cancel()

    def _arrival(self) -> asyncio.Protocol:
        raise NotImplementedError

    def start(self, work: asyncio.Task[None]) -> None:
        """Keep a connection's task until it ends."""
        self._tasks.add(work)
        work.add_done_callback(self._tasks.discard)


class Endpoint(Door):
    """An RDS endpoint: TLS in, plain to the server."""

    def __init__(
        self, *, address: str, port: int, socket_folder: Path, context: ssl.SSLContext
    ) -> None:
        super().__init__(address=address, port=port, socket_folder=socket_folder)
        self.context = context
        self.denial = Denial()

    def _arrival(self) -> asyncio.Protocol:
        return _Negotiation(self)


class LinkDoor(Door):
    """One replica's way to its source's server."""

    def __init__(
        self, *, address: str, port: int, socket_folder: Path, to_replica: Delay, to_source: Delay
    ) -> None:
        super().__init__(address=address, port=port, socket_folder=socket_folder)
        self.to_replica = to_replica
        self.to_source = to_source

    def _arrival(self) -> asyncio.Protocol:
        return _LinkArrival(self)


class _LinkArrival(Half):
    """A replica's connection, before it is joined to the source's."""

    def __init__(self, door: LinkDoor) -> None:
        super().__init__(live=door.live, delay=door.to_source)
        self._door = door

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        cast("asyncio.Transport", transport).pause_reading()
        self._door.start(asyncio.create_task(self._join()))

    async def _join(self) -> None:
        far = Half(live=self._door.live, delay=self._door.to_replica)
        join(self, far)
        await _connect(self, far, self._door.server_socket)


async def _connect(near: Half, far: Half, server_socket: str) -> None:
    """Connect `far` to the server and let `near` be read; without a server, reset `near`."""
    transport = near.transport
    if transport is None:
        return
    try:
        await asyncio.get_running_loop().create_unix_connection(lambda: far, server_socket)
    except OSError:
        reset(transport)
        return
    if transport.is_closing() and far.transport:
        far.transport.close()
        return
    near.read_on()


class _Client(Half):
    """A client's connection, once it speaks TLS."""

    def __init__(self, door: Endpoint) -> None:
        super().__init__(live=door.live)
        self._denial = door.denial

    def connection_lost(self, exc: Exception | None) -> None:
        self._denial.forget(self)
        super().connection_lost(exc)


class _Negotiation(asyncio.Protocol):
    """What comes before the startup message: requests for encryption, or to cancel a query."""

    def __init__(self, door: Endpoint) -> None:
        self._door = door
        self._received = b""
        self.transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._door.live.add(transport)
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(_STARTUP_TIMEOUT, self.transport.abort)
        self._door.denial.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's
        self._done()

    def hold(self) -> None:
        """Hear nothing: also no request for encryption is answered."""
        if self.transport:
            self.transport.pause_reading()

    def release(self) -> None:
        """Hear again."""
        if self.transport:
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        transport = self.transport
        if transport is None:
            return
        self._received += data
        if len(self._received) < 8:  # noqa: PLR2004  # length and code, four bytes each
            return
        length, code = struct.unpack("!ii", self._received[:8])
        if code == _GSSENC_REQUEST and len(self._received) == length:
            self._received = b""
            transport.write(b"N")
        elif code == _SSL_REQUEST and len(self._received) == length:
            # Bytes that follow in plain would be injected into the session: CVE-2021-23214.
            self._received = b""
            transport.pause_reading()
            transport.write(b"S")
            self._door.start(asyncio.create_task(self._encrypt(transport)))
        elif code == _CANCEL_REQUEST and length == _CANCEL_LENGTH:
            if len(self._received) >= length:
                transport.pause_reading()
                self._door.start(asyncio.create_task(self._cancel(transport)))
        elif code >> 16 == 3 and 8 <= length <= _MOST_STARTUP:  # noqa: PLR2004  # protocol 3
            if len(self._received) >= length:
                self._refuse(transport, self._received[8:length])
        else:
            transport.abort()

    async def _encrypt(self, transport: asyncio.Transport) -> None:
        near = _Client(self._door)
        loop = asyncio.get_running_loop()
        try:
            encrypted = await loop.start_tls(
                transport, near, self._door.context, server_side=True, ssl_handshake_timeout=10
            )
        except (OSError, ssl.SSLError):
            transport.abort()
            return
        finally:
            self._done()
        if encrypted is None:
            return
        encrypted.pause_reading()
        near.connection_made(encrypted)
        self._door.denial.admit(near)
        far = Half(live=self._door.live)
        join(near, far)
        await _connect(near, far, self._door.server_socket)

    async def _cancel(self, transport: asyncio.Transport) -> None:
        """Pass the request on and wait until the server has taken it, as libpq does."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._door.server_socket)
            writer.write(self._received[:_CANCEL_LENGTH])
            await reader.read()
            writer.close()
        except OSError:
            pass
        transport.close()

    def _refuse(self, transport: asyncio.Transport, startup: bytes) -> None:
        words = startup.split(b"\0")
        options = dict(zip(words[::2], words[1::2], strict=False))
        user = options.get(b"user", b"").decode(errors="replace")
        database = options.get(b"database", user.encode()).decode(errors="replace")
        host = cast("tuple[str, int]", transport.get_extra_info("peername"))[0]
        message = (
            f'no pg_hba.conf entry for host "{host}", user "{user}", database "{database}", '
            "no encryption"
        )
        fields = {"S": "FATAL", "V": "FATAL", "C": "28000", "M": message}
        body = b"".join(f"{key}{value}".encode() + b"\0" for key, value in fields.items()) + b"\0"
        transport.write(b"E" + struct.pack("!i", len(body) + 4) + body)
        transport.close()

    def _done(self) -> None:
        if self._deadline:
            self._deadline.cancel()
        self._door.denial.forget(self)
        if self.transport:
            self._door.live.discard(self.transport)
