"""Database servers that remember what was done to them and hold no data."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path


class ServerError(RuntimeError):
    pass


class Server:
    def __init__(self, folder: Path, *, standby: bool) -> None:
        self.folder = folder
        self.socket_folder = folder / "socket"
        self.standby = standby
        self.is_running = True
        folder.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        self.is_running = True

    def stop(self) -> None:
        self.is_running = False

    def kill(self) -> None:
        self.is_running = False

    def promote(self) -> None:
        self.standby = False

    def set_password(self, password: str) -> None:
        (self.folder / "password").write_text(password)

    def drop_slot(self, slot: str) -> None:
        pass

    def snapshot(self, target: Path) -> None:
        target.mkdir(parents=True)

    @contextmanager
    def admin(self, database: str = "postgres"):
        yield _Connection(self)


class _Connection:
    def __init__(self, server: Server) -> None:
        self._server = server

    @contextmanager
    def cursor(self):
        yield self

    def execute(self, query: str) -> None:
        pass

    def fetchone(self):
        return self._server.standby, self._server.standby, 0.25, 4096, 3


def initialise(folder: Path, *, username, password, database, parameters) -> Server:
    server = Server(folder, standby=False)
    (folder / "password").write_text(password)
    return server


def replicate(folder: Path, *, source_host, source_port, slot, parameters) -> Server:
    return Server(folder, standby=True)


def restore(folder: Path, *, snapshot: Path, parameters) -> Server:
    return Server(folder, standby=False)
