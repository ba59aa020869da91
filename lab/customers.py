"""Customers of the products: the honest measure of outage and loss.

`python -m lab.customers` writes through the products' public names as browsers would (resolving
them, honouring TTLs, keeping connections) and remembers each acknowledged write. On SIGTERM it
asks the products what they have, and saves the comparison.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import secrets
import signal
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from lab import ledger
from lab.names import Resolver

_THINK_SECONDS = 0.1
_RETRY_SECONDS = 0.2
_CONNECT_SECONDS = 2.0
_ANSWER_SECONDS = 5.0
_COMPARE_SECONDS = 15.0
_SAVE_SECONDS = 1.0
_SAVE_SHARE = 0.02
"""Most of the time that summing up a long ledger may take from being a customer."""

PRODUCTS_FILE = "products.json"
"""File in the run folder with all that customers know: the products' names, and the port."""
UNFINISHED = "customers.json"
"""File in the run folder: the experiences so far, nothing compared."""
FINISHED = "customers-finished.json"
"""The experiences at the end, compared with what the products have."""


def main() -> None:
    """Be customers until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m lab.customers", description=__doc__)
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--each", type=int, default=3, help="customers per product")
    given = parser.parse_args()
    enough = threading.Event()

    def stop(_number: int, _frame: object) -> None:
        enough.set()

    signal.signal(signal.SIGTERM, stop)
    shops = find_shops(given.run_dir)
    crowd = [Customer(shop, f"{shop.tag}{n}") for shop in shops for n in range(given.each)]
    threads = [threading.Thread(target=customer.live, args=(enough,)) for customer in crowd]
    for thread in threads:
        thread.start()
    took = 0.0
    while not enough.wait(max(_SAVE_SECONDS, took / _SAVE_SHARE)):
        began = time.monotonic()
        ledger.save(given.run_dir / UNFINISHED, (_sum(shop, crowd, None) for shop in shops))
        took = time.monotonic() - began
    for thread in threads:
        thread.join()
    with ThreadPoolExecutor() as pool:
        present = list(pool.map(Shop.present, shops))
    finished = [_sum(shop, crowd, has) for shop, has in zip(shops, present, strict=True)]
    ledger.save(given.run_dir / FINISHED, finished)


def find_shops(run_dir: Path) -> list[Shop]:
    """Return the products of the lab in `run_dir`."""
    known = json.loads((run_dir / PRODUCTS_FILE).read_bytes())
    resolver = os.environ["STANDBY_RESOLVER"]
    return [
        Shop(product=name, domain=domain, port=known["port"], resolver=Resolver(resolver))
        for name, domain in known["domains"].items()
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A product as its customers know it: a name."""

    product: str
    domain: str
    port: int
    resolver: Resolver
    tag: str = field(default_factory=lambda: f"{secrets.token_hex(4)}-")
    """Start of the ids of all entries of these customers."""

    def connect(self) -> http.client.HTTPSConnection:
        """Return a new connection, made to where the name points now."""
        return _Connection(self)

    def answers(self) -> bool:
        """Whether the product is there and takes writes."""
        return self._ask("/api/health") is not None

    def present(self) -> list[str] | None:
        """Return the ids of these customers' entries that the product has, or None."""
        until = time.monotonic() + _COMPARE_SECONDS
        while time.monotonic() < until:
            found = self._ask(f"/api/entries?prefix={self.tag}")
            if found is not None:
                return json.loads(found)["ids"]
            time.sleep(_RETRY_SECONDS)
        return None

    def _ask(self, path: str) -> bytes | None:
        """Return the answer on a connection of its own, or None when it is not 200."""
        connection = self.connect()
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.read() if answer.status == HTTPStatus.OK else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


class Customer:
    """Writes entry after entry; one whose outcome is unknown is repeated under the same id."""

    def __init__(self, shop: Shop, name: str) -> None:
        self.shop = shop
        self.writes: list[ledger.Write] = []
        self.failed = 0
        self.misread = 0
        self._name = name
        self._connection: http.client.HTTPSConnection | None = None

    def live(self, enough: threading.Event) -> None:
        """Write and read back until it is enough."""
        number = 0
        while not enough.is_set():
            number += 1
            entry = f"{self._name}-{number}"
            site = self._write(entry, enough)
            if site is not None:
                self.writes.append(ledger.Write(id=entry, at=time.time(), site=site))
                self._read(entry)
            enough.wait(_THINK_SECONDS)

    def _write(self, entry: str, enough: threading.Event) -> str | None:
        """Return the site that acknowledged it; None once it is enough."""
        body = json.dumps({"id": entry, "text": f"text of {entry}"})
        while not enough.is_set():
            status, answer = self._ask("POST", "/api/entries", body)
            if status in {HTTPStatus.OK, HTTPStatus.CREATED}:
                return json.loads(answer).get("site", "")
            self.failed += 1
            enough.wait(_RETRY_SECONDS)
        return None

    def _read(self, entry: str) -> None:
        status, answer = self._ask("GET", f"/api/entries/{entry}", None)
        if status == HTTPStatus.NOT_FOUND or (
            status == HTTPStatus.OK and json.loads(answer)["text"] != f"text of {entry}"
        ):
            self.misread += 1

    def _ask(self, method: str, path: str, body: str | None) -> tuple[int | None, bytes]:
        """Return status and body; no status when the connection broke or nothing came."""
        try:
            if self._connection is None:
                self._connection = self.shop.connect()
            kind = {"Content-Type": "application/json"} if body else {}
            self._connection.request(method, path, body, kind)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            return None, b""


class _Connection(http.client.HTTPSConnection):
    """HTTPS to a shop: its name in the certificate and the request, its address from DNS."""

    def __init__(self, shop: Shop) -> None:
        context = ssl.create_default_context()
        super().__init__(shop.domain, shop.port, timeout=_ANSWER_SECONDS, context=context)
        self._shop = shop
        self._tls = context

    def connect(self) -> None:
        """Resolve the name and connect."""
        address = self._shop.resolver.address(self._shop.domain)
        plain = socket.create_connection((address, self._shop.port), timeout=_CONNECT_SECONDS)
        plain.settimeout(_ANSWER_SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self._shop.domain)


def _sum(shop: Shop, crowd: list[Customer], present: list[str] | None) -> ledger.Experience:
    own = [customer for customer in crowd if customer.shop is shop]
    return ledger.experience(
        shop.product,
        [write for customer in own for write in customer.writes],
        failed=sum(customer.failed for customer in own),
        misread=sum(customer.misread for customer in own),
        until=time.time(),
        present=present,
    )


if __name__ == "__main__":
    main()
