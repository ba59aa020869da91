"""What one host is, and the one way in which its guard tells what it sees."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime

saying = threading.RLock()
"""Held while a line is written, as every duty has lines to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What this host is, as its launch template says."""

    product: str
    site: str
    region: str
    address: str
    """Where the services of this host listen."""
    command: tuple[str, ...]
    """What runs them; or, on a worker, its work."""
    is_worker: bool
    """Whether it has neither ports nor a part in heartbeat and metrics."""
    database_host: str
    database_port: int
    database_name: str
    resolver: str | None


def announce(host: Host, topic: str, state: str, why: str = "") -> None:
    """Print one JSON line about a change; nothing in it is secret.

    A worker's standard output is its command's: there the line goes to standard error.
    """
    line = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "product": host.product,
        "site": host.site,
        "topic": topic,
        "state": state,
    }
    output = sys.stderr if host.is_worker else sys.stdout
    try:
        with saying:
            output.write(json.dumps(line | ({"why": why} if why else {})) + "\n")
            output.flush()
    except OSError:
        return  # a full disk under the log stops no guard
