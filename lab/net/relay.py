"""Bytes between two connections, with back-pressure, an optional delay, and death by reset."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from typing import Protocol, cast

_LINGER_OFF = struct.pack("ii", 1, 0)
_MOST_DELAYED = 1 << 20


class Delay(Protocol):
    """Gives the seconds that bytes take; asked for each piece."""

    def __call__(self) -> float:
        """Return the seconds that a piece which arrives now takes."""
        ...


def reset(transport: asyncio.BaseTransport) -> None:
    """End a connection at once, as a machine without power does when the next packet reaches it.

    The other side reads ECONNRESET; nothing that waits to be written is sent.
    """
    if not transport.is_closing():  # a TLS transport that was closed twice has no socket to tell of
        connection = cast("socket.socket | None", transport.get_extra_info("socket"))
        if connection is not None and connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_OFF)
    cast("asyncio.WriteTransport", transport).abort()


class Half(asyncio.Protocol):
    """One of two connections that are joined: what it reads, the other writes."""

    def __init__(self, *, live: set[asyncio.BaseTransport], delay: Delay | None = None) -> None:
        self.live = live
        self.transport: asyncio.Transport | None = None
        self.other: Half | None = None
        self._delay = delay
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._waiting_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._early: list[bytes] = []
        self._ended = False
        self._held = False
        self._other_is_full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, and write what the other read before."""
        self.transport = cast("asyncio.Transport", transport)
        self.live.add(transport)
        if self.other:
            for data in self.other._early:
                self.transport.write(data)
            self.other._early.clear()

    def data_received(self, data: bytes) -> None:
        """Pass on what was read, now or after the delay."""
        delay = self._delay() if self._delay else 0.0
        if not self._waiting and delay <= 0:
            self._pass_on(data)
            return
        now = asyncio.get_running_loop().time()
        last = self._waiting[-1][0] if self._waiting else 0.0
        self._waiting.append((max(last, now + delay), data))
        self._waiting_bytes += len(data)
        if self._waiting_bytes > _MOST_DELAYED and self.transport:
            self.transport.pause_reading()
        self._schedule()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the other side: in order after all was passed on, by a reset after an error."""
        if self.transport:
            self.live.discard(self.transport)
        self._ended = True
        if exc is not None:
            self._waiting.clear()
        if not self._waiting:
            self._end_other(broken=exc is not None)

    def hold(self) -> None:
        """Take nothing more from this side, as where its packets are dropped, until `release`."""
        self._held = True
        if self.transport:
            self.transport.pause_reading()

    def release(self) -> None:
        """Take again what comes from this side."""
        self._held = False
        self.read_on()

    def read_on(self) -> None:
        """Read this side unless something else forbids it."""
        full = self._other_is_full or self._waiting_bytes > _MOST_DELAYED
        if self.transport and not (self._held or full or self._ended):
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        """Stop reading on the other side: this one is slow to write to."""
        if self.other and self.other.transport:
            self.other._other_is_full = True
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Let the other side be read again."""
        if self.other:
            self.other._other_is_full = False
            self.other.read_on()

    def _pass_on(self, data: bytes) -> None:
        if self.other and self.other.transport:
            self.other.transport.write(data)
        else:
            self._early.append(data)

    def _schedule(self) -> None:
        if self._timer is None and self._waiting:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._waiting[0][0], self._deliver)

    def _deliver(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._waiting and self._waiting[0][0] <= now:
            _, data = self._waiting.popleft()
            self._waiting_bytes -= len(data)
            self._pass_on(data)
        if self._waiting:
            self._schedule()
        elif self._ended:
            self._end_other(broken=False)
        self.read_on()

    def _end_other(self, *, broken: bool) -> None:
        if self.other is None or self.other.transport is None:
            return
        if broken:
            reset(self.other.transport)
        else:
            self.other.transport.close()


def join(one: Half, two: Half) -> None:
    """Let each write what the other reads."""
    one.other = two
    two.other = one
