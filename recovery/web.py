"""HTTPS as a customer speaks it: the product's name through a resolver, its certificate checked.

The authority is the system's, or SSL_CERT_FILE's where that is set.
"""

from __future__ import annotations

import functools
import http.client
import json
import os
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recovery import names
from recovery.engine.errors import PassingError

if TYPE_CHECKING:
    from collections.abc import Mapping

HTTPS_PORT = 443
MOST_BYTES = 4 * 1024 * 1024
"""As much of an answer is read; a probe needs no more."""


class UnansweredError(PassingError):
    """No answer came: no connection, a wrong certificate, a timeout, or not HTTP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a service answered."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON, or None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def get(
    domain: str,
    port: int,
    path: str,
    *,
    resolver: str | None = None,
    addresses: tuple[str, ...] = (),
    seconds: float = 5.0,
) -> Answer:
    """Ask for a path of the product's public name; raise an OutsideError when nothing answers."""
    return request(
        "GET", domain, port, path, resolver=resolver, addresses=addresses, seconds=seconds
    )


def request(
    method: str,
    domain: str,
    port: int,
    path: str,
    *,
    body: Mapping[str, object] | None = None,
    token: str | None = None,
    resolver: str | None = None,
    addresses: tuple[str, ...] = (),
    seconds: float = 5.0,
) -> Answer:
    """Send one request, with JSON and a bearer token where given, and return the answer.

    Every address of the name, or of `addresses` in its place, is tried in turn, as a browser does.
    `seconds` bounds connecting and each wait for data. Raise names.UnresolvedError or
    UnansweredError.
    """
    headers = {"Host": domain if port == HTTPS_PORT else f"{domain}:{port}"}
    content = None
    if body is not None:
        headers["Content-Type"] = "application/json"
        content = json.dumps(body).encode()
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    connection = _Connection(domain, port, addresses or names.resolve(domain, resolver), seconds)
    try:
        connection.request(method, path, content, headers)
        answer = connection.getresponse()
        return Answer(status=answer.status, body=answer.read(MOST_BYTES))
    except (OSError, http.client.HTTPException) as error:
        url = f"https://{headers['Host']}{path}"
        why = " ".join(str(error).split()) or type(error).__name__
        msg = f"{method} {url}: {why}"
        raise UnansweredError(msg) from error
    finally:
        connection.close()


class _Connection(http.client.HTTPSConnection):
    """A connection to the first of some addresses that takes one, under the name's certificate."""

    def __init__(self, name: str, port: int, addresses: tuple[str, ...], seconds: float) -> None:
        self._tls = _context(os.environ.get("SSL_CERT_FILE"))
        super().__init__(name, port, timeout=seconds, context=self._tls)
        self._addresses = addresses

    def connect(self) -> None:
        failure: OSError | None = None
        for address in self._addresses:
            try:
                plain = socket.create_connection((address, self.port), self.timeout)
            except OSError as error:
                failure = error
                continue
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
            except BaseException:
                plain.close()
                raise
            return
        assert failure is not None
        raise failure


@functools.cache
def _context(_authorities: str | None) -> ssl.SSLContext:
    """Return the context for one value of SSL_CERT_FILE, which OpenSSL itself reads."""
    return ssl.create_default_context()
