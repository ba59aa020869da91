"""Customers resolve, write, retry and remember as browsers and people do."""

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from lab.customers import Customer, Shop
from lab.names import Resolver
from lab.net import authority

NAME = "data.rlg.example"


class Names(Resolver):
    """A resolver with one answer, which counts the questions."""

    def __init__(self, address):
        super().__init__("127.0.0.1:1")
        self.now = address
        self.asked = 0

    def address(self, name):
        assert name == NAME
        self.asked += 1
        return self.now


class Site(ThreadingHTTPServer):
    """A product of one table in memory, behind TLS, whose behaviour a test sets."""

    def __init__(self, address, certificate):
        super().__init__((address, 0), Handler)
        self.entries = []
        self.connections = 0
        self.before = lambda: None
        """Returns a status to refuse the write with, or None."""
        self.after = lambda: None
        """Returns whether to break off instead of acknowledging."""
        context = certificate.server_context()
        self.socket = context.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, *_):
        pass


class Handler(BaseHTTPRequestHandler):
    server: Any
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.server.connections += 1

    def do_POST(self):
        site = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if status := site.before():
            self.answer(status, {})
            return
        new = body["id"] not in site.entries
        if new:
            site.entries.append(body["id"])
        if site.after():
            self.close_connection = True
        else:
            self.answer(201 if new else 200, body | {"site": "dr"})

    def do_GET(self):
        entry = self.path.rpartition("/")[2]
        if "?" in self.path:
            self.answer(200, {"ids": self.server.entries})
        elif entry in self.server.entries:
            self.answer(200, {"id": entry, "text": f"text of {entry}"})
        else:
            self.answer(404, {})

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.fixture
def site(tmp_path, monkeypatch):
    made = authority.create(tmp_path / "ca")
    monkeypatch.setitem(os.environ, "SSL_CERT_FILE", str(made.certificate))
    site = Site("127.0.0.1", made.issue([NAME]))
    yield site
    site.shutdown()
    site.server_close()


@pytest.fixture
def shop(site):
    return Shop(
        product="rlg-data", domain=NAME, port=site.server_address[1], resolver=Names("127.0.0.1")
    )


@pytest.fixture
def live(shop):
    """Let a customer live until a condition holds; return the customer."""

    def live(until):
        customer = Customer(shop, f"{shop.tag}1")
        enough = threading.Event()
        thread = threading.Thread(target=customer.live, args=(enough,))
        thread.start()
        deadline = time.monotonic() + 10
        while not until(customer):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        enough.set()
        thread.join()
        if customer._connection is not None:
            customer._connection.close()
        return customer

    return live


def test_each_acknowledged_write_is_remembered_and_read_back(site, live, shop):
    customer = live(lambda customer: len(customer.writes) >= 3)
    assert [write.id for write in customer.writes] == site.entries
    assert (customer.failed, customer.misread) == (0, 0)
    assert {write.site for write in customer.writes} == {"dr"}
    assert shop.present() == site.entries


def test_a_connection_is_kept_so_a_name_is_not_asked_for_again(site, live, shop):
    live(lambda customer: len(customer.writes) >= 3)
    assert (site.connections, shop.resolver.asked) == (1, 1)


def test_a_write_whose_outcome_is_unknown_is_repeated_under_the_same_id(site, live):
    breaks = iter([True])
    site.after = lambda: next(breaks, False)
    customer = live(lambda customer: len(customer.writes) >= 2)
    assert [write.id for write in customer.writes] == site.entries
    assert customer.failed == 1


def test_a_refused_write_is_repeated_until_it_is_taken(site, live):
    refusals = iter([503, 503])
    site.before = lambda: next(refusals, None)
    customer = live(lambda customer: len(customer.writes) >= 1)
    assert (customer.failed, len(site.entries)) == (2, len(customer.writes))


def test_an_acknowledged_write_that_is_not_there_is_misread(site, live):
    site.after = site.entries.clear
    customer = live(lambda customer: len(customer.writes) >= 1)
    assert customer.misread >= 1


def test_a_server_without_the_products_certificate_is_no_product(tmp_path, live, site, monkeypatch):
    other = authority.create(tmp_path / "other")
    monkeypatch.setitem(os.environ, "SSL_CERT_FILE", str(other.certificate))
    customer = live(lambda customer: customer.failed >= 1)
    assert customer.writes == []
