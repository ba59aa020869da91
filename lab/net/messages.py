"""As much of HTTP/1.1 as a balancer needs, on asyncio's streams: messages are read whole."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit

_MOST_BODY = 64 * 1024 * 1024
_MOST_HEADERS = 200
_NO_BODY = (204, 304)
_CONTINUE = 100
_OK = 200

# Of one connection, not of the message: RFC 9110, 7.6.1.
_HOP_BY_HOP = {
    "connection", "keep-alive", "proxy-connection", "trailer", "transfer-encoding", "upgrade",
    "te",  # codespell:ignore te
    "content-length", "expect",
}  # fmt: skip


class MalformedError(Exception):
    """The other side sent something that is not HTTP, or ended in the middle of a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request."""

    method: str
    target: str
    version: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def keeps_alive(self) -> bool:
        """Whether the client leaves the connection open."""
        return _keeps_alive(self.version, self.headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response."""

    status: int
    reason: str
    version: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    keeps_alive: bool


def header(headers: tuple[tuple[str, str], ...], name: str) -> str | None:
    """Return the first header called `name` (in lower case)."""
    return next((value for key, value in headers if key.lower() == name), None)


def end_to_end(headers: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    """Return the headers that travel on; framing and connection are each hop's own."""
    named = (header(headers, "connection") or "").lower().replace(" ", "").split(",")
    return [
        (key, value)
        for key, value in headers
        if key.lower() not in _HOP_BY_HOP and key.lower() not in named
    ]


async def read_request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Request | None:
    """Return the next request of a connection; None when the client closed it in between."""
    first = await _line(reader, may_end=True)
    if not first:
        return None
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/"):  # noqa: PLR2004  # method, target, version
        msg = f"not a request line: {first[:80]!r}"
        raise MalformedError(msg)
    headers = await _headers(reader)
    if (header(headers, "expect") or "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    chunked = "chunked" in (header(headers, "transfer-encoding") or "").lower()
    length = header(headers, "content-length")
    body = b""
    if chunked:
        body = await _chunks(reader)
    elif length is not None:
        body = await _exactly(reader, length)
    return Request(method=words[0], target=words[1], version=words[2], headers=headers, body=body)


async def read_response(reader: asyncio.StreamReader, method: str) -> Response:
    """Return the response to a request of `method`; interim ones are left out."""
    while True:
        version, _, rest = (await _line(reader)).partition(" ")
        code, _, reason = rest.partition(" ")
        if not version.startswith("HTTP/") or not code.isdigit():
            msg = f"not a status line: {version[:80]!r}"
            raise MalformedError(msg)
        status = int(code)
        headers = await _headers(reader)
        if status >= _OK or status < _CONTINUE:
            break
    length = header(headers, "content-length")
    keeps_alive = _keeps_alive(version, headers)
    body = b""
    if method == "HEAD" or status in _NO_BODY:
        pass
    elif "chunked" in (header(headers, "transfer-encoding") or "").lower():
        body = await _chunks(reader)
    elif length is not None:
        body = await _exactly(reader, length)
    else:
        body = await reader.read(_MOST_BODY)
        while more := await reader.read(_MOST_BODY):
            body += more
        keeps_alive = False
    return Response(
        status=status,
        reason=reason,
        version=version,
        headers=headers,
        body=body,
        keeps_alive=keeps_alive,
    )


def encode_request(method: str, target: str, headers: list[tuple[str, str]], body: bytes) -> bytes:
    """Return the bytes of a request."""
    framing = [("Content-Length", str(len(body)))] if body or method in {"POST", "PUT"} else []
    return _head(f"{method} {target} HTTP/1.1", [*headers, *framing]) + body


def encode_response(
    status: int, reason: str, headers: list[tuple[str, str]], body: bytes, *, length: int | None
) -> bytes:
    """Return the bytes of a response; `length` is announced where it is not the body's own."""
    framing: list[tuple[str, str]] = []
    if status not in _NO_BODY:
        framing = [("Content-Length", str(len(body) if length is None else length))]
    return _head(f"HTTP/1.1 {status} {reason}", [*headers, *framing]) + body


async def request(url: str, *, method: str = "GET", body: bytes = b"") -> Response:
    """Return the answer to one plain request on a connection of its own.

    Raise OSError or MalformedError; set a deadline around it.
    """
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port or 80)
    try:
        target = f"{place.path or '/'}{'?' + place.query if place.query else ''}"
        headers = [("Host", place.netloc), ("Connection", "close")]
        if body:
            headers.append(("Content-Type", "application/json"))
        writer.write(encode_request(method, target, headers, body))
        return await read_response(reader, method)
    finally:
        writer.close()


def _head(first: str, headers: list[tuple[str, str]]) -> bytes:
    lines = [first, *(f"{key}: {value}" for key, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _keeps_alive(version: str, headers: tuple[tuple[str, str], ...]) -> bool:
    wish = (header(headers, "connection") or "").lower()
    return "close" not in wish if version == "HTTP/1.1" else "keep-alive" in wish


async def _line(reader: asyncio.StreamReader, *, may_end: bool = False) -> str:
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        if may_end and not error.partial:
            return ""
        msg = "the connection ended within a message"
        raise MalformedError(msg) from error
    except asyncio.LimitOverrunError as error:
        msg = "a line is too long"
        raise MalformedError(msg) from error
    return line.decode("latin-1").rstrip("\r\n")


async def _headers(reader: asyncio.StreamReader) -> tuple[tuple[str, str], ...]:
    headers: list[tuple[str, str]] = []
    while line := await _line(reader):
        name, colon, value = line.partition(":")
        if not colon or len(headers) == _MOST_HEADERS:
            msg = f"not a header, or too many of them: {line[:80]!r}"
            raise MalformedError(msg)
        headers.append((name.strip(), value.strip()))
    return tuple(headers)


async def _exactly(reader: asyncio.StreamReader, length: str) -> bytes:
    if not length.isdigit() or int(length) > _MOST_BODY:
        msg = f"content length {length[:20]!r} is none, or above {_MOST_BODY}"
        raise MalformedError(msg)
    try:
        return await reader.readexactly(int(length))
    except asyncio.IncompleteReadError as error:
        msg = "the connection ended within a message"
        raise MalformedError(msg) from error


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while True:
        size = (await _line(reader)).partition(";")[0].strip()
        try:
            length = int(size, 16)
        except ValueError as error:
            msg = f"not the size of a chunk: {size[:20]!r}"
            raise MalformedError(msg) from error
        if length == 0:
            await _headers(reader)  # trailers
            return body
        body += await _exactly(reader, str(length))
        await _line(reader)
