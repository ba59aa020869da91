"""Addresses of names, as a chosen resolver or this machine's gives them."""

from __future__ import annotations

import ipaddress
import socket

from recovery.engine.errors import PassingError

RESOLVER_SECONDS = 2.0
DNS_PORT = 53


class UnresolvedError(PassingError):
    """A name has no address, or the resolver does not answer."""


def resolve(name: str, resolver: str | None = None) -> tuple[str, ...]:
    """Return the IPv4 addresses of `name`, at least one.

    `resolver` is `HOST` or `HOST:PORT`, asked directly and without a cache, as a customer's first
    request would; None is the machine's own resolver. Raise UnresolvedError.
    """
    if _is_address(name):
        return (name,)
    return _ask(name, resolver) if resolver else _ask_system(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


def _ask(name: str, resolver: str) -> tuple[str, ...]:
    import dns.exception  # noqa: PLC0415 - only a named resolver needs the library
    import dns.resolver  # noqa: PLC0415

    host, port = _parse(resolver)
    stub = dns.resolver.Resolver(configure=False)
    stub.nameservers = [host]
    stub.port = port
    stub.timeout = RESOLVER_SECONDS / 2
    stub.lifetime = RESOLVER_SECONDS
    try:
        answer = stub.resolve(name, "A", search=False)
    except dns.exception.DNSException as error:
        msg = f"{name} has no address by {resolver}: {' '.join(str(error).split())}"
        raise UnresolvedError(msg) from error
    return tuple(record.to_text() for record in answer)


def _parse(resolver: str) -> tuple[str, int]:
    host, _, port = resolver.partition(":")
    if not _is_address(host) or not (port or str(DNS_PORT)).isdecimal():
        msg = f"resolver {resolver} is no HOST:PORT with an IPv4 address; write 127.0.0.1:53"
        raise UnresolvedError(msg)
    return host, int(port or DNS_PORT)


def _ask_system(name: str) -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        msg = f"{name} has no address by this machine's resolver: {error}"
        raise UnresolvedError(msg) from error
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))
