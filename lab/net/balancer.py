"""A port of a load balancer: TLS in, plain HTTP to the healthy targets of the rule that matches.

Answers that are the balancer's own look like an Application Load Balancer's: 502 when a target
ends in the middle of an answer or does not accept, 503 when no target is healthy, 504 when one is
silent. Unlike AWS's, which sends requests to all targets when none is healthy, this one answers
503: the lab's customers see the same outage, sooner.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import ssl
import time
from collections.abc import Iterable
from dataclasses import replace
from http import HTTPStatus
from typing import TypeAlias, cast

from lab.net import messages
from lab.net.authority import Authority
from lab.net.health import Health
from lab.net.messages import MalformedError, Request, Response
from lab.net.relay import reset
from lab.net.world import Action, Listener, Target

_IDLE_TIMEOUT = 60.0  # an Application Load Balancer's default
_CONNECT_TIMEOUT = 10.0
_KEPT_PER_TARGET = 8
_MAY_REPEAT = {"GET", "HEAD", "OPTIONS"}

_Connection: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Port:
    """A listener of one balancer, serving."""

    def __init__(
        self,
        *,
        address: str,
        dns: str,
        listener: Listener,
        health: Health,
        authority: Authority,
    ) -> None:
        self.listener = listener
        self.address = address
        self.names: frozenset[str] = frozenset()
        """Public names whose certificate it shows to those who ask for one of them."""
        self.keep_alive = 3600.0
        """Seconds after which a client's connection ends with the next answer (ELB User Guide,
        HTTP client keepalive duration). Until then a client that goes on asking stays here,
        wherever the name leads meanwhile."""
        self._dns = dns
        self._health = health
        self._authority = authority
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._idle: dict[Target, list[_Connection]] = {}
        self._turn = itertools.count()

    async def open(self) -> None:
        """Listen. Raise OSError when the address is taken."""
        context = self._context() if self.listener.protocol == "HTTPS" else None
        self._server = await asyncio.start_server(
            self._arrived, self.address, self.listener.port, ssl=context, backlog=200
        )

    def close(self) -> None:
        """Stop listening and reset every connection, now."""
        if self._server:
            self._server.close()
        for task, writer in self._clients.items():
            reset(writer.transport)
            task.cancel()
        for connections in self._idle.values():
            for _, writer in connections:
                writer.close()
        self._idle.clear()

    def forget_except(self, targets: Iterable[Target]) -> None:
        """Close the connections kept to targets that are gone."""
        for target in set(self._idle) - set(targets):
            for _, writer in self._idle.pop(target):
                writer.close()

    def _context(self) -> ssl.SSLContext:
        contexts: dict[str, ssl.SSLContext] = {}

        def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            if name in self.names:
                if name not in contexts:
                    issued = self._authority.issue([name])
                    contexts[name] = issued.server_context()
                connection.context = contexts[name]

        own = self._authority.issue([self._dns]).server_context()
        own.sni_callback = choose
        return own

    def _arrived(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._clients[task] = writer
        task.add_done_callback(self._clients.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened = time.monotonic()
        try:
            while True:
                try:
                    request = await asyncio.wait_for(
                        messages.read_request(reader, writer), _IDLE_TIMEOUT
                    )
                except MalformedError:
                    writer.write(_own(400, close=True))
                    break
                if request is None:
                    break
                peer = cast("tuple[str, int]", writer.get_extra_info("peername"))[0]
                if time.monotonic() - opened >= self.keep_alive:
                    request = replace(request, headers=(("Connection", "close"), *request.headers))
                writer.write(await self._answer(request, peer))
                await writer.drain()
                if not request.keeps_alive:
                    break
        except (OSError, TimeoutError):
            pass  # the client is gone, or idle for too long
        finally:
            writer.close()

    async def _answer(self, request: Request, client: str) -> bytes:
        action = choose_action(self.listener, request.target)
        if action.fixed is not None:
            return _own(action.fixed, body=action.body, close=not request.keeps_alive)
        targets = self._health.healthy(action.target_group or "")
        if not targets:
            return _own(503, close=not request.keeps_alive)
        target = targets[next(self._turn) % len(targets)]
        try:
            response = await asyncio.wait_for(self._forward(request, client, target), _IDLE_TIMEOUT)
        except TimeoutError:
            return _own(504, close=not request.keeps_alive)
        except (OSError, MalformedError):
            return _own(502, close=not request.keeps_alive)
        announced = None
        if request.method == "HEAD":
            length = messages.header(response.headers, "content-length")
            announced = int(length) if length and length.isdigit() else 0
        headers = messages.end_to_end(response.headers)
        if not request.keeps_alive:
            headers.append(("Connection", "close"))
        return messages.encode_response(
            response.status, response.reason, headers, response.body, length=announced
        )

    async def _forward(self, request: Request, client: str, target: Target) -> Response:
        """Send the request over a kept connection, or a new one, and return the answer.

        A kept connection that the target has closed meanwhile is no failure where repeating a
        request is harmless.
        """
        kept = self._take(target)
        if kept:
            try:
                return await self._exchange(request, client, target, kept)
            except (OSError, MalformedError):
                if request.method not in _MAY_REPEAT:
                    raise
        connection = await asyncio.wait_for(
            asyncio.open_connection(target.address, target.port), _CONNECT_TIMEOUT
        )
        return await self._exchange(request, client, target, connection)

    async def _exchange(
        self, request: Request, client: str, target: Target, connection: _Connection
    ) -> Response:
        reader, writer = connection
        keep = False
        try:
            headers = messages.end_to_end(request.headers)
            headers = _forwarded(headers, client, self.listener)
            writer.write(
                messages.encode_request(request.method, request.target, headers, request.body)
            )
            response = await messages.read_response(reader, request.method)
            keep = response.keeps_alive
        finally:
            idle = self._idle.setdefault(target, [])
            if keep and len(idle) < _KEPT_PER_TARGET:
                idle.append(connection)
            else:
                writer.close()
        return response

    def _take(self, target: Target) -> _Connection | None:
        idle = self._idle.get(target, [])
        while idle:
            reader, writer = idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return None


def choose_action(listener: Listener, target: str) -> Action:
    """Return the action of the rule with the lowest priority whose pattern matches the path."""
    path = target.partition("?")[0]
    for rule in sorted(listener.rules, key=lambda rule: rule.priority):
        if any(_pattern(pattern).fullmatch(path) for pattern in rule.paths):
            return rule.action
    return listener.default


def _pattern(pattern: str) -> re.Pattern[str]:
    """Return a path pattern's expression: `*` any characters, `?` exactly one, case matters."""
    translated = {"*": ".*", "?": "."}
    return re.compile("".join(translated.get(char, re.escape(char)) for char in pattern))


def _forwarded(
    headers: list[tuple[str, str]], client: str, listener: Listener
) -> list[tuple[str, str]]:
    """Add the X-Forwarded headers; the client's address goes after those already there."""
    own = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-port"}
    before = [value for key, value in headers if key.lower() == "x-forwarded-for"]
    return [
        *((key, value) for key, value in headers if key.lower() not in own),
        ("X-Forwarded-For", ", ".join([*before, client])),
        ("X-Forwarded-Proto", listener.protocol.lower()),
        ("X-Forwarded-Port", str(listener.port)),
    ]


def _own(status: int, *, body: str | None = None, close: bool = False) -> bytes:
    reason = HTTPStatus(status).phrase
    if body is None:
        title = f"{status} {reason}"
        body = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    headers = [("Server", "awselb/2.0"), ("Content-Type", "text/html")]
    if close:
        headers.append(("Connection", "close"))
    return messages.encode_response(status, reason, headers, body.encode(), length=None)
