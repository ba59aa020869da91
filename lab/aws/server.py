"""The HTTP server under the gateway: a thread per connection, and sockets that can be cut."""

# pyright: reportMissingTypeStubs=false
from __future__ import annotations

import select
import socket
import struct
from typing import TYPE_CHECKING, Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import ThreadedWSGIServer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_SOCKET = "lab.socket"


class _Handler(MotoRequestHandler):
    """Hands the connection's socket to the application and keeps no request log of its own."""

    def make_environ(self) -> dict[str, Any]:
        environ = super().make_environ()
        environ[_SOCKET] = self.connection
        return environ

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Leave it out: the record of calls says more."""

    def connection_dropped(
        self,
        error: BaseException,  # noqa: ARG002 - werkzeug's signature
        environ: dict[str, Any] | None = None,  # noqa: ARG002 - werkzeug's signature
    ) -> None:
        """Close it and leave it at that: a caller that goes away is not the server's failure."""
        self.close_connection = True


class Server(ThreadedWSGIServer):
    """Serves `application` at an address; a thread per connection, none of them waited for."""

    multithread = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(self, address: str, port: int, application: WSGIApplication) -> None:
        super().__init__(address, port, application, handler=_Handler)

    def shutdown_request(self, request: Any) -> None:
        """Close the connection; one that was cut is closed without the farewell of a FIN."""
        if _lingers_not(request):
            request.close()
            return
        super().shutdown_request(request)


def cut(environ: dict[str, Any]) -> ConnectionAbortedError:
    """Make the connection of a request end in a reset, and return what to raise for it."""
    environ[_SOCKET].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return ConnectionAbortedError("the lab cut this connection")


def has_gone(environ: dict[str, Any]) -> bool:
    """Return whether the caller has closed its end."""
    connection: socket.socket = environ[_SOCKET]
    readable, _, _ = select.select([connection], [], [], 0)
    if not readable:
        return False
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except ConnectionError:
        return True


def _lingers_not(connection: socket.socket) -> bool:
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
    except OSError:
        return True
    on, seconds = struct.unpack("ii", raw)
    return bool(on) and seconds == 0
