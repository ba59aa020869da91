"""The lab's own controls, beside AWS's API on the same socket: JSON over HTTP under /_lab/."""

from __future__ import annotations

import http.client
import json
from typing import Any

ADDRESS = "127.0.53.1"
PORT = 4566
ENDPOINT = f"http://{ADDRESS}:{PORT}"
_TIMEOUT_SECONDS = 30.0


class NotAnsweringError(Exception):
    """The lab's AWS process cannot be reached or refused a control; the message says which."""


def get(path: str) -> Any:
    """Return what /_lab/`path` answers."""
    return _call("GET", path, None)


def post(path: str, body: object) -> Any:
    """Send `body` to /_lab/`path` and return the answer."""
    return _call("POST", path, body)


def _call(method: str, path: str, body: object) -> Any:
    connection = http.client.HTTPConnection(ADDRESS, PORT, timeout=_TIMEOUT_SECONDS)
    try:
        given = None if body is None else json.dumps(body)
        connection.request(method, f"/_lab/{path}", given, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        msg = f"the lab does not answer at {ENDPOINT} ({error}); see: python -m lab status"
        raise NotAnsweringError(msg) from error
    finally:
        connection.close()
    if answer.status >= http.HTTPStatus.BAD_REQUEST:
        msg = f"{method} /_lab/{path}: {answer.status} {content.decode(errors='replace').strip()}"
        raise NotAnsweringError(msg)
    return json.loads(content) if content else None
