from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from psycopg2.errors import QueryCanceled, UndefinedTable

from lab.data import postgres
from tests.lab.net.conftest import ADDRESS, EAST, LINK, USER, WEST, connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.net.conftest import RunningNetwork

    Eventually = Callable[..., Any]


def test_the_endpoint_speaks_tls_under_its_own_name(network: RunningNetwork, port: int) -> None:
    with closing(connect(network, port)) as connection, connection.cursor() as cursor:
        assert connection.info.ssl_in_use
        cursor.execute("SELECT current_user, length(repeat('x', 3000000))")
        assert cursor.fetchone() == (USER, 3000000)


def test_another_name_is_not_proven(network: RunningNetwork, port: int) -> None:
    with pytest.raises(psycopg2.OperationalError, match="does not match host name"):
        connect(network, port, host="other.us-east-1.rds.amazonaws.com")


def test_a_wrong_password_is_refused(network: RunningNetwork, port: int) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        connect(network, port, password="guess")


def test_without_tls_the_answer_is_that_of_rds(network: RunningNetwork, port: int) -> None:
    said = (
        f'no pg_hba.conf entry for host "127.0.0.1", user "{USER}", database "rlg", no encryption'
    )
    with pytest.raises(psycopg2.OperationalError, match=said):
        connect(network, port, sslmode="disable")


def test_plain_bytes_after_the_request_for_tls_end_the_connection(
    network: RunningNetwork, port: int
) -> None:
    with socket.create_connection((ADDRESS, port), 10) as plain:
        plain.sendall(struct.pack("!ii", 8, 80877103) + b"injected")
        assert plain.recv(1) == b""


def test_gss_encryption_is_declined_and_tls_may_follow(network: RunningNetwork, port: int) -> None:
    with socket.create_connection((ADDRESS, port), 10) as plain:
        plain.sendall(struct.pack("!ii", 8, 80877104))
        assert plain.recv(1) == b"N"
        plain.sendall(struct.pack("!ii", 8, 80877103))
        assert plain.recv(1) == b"S"


def test_a_query_can_be_cancelled(network: RunningNetwork, port: int) -> None:
    with closing(connect(network, port)) as connection, connection.cursor() as cursor:
        timer = threading.Timer(0.3, connection.cancel)
        timer.start()
        began = time.monotonic()
        with pytest.raises(QueryCanceled):
            cursor.execute("SELECT pg_sleep(20)")
        assert time.monotonic() - began < 5
        timer.join()


def test_a_dead_region_ends_sessions_at_once_and_refuses_new_ones(
    network: RunningNetwork, port: int
) -> None:
    with closing(connect(network, port)) as connection:
        network.set(regions={EAST: "dead"})
        with connection.cursor() as cursor, pytest.raises(psycopg2.OperationalError):
            cursor.execute("SELECT 1")
    with pytest.raises(psycopg2.OperationalError, match="refused"):
        connect(network, port)
    network.set(regions={EAST: "up"})
    connect(network, port).close()


@pytest.fixture(name="standby")
def _standby(
    network: RunningNetwork, server: postgres.Server, free_port: Callable[[str], int]
) -> Iterator[postgres.Server]:
    port = free_port(LINK)
    replica = {"id": "rlg-data-dr-1", "source_arn": "arn:db", "source_region": EAST, "region": WEST}
    replica |= {"link_address": LINK, "link_port": port}
    network.set(replicas=[replica | {"source_socket": str(server.socket_folder)}])
    standby = postgres.replicate(
        server.folder.parent / "rlg-data-dr-1",
        source_host=LINK,
        source_port=port,
        slot="rlg_data_dr_1",
        parameters={},
    )
    yield standby
    standby.kill()
    server.drop_slot("rlg_data_dr_1")


def write(server: postgres.Server) -> str:
    with server.admin() as admin, admin.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS written (at timestamptz)")
        cursor.execute("INSERT INTO written VALUES (now()) RETURNING pg_current_wal_insert_lsn()")
        row = cursor.fetchone()
        assert row
        return row[0]


def rows(server: postgres.Server) -> int:
    with server.admin() as admin, admin.cursor() as cursor:
        try:
            cursor.execute("SELECT count(*) FROM written")
        except UndefinedTable:
            return 0
        row = cursor.fetchone()
        assert row
        return row[0]


def test_a_cut_link_stops_the_stream_and_a_healed_one_loses_nothing(
    network: RunningNetwork,
    server: postgres.Server,
    standby: postgres.Server,
    eventually: Eventually,
) -> None:
    write(server)
    expected = rows(server)
    eventually(lambda: rows(standby) == expected)
    network.set(links={f"{EAST}>{WEST}": {"state": "cut", "delay_ms": 0}})
    write(server)
    eventually(lambda: standby.lag() is None)
    assert rows(standby) == expected
    network.set(links={f"{EAST}>{WEST}": {"state": "up", "delay_ms": 0}})
    eventually(lambda: rows(standby) == expected + 1)
    eventually(lambda: standby.lag() == 0)


def test_a_slow_link_delays_what_it_carries(
    network: RunningNetwork,
    server: postgres.Server,
    standby: postgres.Server,
    eventually: Eventually,
) -> None:
    write(server)
    expected = rows(server)
    eventually(lambda: rows(standby) == expected)
    network.set(links={f"{EAST}>{WEST}": {"state": "slow", "delay_ms": 700}})
    began = time.monotonic()
    write(server)
    eventually(lambda: rows(standby) == expected + 1)
    assert 0.6 < time.monotonic() - began < 5
