from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from lab.net.balancer import choose_action
from lab.net.health import Condition, matches
from lab.net.world import Action, Check, Listener, Rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.net.conftest import RunningNetwork

    Eventually = Callable[..., Any]

BALANCER = "127.77.0.1"
DNS = "rlg-data-primary-1.us-east-1.elb.amazonaws.com"
PUBLIC = "data.rlg.example"


class Service:
    """A target: answers who it is and what it was sent, or dies in the middle of an answer."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.well = True
        self.connections: set[Any] = set()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                service.answer(self, b"")

            do_HEAD = do_GET  # noqa: N815  # http.server's

            def do_POST(self) -> None:
                service.answer(self, self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        if handler.path == "/health":
            handler.send_response(200 if self.well else 500)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        self.connections.add(handler.client_address)
        if handler.path == "/dies":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            handler.wfile.flush()
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
            return
        seen = {"service": self.name, "headers": dict(handler.headers), "body": body.decode()}
        content = json.dumps(seen | {"path": handler.path}).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(content)


@pytest.fixture(name="services")
def _services() -> Iterator[dict[str, Service]]:
    services = {name: Service(name) for name in ("api", "frontend")}
    yield services
    for service in services.values():
        service.server.shutdown()
        service.server.server_close()


@pytest.fixture(name="port")
def _port(
    network: RunningNetwork,
    services: dict[str, Service],
    eventually: Eventually,
    free_port: Callable[[str], int],
) -> int:
    port = free_port(BALANCER)
    network.set(**balanced(port, services))
    well = {name: {"i-1": "healthy"} for name in services}
    eventually(lambda: (network.state() or {}).get("health") == well)  # what was posted may be old
    return port


def balanced(port: int, services: dict[str, Service]) -> dict[str, Any]:
    rules = [{"priority": 10, "paths": ["/api/*"], "action": {"target_group": "api"}}]
    listener = {"port": port, "protocol": "HTTPS", "rules": rules}
    listener["default"] = {"target_group": "frontend"}
    return {
        "regions": {"us-east-1": "up"},
        "balancers": [
            {"arn": "arn:lb", "name": "rlg-data-primary", "dns": DNS, "region": "us-east-1"}
            | {"address": BALANCER, "listeners": [listener]}
        ],
        "target_groups": {
            name: {
                "region": "us-east-1",
                "health": {"path": "/health", "interval": 5, "matcher": "200"}
                | {"threshold_healthy": 2, "threshold_unhealthy": 2, "timeout": 2},
                "targets": [{"id": "i-1", "address": "127.0.0.1", "port": service.port}],
            }
            for name, service in services.items()
        },
        "zones": [
            {
                "name": "rlg.example.",
                "id": "Z1",
                "records": [{"name": f"{PUBLIC}.", "type": "A", "alias": {"name": f"{DNS}."}}],
            }
        ],
    }


class Client(http.client.HTTPSConnection):
    """A customer: connects to the balancer's address, and checks the certificate for a name."""

    def __init__(self, network: RunningNetwork, port: int, name: str = PUBLIC) -> None:
        self._trust = ssl.create_default_context(cafile=str(network.ca))
        super().__init__(name, port, context=self._trust, timeout=10)

    def connect(self) -> None:
        plain = socket.create_connection((BALANCER, self.port), 10)
        self.sock = self._trust.wrap_socket(plain, server_hostname=self.host)

    def get(self, path: str) -> tuple[int, Any]:
        self.request("GET", path)
        answer = self.getresponse()
        body = answer.read()
        return answer.status, json.loads(body) if answer.status == 200 else body


def test_paths_go_to_the_rule_s_service_and_the_rest_to_the_default(
    network: RunningNetwork, port: int
) -> None:
    client = Client(network, port)
    assert client.get("/api/payments?x=1")[1]["service"] == "api"
    assert client.get("/api/payments?x=1")[1]["path"] == "/api/payments?x=1"
    assert client.get("/")[1]["service"] == "frontend"
    client.close()


def test_the_balancer_proves_the_public_name_and_its_own_and_no_other(
    network: RunningNetwork, port: int
) -> None:
    for name in (PUBLIC, DNS):
        client = Client(network, port, name)
        assert client.get("/")[0] == 200
        client.close()
    with pytest.raises(ssl.SSLCertVerificationError):
        Client(network, port, "fans.rlg.example").get("/")


def test_targets_learn_the_client_s_address_and_protocol(
    network: RunningNetwork, port: int
) -> None:
    client = Client(network, port)
    client.request("POST", "/api/x", body=b"hello", headers={"X-Forwarded-For": "10.9.9.9"})
    seen = json.load(client.getresponse())
    client.close()
    assert seen["body"] == "hello"
    assert seen["headers"]["Host"] == f"{PUBLIC}:{port}"
    assert seen["headers"]["X-Forwarded-For"] == "10.9.9.9, 127.0.0.1"
    assert seen["headers"]["X-Forwarded-Proto"] == "https"


def test_connections_to_targets_are_kept(
    network: RunningNetwork, port: int, services: dict[str, Service]
) -> None:
    for _ in range(5):
        client = Client(network, port)
        assert client.get("/api/x")[0] == 200
        client.close()
    assert len(services["api"].connections) == 1


@pytest.mark.parametrize("path", ["/api/x", "/teapot"], ids=["forwarded", "its-own-answer"])
def test_a_client_that_goes_on_asking_is_let_go_after_the_time_for_keeping_alive(
    network: RunningNetwork, port: int, services: dict[str, Service], path: str
) -> None:
    fields = balanced(port, services)
    listener = fields["balancers"][0]["listeners"][0]
    listener["rules"] += [{"priority": 1, "paths": ["/teapot"], "action": {"fixed": 418}}]
    fields["balancers"][0]["keep_alive"] = 110.0  # at a speed of 100
    network.set(**fields)
    client = Client(network, port)
    began = time.monotonic()
    while True:
        client.request("GET", path)
        answer = client.getresponse()
        answer.read()
        if answer.headers["Connection"] == "close":
            break
        assert time.monotonic() - began < 10
        time.sleep(0.05)
    client.close()
    assert time.monotonic() - began > 1


def test_a_head_request_announces_the_length_and_sends_no_body(
    network: RunningNetwork, port: int
) -> None:
    client = Client(network, port)
    client.request("HEAD", "/api/x")
    answer = client.getresponse()
    assert int(answer.headers["Content-Length"]) > 0
    assert answer.read() == b""
    assert client.get("/")[0] == 200
    client.close()


def test_a_target_that_dies_in_the_middle_of_an_answer_is_502(
    network: RunningNetwork, port: int
) -> None:
    client = Client(network, port)
    assert client.get("/dies")[0] == 502
    assert client.get("/")[0] == 200
    client.close()


def test_no_healthy_target_is_503_and_its_recovery_is_noticed(
    network: RunningNetwork, port: int, services: dict[str, Service], eventually: Eventually
) -> None:
    client = Client(network, port)
    services["api"].well = False
    eventually(lambda: network.world.health["api"]["i-1"] == "unhealthy")
    assert client.get("/api/x")[0] == 503
    services["api"].well = True
    eventually(lambda: network.world.health["api"]["i-1"] == "healthy")
    assert client.get("/api/x")[0] == 200
    client.close()


def test_rules_can_be_replaced_while_connections_live(
    network: RunningNetwork, port: int, services: dict[str, Service]
) -> None:
    client = Client(network, port)
    assert client.get("/")[0] == 200
    fields = balanced(port, services)
    fields["balancers"][0]["listeners"][0] |= {
        "rules": [],
        "default": {"fixed": 503, "body": "moved away"},
    }
    network.set(**fields)
    assert client.get("/") == (503, b"moved away")
    client.close()


def test_a_dead_region_resets_connections_at_once_and_refuses_new_ones(
    network: RunningNetwork, port: int, eventually: Eventually
) -> None:
    client = Client(network, port)
    assert client.get("/")[0] == 200
    began = time.monotonic()
    network.world.set(regions={"us-east-1": "dead"})
    # Below TLS: some versions of Python report a reset there as an orderly end.
    plain = socket.socket(fileno=client.sock.detach())
    plain.settimeout(10)
    with plain, pytest.raises(ConnectionResetError):
        plain.recv(1)
    assert time.monotonic() - began < 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((BALANCER, port))
    network.set(regions={"us-east-1": "up"})
    revived = Client(network, port)
    assert eventually(lambda: revived.get("/")[0] == 200)
    revived.close()
    client.close()


def test_the_network_survives_a_world_that_is_away_and_talks_nonsense(
    network: RunningNetwork, port: int, services: dict[str, Service]
) -> None:
    world = network.world
    where = world.server.server_port
    world.stop()
    client = Client(network, port)
    assert client.get("/")[0] == 200
    world.broken = True
    world.start(where)
    time.sleep(0.5)
    assert client.get("/")[0] == 200
    world.broken = False
    client.close()
    network.set(**(balanced(port, services) | {"balancers": []}))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((BALANCER, port))


def test_the_lowest_priority_wins_and_patterns_match_as_the_balancer_s_do() -> None:
    first, second, rest = Action(fixed=201), Action(fixed=202), Action(fixed=404)
    listener = Listener(
        port=443,
        default=rest,
        rules=(
            Rule(priority=2, paths=("/a*",), action=second),
            Rule(priority=1, paths=("/a?c", "/[x]"), action=first),
        ),
    )
    assert choose_action(listener, "/abc") is first
    assert choose_action(listener, "/[x]?q=1") is first
    assert choose_action(listener, "/abbc") is second
    assert choose_action(listener, "/A") is rest


def test_a_new_target_needs_one_good_answer_and_an_old_one_the_thresholds() -> None:
    condition = Condition(Check(threshold_healthy=3, threshold_unhealthy=2))
    assert condition.state == "initial"
    assert condition.observe(good=True)
    assert condition.state == "healthy"
    assert not condition.observe(good=False)
    assert not condition.observe(good=True)
    assert not condition.observe(good=False)
    assert condition.observe(good=False)
    assert [condition.observe(good=True) for _ in range(3)] == [False, False, True]


def test_a_matcher_is_codes_and_ranges() -> None:
    assert matches("200,300-302", 301)
    assert not matches("200,300-302", 299)
