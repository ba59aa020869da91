"""A fake of the AWS process's control API, and the real network and resolver run against it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psycopg2
import pytest

from lab.data import postgres


class FakeWorld:
    """Serves a world that a test edits; remembers the health that is posted to it."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.fields: dict[str, Any] = {"version": 1, "speed": 100.0}
        self.health: dict[str, dict[str, str]] = {}
        self.broken = False
        self.start(0)

    def start(self, port: int) -> None:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                after = int(self.path.partition("after=")[2])
                with fake.changed:
                    fake.changed.wait_for(lambda: fake.fields["version"] > after, 1)
                    body = json.dumps(fake.fields).encode()
                if fake.broken:
                    body = body[: len(body) // 2]
                self.answer(body)

            def do_POST(self) -> None:
                fake.health = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.answer(b"{}")

            def answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # its client was ended
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def set(self, **fields: Any) -> int:
        with self.changed:
            self.fields |= fields
            self.fields["version"] += 1
            self.changed.notify_all()
            return self.fields["version"]


OURS = "127.77.3.1"  # no outgoing connection takes a port of this address


def free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def eventually(claim: Callable[[], Any], seconds: float = 10) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := claim()):
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.01)
    return value


@pytest.fixture(name="eventually")
def _eventually() -> Callable[..., Any]:
    return eventually


@pytest.fixture(name="free_port")
def _free_port() -> Callable[[str], int]:
    return free_port


@pytest.fixture(name="run_dir", scope="module")
def _run_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="standby-net-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(name="world", scope="module")
def _world() -> Iterator[FakeWorld]:
    world = FakeWorld()
    yield world
    world.stop()


class RunningNetwork:
    """`python -m lab.net`, and what its control answers."""

    def __init__(self, run_dir: Path, world: FakeWorld) -> None:
        self.ca = run_dir / "ca" / "ca.pem"
        self.world = world
        self.control = f"{OURS}:{free_port(OURS)}"
        self.process = _spawn(run_dir, world, "lab.net", "--control", self.control)
        eventually(self.state)

    def state(self) -> dict[str, Any] | None:
        try:
            with urlopen(f"http://{self.control}/", timeout=5) as answer:
                return json.load(answer)
        except OSError:
            assert self.process.poll() is None
            return None

    def set(self, **fields: Any) -> None:
        """Change the world and wait until the network agrees with it."""
        version = self.world.set(**fields)
        eventually(lambda: (self.state() or {"version": -1})["version"] == version)


@pytest.fixture(name="network", scope="module")
def _network(run_dir: Path, world: FakeWorld) -> Iterator[RunningNetwork]:
    network = RunningNetwork(run_dir, world)
    yield network
    _end(network.process)


@pytest.fixture(name="resolver")
def _resolver(run_dir: Path, world: FakeWorld) -> Iterator[tuple[str, int]]:
    port = free_port(OURS)
    process = _spawn(run_dir, world, "lab.net.dns", "--listen", f"{OURS}:{port}")
    yield OURS, port
    _end(process)


def _spawn(
    run_dir: Path, world: FakeWorld, module: str, *arguments: str
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", module, "--run-dir", str(run_dir), "--world", world.url]
    environment = os.environ | {"PYTHONDEVMODE": "1"}
    return subprocess.Popen([*command, *arguments], cwd=run_dir, env=environment)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) in {0, -signal.SIGTERM}


ENDPOINT = "rlg-data-primary-1.cafe.us-east-1.rds.amazonaws.com"
EAST, WEST = "us-east-1", "us-west-2"
ADDRESS, LINK = "127.77.1.1", "127.77.1.2"
USER, PASSWORD = "standby", "p'w \\d"


@pytest.fixture(name="server", scope="module")
def _server() -> Iterator[postgres.Server]:
    run_dir = Path(tempfile.mkdtemp(prefix="standby-net-", dir="/tmp"))
    run_dir.chmod(0o755)
    server = postgres.initialise(
        run_dir / "pg" / "rlg-data-primary-1",
        username=USER,
        password=PASSWORD,
        database="rlg",
        parameters={},
    )
    yield server
    server.kill()
    shutil.rmtree(run_dir)


@pytest.fixture(name="port")
def _port(network: RunningNetwork, server: postgres.Server, free_port: Callable[[str], int]) -> int:
    port = free_port(ADDRESS)
    database = {"id": "rlg-data-primary-1", "region": EAST, "arn": "arn:db", "endpoint": ENDPOINT}
    database |= {"address": ADDRESS, "port": port, "socket": str(server.socket_folder)}
    network.set(databases=[database | {"state": "up"}])
    return port


def connect(network: RunningNetwork, port: int, **changes: Any) -> Any:
    return psycopg2.connect(
        **{
            "host": ENDPOINT,
            "hostaddr": ADDRESS,
            "port": port,
            "user": USER,
            "password": PASSWORD,
            "dbname": "rlg",
            "sslmode": "verify-full",
            "sslrootcert": str(network.ca),
            "connect_timeout": 10,
        }
        | changes
    )
