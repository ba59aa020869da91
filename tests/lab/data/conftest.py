"""Real servers for the tests, in a folder that the servers' user can enter."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from lab.data import postgres
from lab.data.server import Server

USER, PASSWORD = "standby", "p'w \\d"


@pytest.fixture(name="run_dir", scope="session")
def _run_dir() -> Iterator[Path]:
    run_dir = Path(tempfile.mkdtemp(prefix="standby-data-", dir="/tmp"))
    run_dir.chmod(0o755)
    yield run_dir
    for folder in (run_dir / "pg").glob("*"):
        if folder.is_dir() and not folder.name.startswith("."):
            Server(folder).kill()
    shutil.rmtree(run_dir)


@pytest.fixture(name="server", scope="session")
def _server(run_dir: Path) -> Server:
    return postgres.initialise(
        run_dir / "pg" / "rlg-data-primary-1",
        username=USER,
        password=PASSWORD,
        database="rlg",
        parameters={"rds.force_ssl": "1", "shared_buffers": "{DBInstanceClassMemory/32768}"},
    )


@pytest.fixture(name="connect")
def _connect() -> Iterator[Callable[..., Any]]:
    opened: list[Any] = []

    def connect(server: Server, **changes: Any) -> Any:
        place: dict[str, Any] = {
            "host": str(server.socket_folder),
            "user": USER,
            "password": PASSWORD,
        }
        everything: dict[str, Any] = place | {"dbname": "rlg"} | changes
        connection = psycopg2.connect(**everything)
        connection.autocommit = True
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        connection.close()
