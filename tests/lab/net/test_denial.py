"""A database that a network ACL keeps from some hosts: silent to those, and to nobody else."""

from __future__ import annotations

import select
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.net.conftest import ADDRESS, ENDPOINT, PASSWORD, USER, connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.net.conftest import RunningNetwork

ANSWER_SECONDS = 20
CLIENT = """
import sys, psycopg2
def session():
    made = psycopg2.connect(sys.argv[1])
    made.autocommit = True
    return made
kept = None
for line in sys.stdin:
    try:
        kept = kept or session()
        kept.cursor().execute("insert into told values (%s)", (line.strip(),))
        print("written", flush=True)
    except psycopg2.OperationalError as error:
        print("failed:", str(error).replace(chr(10), " "), flush=True)
"""

ELSEWHERE = """
import socket, sys
kept = []
for port in sys.argv[2:]:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", int(port)))
    made.connect(("127.0.0.1", int(sys.argv[1])))
    kept.append(made)
print("connected", flush=True)
sys.stdin.read()
"""
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
"""The first message of who wants TLS (PostgreSQL, "Message Formats")."""


class Client:
    """A process on a host, whose guard nobody asks: it writes every line that it is given."""

    def __init__(self, folder: Path, target: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, target],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def send(self, line: str) -> None:
        assert self.process.stdin
        print(line, file=self.process.stdin, flush=True)

    def answer(self) -> str:
        assert self.process.stdout
        ready, _, _ = select.select([self.process.stdout], [], [], ANSWER_SECONDS)
        assert ready, "it heard nothing"
        return self.process.stdout.readline().strip()

    def write(self, line: str) -> str:
        self.send(line)
        return self.answer()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(name="on_host")
def _on_host(
    run_dir: Path, network: RunningNetwork, port: int
) -> Iterator[Callable[[str], Client]]:
    clients: list[Client] = []
    with closing(connect(network, port)) as own:
        own.autocommit = True
        own.cursor().execute("drop table if exists told; create table told (what text)")
    target = f"host={ENDPOINT} hostaddr={ADDRESS} port={port} user={USER} dbname=rlg"
    target += f" sslmode=verify-full sslrootcert={network.ca} connect_timeout=2 password="
    target += "'" + PASSWORD.replace("\\", "\\\\").replace("'", "\\'") + "'"

    def on_host(instance: str) -> Client:
        clients.append(Client(run_dir / "hosts" / instance, target))
        return clients[-1]

    yield on_host
    for client in clients:
        client.kill()


def close_to(network: RunningNetwork, *instances: str) -> None:
    (database,) = network.world.fields["databases"]
    network.set(databases=[database | {"closed_to": list(instances)}])


def told(network: RunningNetwork, port: int) -> list[str]:
    """Return what the database holds, asked from no host: as a control host does."""
    with closing(connect(network, port)) as own, own.cursor() as cursor:
        cursor.execute("select what from told order by what")
        return [what for (what,) in cursor.fetchall()]


def test_an_established_connection_falls_silent_until_the_entry_is_gone(
    network: RunningNetwork, port: int, on_host: Callable[[str], Client]
) -> None:
    denied, other = on_host("i-1"), on_host("i-2")
    assert (denied.write("1"), other.write("2")) == ("written", "written")
    close_to(network, "i-1")
    denied.send("3")
    # Each of these takes longer than what was sent before would have taken.
    assert other.write("4") == "written"
    assert on_host("i-1").write("5").startswith("failed: ")
    assert told(network, port) == ["1", "2", "4"]
    close_to(network)
    assert denied.answer() == "written"
    assert told(network, port) == ["1", "2", "3", "4"]


def test_a_new_connection_gets_no_answer_and_others_do(
    network: RunningNetwork, port: int, on_host: Callable[[str], Client]
) -> None:
    close_to(network, "i-1")
    assert "timeout expired" in on_host("i-1").write("1")
    assert on_host("i-2").write("2") == "written"
    assert told(network, port) == ["2"]
    close_to(network)
    assert on_host("i-1").write("3") == "written"


def test_what_a_dead_process_had_sent_never_arrives(
    network: RunningNetwork,
    port: int,
    on_host: Callable[[str], Client],
    eventually: Callable[..., Any],
) -> None:
    denied = on_host("i-1")
    assert denied.write("1") == "written"
    close_to(network, "i-1")
    denied.send("2")
    assert on_host("i-1").write("3").startswith("failed: ")
    denied.kill()
    close_to(network)
    with closing(connect(network, port)) as own, own.cursor() as cursor:
        own.autocommit = True

        def alone() -> bool:
            cursor.execute(
                "select count(*) from pg_stat_activity where datname = 'rlg'"
                " and pid <> pg_backend_pid()"
            )
            return cursor.fetchone() == (0,)

        eventually(alone)  # its session has ended, with whatever reached it
    assert told(network, port) == ["1"]


def test_a_connection_is_told_from_another_one_of_a_host_that_has_the_same_port(
    run_dir: Path, network: RunningNetwork, port: int
) -> None:
    folder = run_dir / "hosts" / "i-1"
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        elsewhere = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=16))
        ours = [stack.enter_context(leaving("127.0.0.1", 0)) for _ in range(8)]
        for each in ours:
            each.connect((ADDRESS, port))
        ports = [str(each.getsockname()[1]) for each in ours]
        arguments = [sys.executable, "-c", ELSEWHERE, str(elsewhere.getsockname()[1]), *ports]
        host = stack.enter_context(
            subprocess.Popen(
                arguments, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        )
        assert host.stdout
        assert host.stdout.readline() == "connected\n"
        close_to(network, "i-1")
        for each in ours:
            each.settimeout(ANSWER_SECONDS)
            each.sendall(SSL_REQUEST)
            assert each.recv(1) == b"S"


def leaving(address: str, port: int) -> socket.socket:
    """Return a socket that leaves from there, also where another one does."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, port))
    return made
