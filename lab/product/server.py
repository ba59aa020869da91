"""One host of the sample product: `python -m lab.product.server`.

All services of the product in one process, each on its own port. What the host is comes from its
environment, as the launch template wrote it into the host's user data.
"""

from __future__ import annotations

import json
import os
import re
import socketserver
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

import psycopg2

from lab.names import Resolver
from lab.product import services
from lab.product.aws import Client, RequestFailedError
from lab.product.database import Database, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEALTH = "/health"


def main() -> None:
    """Serve until killed."""
    place = make_place(os.environ)
    listeners = [
        Listener(os.environ["STANDBY_ADDRESS"], service["port"], service["name"], place)
        for service in json.loads(os.environ["STANDBY_SERVICES"])
    ]
    for listener in listeners[1:]:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
    listeners[0].serve_forever()


def make_place(environment: Mapping[str, str]) -> services.Place:
    """Return what the services of a host with this environment stand on; nothing is asked yet."""
    aws = Client(environment)
    secret = environment["STANDBY_DATABASE_SECRET"]
    return services.Place(
        product=environment["STANDBY_PRODUCT"],
        site=environment["STANDBY_SITE"],
        database=Database(
            host=environment["STANDBY_DATABASE_HOST"],
            name=environment["STANDBY_DATABASE_NAME"],
            resolver=Resolver(environment["STANDBY_RESOLVER"]),
            credentials=lambda: aws.secret(secret),
        ),
        aws=aws,
        file_bucket=environment["STANDBY_FILES_BUCKET"],
        frontend_bucket=environment["STANDBY_FRONTEND_BUCKET"],
        pages={},
    )


class Listener(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """One service on its port; a thread for each connection, as balancers keep few and long."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: str, port: int, service: str, place: services.Place) -> None:
        self.service = service
        self.place = place
        super().__init__((address, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing when a peer goes away in the middle; anything else is printed."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 75.0
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def _serve(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = self._answer(method, body)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def _answer(self, method: str, body: bytes) -> services.Answer:
        target = urlsplit(self.path)
        listener = self.server
        assert isinstance(listener, Listener)
        if target.path == _HEALTH:
            return services.say({"status": "ok", "service": listener.service})
        try:
            answer, captured = services.find(listener.service, method, unquote(target.path))
            token = re.fullmatch(r"Bearer (\S+)", self.headers.get("Authorization") or "")
            return answer(
                listener.place,
                services.Request(
                    captured=captured,
                    query=dict(parse_qsl(target.query)),
                    body=body,
                    content_type=self.headers.get("Content-Type") or "application/octet-stream",
                    token=token[1] if token else None,
                ),
            )
        except services.RefusedError as error:
            return services.say({"error": str(error)}, error.status)
        except psycopg2.DataError as error:
            return services.say({"error": str(error).strip()}, HTTPStatus.BAD_REQUEST)
        except (UnavailableError, RequestFailedError, psycopg2.Error) as error:
            return services.say({"error": str(error).strip()}, HTTPStatus.SERVICE_UNAVAILABLE)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is inherited
        """Keep quiet: the balancer's checks alone would fill the log."""


if __name__ == "__main__":
    main()
