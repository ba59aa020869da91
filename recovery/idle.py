"""Answers for a host whose services do not run, so that nobody recycles it for being silent.

A service's health check gets 200, as a balancer must take an idle standby for well; all else gets
503 and the site that is assigned. A host of that very site, which would serve if enough tables
answered, is not well: its balancer is to send customers to the others.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from recovery.topology import Service

_RETRY_AFTER_SECONDS = 5
_CLIENT_SECONDS = 5.0
_BODY_BYTES = 65536
"""Most of a request's body that is read before it is refused."""


@dataclass(slots=True, kw_only=True)
class Idle:
    """The ports of a product's services, while the services themselves do not run."""

    address: str
    site: str
    services: tuple[Service, ...]
    assigned: Callable[[], str | None]
    """Return the site that is assigned, as far as it is known."""
    _listening: dict[int, tuple[socket.socket, Service]] = field(
        default_factory=dict[int, tuple[socket.socket, "Service"]]
    )
    _stop: socket.socket | None = None
    _thread: threading.Thread | None = None
    _connected: set[socket.socket] = field(default_factory=set[socket.socket])

    def open(self) -> None:
        """Listen on every port, unless that is so already; raise OSError where one is taken."""
        if self._thread is not None:
            return
        try:
            for service in self.services:
                listener = socket.create_server((self.address, service.port), backlog=128)
                listener.setblocking(False)
                self._listening[listener.fileno()] = (listener, service)
        except OSError:
            self._let_go()
            raise
        self._stop, stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, args=(stopped,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give the ports up, and end every connection; both are done on return."""
        if self._thread is None or self._stop is None:
            return
        self._stop.close()
        self._thread.join()
        self._thread = self._stop = None
        self._let_go()
        for connection in tuple(self._connected):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _let_go(self) -> None:
        for listener, _ in self._listening.values():
            listener.close()
        self._listening.clear()

    def _serve(self, stopped: socket.socket) -> None:
        with stopped:
            events = select.poll()
            for number in (stopped.fileno(), *self._listening):
                events.register(number, select.POLLIN)
            while True:
                for number, _ in events.poll():
                    if number == stopped.fileno():
                        return
                    self._accept(*self._listening[number])

    def _accept(self, listener: socket.socket, service: Service) -> None:
        try:
            connection, client = listener.accept()
        except OSError:
            return  # it has left again, or this process has no descriptor to spare
        self._connected.add(connection)
        threading.Thread(target=self._talk, args=(connection, client, service), daemon=True).start()

    def _talk(self, connection: socket.socket, client: object, service: Service) -> None:
        try:
            with connection, contextlib.suppress(OSError):
                connection.settimeout(_CLIENT_SECONDS)
                _Handler(connection, client, cast("Any", (self, service)))
        finally:
            self._connected.discard(connection)


class _Handler(BaseHTTPRequestHandler):
    """One connection; HTTP/1.0, so that none outlives its answer."""

    server: Any

    def _answer(self) -> None:
        idle, service = self.server
        with contextlib.suppress(ValueError):
            self.rfile.read(min(int(self.headers.get("Content-Length") or 0), _BODY_BYTES))
        assigned = idle.assigned()
        is_check = self.path.partition("?")[0] == service.health_path
        well = is_check and assigned != idle.site
        status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
        body = json.dumps({"service": service.name, "status": "idle", "assigned": assigned})
        self.send_response(status)
        if not well:
            self.send_header("Retry-After", str(_RETRY_AFTER_SECONDS))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
        """Keep quiet: the balancer's checks alone would fill the log."""
