"""A stub resolver as hosts and browsers have one: asks the lab's resolver, keeps what TTLs allow.

Only A records over UDP: a host of the sample product must start in a fraction of a second, and a
whole resolver library costs it more than everything else it loads.
"""

from __future__ import annotations

import secrets
import socket
import struct
import time
from dataclasses import dataclass

_A = 1
_IN = 1
_RECURSION_DESIRED = 0x0100
_POINTER = 0xC0
_TIMEOUT_SECONDS = 1.0
_ATTEMPTS = 3


class UnresolvedError(OSError):
    """The resolver has no address for a name, or does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cached:
    addresses: tuple[str, ...]
    until: float


class Resolver:
    """Resolves through `server` ("address:port") and keeps each answer for its TTL."""

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._server = (host, int(port))
        self._cache: dict[str, _Cached] = {}

    def address(self, name: str) -> str:
        """Return one address of `name`; raise UnresolvedError when there is none."""
        cached = self._cache.get(name)
        if cached is None or cached.until <= time.monotonic():
            addresses, ttl = self._ask(name)
            cached = _Cached(addresses=addresses, until=time.monotonic() + ttl)
            self._cache[name] = cached
        return secrets.choice(cached.addresses)

    def _ask(self, name: str) -> tuple[tuple[str, ...], int]:
        identifier = secrets.randbits(16)
        question = _question(identifier, name)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.settimeout(_TIMEOUT_SECONDS)
            channel.connect(self._server)
            for _ in range(_ATTEMPTS):
                try:
                    channel.send(question)
                    answer = channel.recv(4096)
                except (TimeoutError, ConnectionRefusedError):
                    continue
                if int.from_bytes(answer[:2]) == identifier:
                    return _addresses(name, answer)
        msg = f"{name}: the resolver at {self._server[0]}:{self._server[1]} does not answer"
        raise UnresolvedError(msg)


def _question(identifier: int, name: str) -> bytes:
    labels = b"".join(
        bytes([len(label)]) + label.encode("ascii") for label in name.rstrip(".").split(".")
    )
    header = struct.pack("!6H", identifier, _RECURSION_DESIRED, 1, 0, 0, 0)
    return header + labels + b"\0" + struct.pack("!2H", _A, _IN)


def _addresses(name: str, answer: bytes) -> tuple[tuple[str, ...], int]:
    """Return the A records of `answer` and the smallest TTL on the way to them (RFC 1035, 4.1)."""
    _, flags, questions, records, _, _ = struct.unpack_from("!6H", answer)
    at = 12
    for _ in range(questions):
        at = _after_name(answer, at) + 4
    found: list[str] = []
    ttl = 0xFFFFFFFF
    for _ in range(records):
        at = _after_name(answer, at)
        kind, _, seconds, length = struct.unpack_from("!2HIH", answer, at)
        at += 10
        ttl = min(ttl, seconds)
        if kind == _A:
            found.append(socket.inet_ntoa(answer[at : at + length]))
        at += length
    if not found:
        msg = f"{name} has no address (answer code {flags & 0xF})"
        raise UnresolvedError(msg)
    return tuple(found), ttl


def _after_name(message: bytes, at: int) -> int:
    while length := message[at]:
        if length & _POINTER == _POINTER:
            return at + 2
        at += length + 1
    return at + 1
