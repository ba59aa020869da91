from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege, ReadOnlySqlTransaction

from lab.data import ipc, postgres
from lab.data.run import of
from lab.data.server import Server, ServerError
from lab.net.databases import LinkDoor

LINK = "127.77.2.1"


@pytest.fixture(name="link")
def _link(server: Server) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind((LINK, 0))
        port = probe.getsockname()[1]
    loop = asyncio.new_event_loop()
    door = LinkDoor(
        address=LINK,
        port=port,
        socket_folder=server.socket_folder,
        to_replica=lambda: 0.0,
        to_source=lambda: 0.0,
    )
    loop.run_until_complete(door.open())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield port
    loop.call_soon_threadsafe(door.close)
    loop.call_soon_threadsafe(loop.call_later, 0.1, loop.stop)
    thread.join()
    loop.close()


def replica(run_dir: Path, link: int, name: str) -> Server:
    return postgres.replicate(
        run_dir / "pg" / name,
        source_host=LINK,
        source_port=link,
        slot=name.replace("-", "_"),
        parameters={},
    )


def eventually(claim: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def value(connection: Any, query: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0]


def run(connection: Any, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_the_master_user_owns_its_database_and_is_no_superuser(
    server: Server, connect: Callable[..., Any]
) -> None:
    master = connect(server)
    assert value(master, "SELECT current_setting('is_superuser')") == "off"
    assert value(master, "SELECT pg_has_role('rds_superuser', 'member')")
    run(master, "CREATE EXTENSION hstore; DROP EXTENSION hstore")
    run(master, "SET session_replication_role = replica")
    with pytest.raises(InsufficientPrivilege):
        run(master, "COPY (SELECT 1) TO PROGRAM 'true'")
    assert server.master() == "standby"


def test_only_passwords_open_a_server(server: Server, connect: Callable[..., Any]) -> None:
    for user in ("standby", "rdsadmin", "rdsrepladmin"):
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            connect(server, user=user, password="guess")


def test_a_new_password_replaces_the_old_one(server: Server, connect: Callable[..., Any]) -> None:
    server.set_password("it's new")
    connect(server, password="it's new")
    with pytest.raises(psycopg2.OperationalError):
        connect(server)
    server.set_password("p'w \\d")


def test_writes_are_durable_and_the_lab_s_sizes_win(
    server: Server, connect: Callable[..., Any]
) -> None:
    master = connect(server)
    settings = {
        name: value(master, f"SHOW {name}") for name in ("fsync", "shared_buffers", "rds.force_ssl")
    }
    assert settings == {"fsync": "on", "shared_buffers": "16MB", "rds.force_ssl": "1"}


def test_kill_ends_every_process_at_once_and_the_server_starts_again_as_it_was(
    server: Server, connect: Callable[..., Any]
) -> None:
    master = connect(server)
    run(master, "CREATE TABLE IF NOT EXISTS kept (n int); INSERT INTO kept VALUES (1)")
    kept = value(master, "SELECT count(*) FROM kept")
    began = time.monotonic()
    server.kill()
    assert time.monotonic() - began < 1
    assert not server.is_running
    assert not _processes_in(server.folder)
    with pytest.raises(psycopg2.OperationalError):
        connect(server)
    server.start()
    assert value(connect(server), "SELECT count(*) FROM kept") == kept
    assert server.replication() is None


def test_kill_leaves_no_shared_memory(server: Server) -> None:
    identifier = int(ipc.pid_file(server.data)[6].split()[1])
    assert identifier in _segments()
    server.kill()
    assert identifier not in _segments()
    server.start()


def test_a_server_can_be_reopened_by_its_folder(server: Server) -> None:
    again = Server(server.folder)
    assert again.is_running
    again.stop()
    assert not server.is_running
    again.start()
    assert again.is_running
    server.start()


def test_a_standby_streams_reads_and_refuses_writes(
    server: Server, run_dir: Path, link: int, connect: Callable[..., Any]
) -> None:
    standby = replica(run_dir, link, "reads")
    master = connect(server)
    run(master, "CREATE TABLE streamed (n int); INSERT INTO streamed VALUES (7)")
    position = value(master, "SELECT pg_current_wal_lsn()::text")
    follower = connect(standby)
    eventually(lambda: value(follower, f"SELECT pg_last_wal_replay_lsn() >= '{position}'"))
    assert value(follower, "SELECT n FROM streamed") == 7
    with pytest.raises(ReadOnlySqlTransaction):
        run(follower, "INSERT INTO streamed VALUES (8)")
    eventually(lambda: standby.lag() == 0)
    state = standby.replication()
    assert state
    assert state.streaming
    assert state.last_replayed_at
    assert standby.in_recovery
    assert server.lag() is None
    run(master, "DROP TABLE streamed")
    standby.kill()
    server.drop_slot("reads")


def test_a_standby_is_promoted_with_its_source_dead_and_stays_writable(
    server: Server, run_dir: Path, link: int, connect: Callable[..., Any]
) -> None:
    standby = replica(run_dir, link, "promoted")
    server.kill()
    standby.promote()
    assert not standby.in_recovery
    run(connect(standby), "CREATE TABLE written_after (n int)")
    standby.kill()
    standby.start()
    assert value(connect(standby), "SELECT count(*) FROM written_after") == 0
    standby.kill()
    server.start()
    server.drop_slot("promoted")
    server.drop_slot("promoted")


def test_a_slot_keeps_what_a_stopped_standby_has_not_read(
    server: Server, run_dir: Path, link: int, connect: Callable[..., Any]
) -> None:
    standby = replica(run_dir, link, "stopped")
    standby.stop()
    run(connect(server), "CREATE TABLE behind AS SELECT generate_series(1, 10000) n")
    assert server.slot_lag_bytes() > 100_000
    standby.start()
    eventually(lambda: standby.lag() == 0)
    assert value(connect(standby), "SELECT count(*) FROM behind") == 10000
    run(connect(server), "DROP TABLE behind")
    standby.kill()
    server.drop_slot("stopped")
    assert server.slot_lag_bytes() == 0


def test_an_unreachable_source_is_named(run_dir: Path) -> None:
    with pytest.raises(ServerError, match=r"127\.77\.2\.9:5999 cannot be reached"):
        postgres.replicate(
            run_dir / "pg" / "orphan",
            source_host="127.77.2.9",
            source_port=5999,
            slot="orphan",
            parameters={},
        )


def test_a_snapshot_becomes_a_server_with_the_data_of_its_moment(
    server: Server, run_dir: Path, connect: Callable[..., Any]
) -> None:
    master = connect(server)
    run(master, "CREATE TABLE snapped (n int); INSERT INTO snapped VALUES (1)")
    server.snapshot(run_dir / "pg" / ".snapshots" / "one")
    run(master, "DROP TABLE snapped")
    restored = postgres.restore(
        run_dir / "pg" / "restored", snapshot=run_dir / "pg" / ".snapshots" / "one", parameters={}
    )
    assert value(connect(restored), "SELECT n FROM snapped") == 1
    run(connect(restored), "INSERT INTO snapped VALUES (2)")
    restored.kill()


def test_a_snapshot_of_a_standby_becomes_a_writable_server(
    server: Server, run_dir: Path, link: int, connect: Callable[..., Any]
) -> None:
    standby = replica(run_dir, link, "source-of-a-snapshot")
    standby.snapshot(run_dir / "pg" / ".snapshots" / "two")
    standby.kill()
    server.drop_slot("source_of_a_snapshot")
    restored = postgres.restore(
        run_dir / "pg" / "restored-2", snapshot=run_dir / "pg" / ".snapshots" / "two", parameters={}
    )
    assert not restored.in_recovery
    run(connect(restored), "CREATE TABLE after_restore (n int)")
    restored.kill()


def test_a_server_that_cannot_start_shows_its_log(run_dir: Path) -> None:
    with pytest.raises(ServerError, match='unrecognized configuration parameter "no_such_thing"'):
        postgres.initialise(
            run_dir / "pg" / "broken",
            username="standby",
            password="x",
            database="rlg",
            parameters={"no_such_thing": "1"},
        )


def test_a_path_too_long_for_a_socket_is_refused(run_dir: Path) -> None:
    with pytest.raises(ServerError, match="longer than a socket's 107 characters"):
        replica(run_dir, 1, "x" * 90)


def test_threads_of_one_run_share_it(run_dir: Path) -> None:
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda: found.append(of(run_dir / "shared"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1


def _processes_in(folder: Path) -> list[int]:
    found: list[int] = []
    for process in psutil.process_iter():
        try:
            living = process.status() != psutil.STATUS_ZOMBIE
            if living and process.cwd().startswith(str(folder)):
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def _segments() -> set[int]:
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return {int(line.split()[1]) for line in lines}
