"""The interface by which RDS drives PostgreSQL: `lab.data.postgres`, or a stand-in in tests."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path


class Server(Protocol):
    """One PostgreSQL server in a folder."""

    socket_folder: Path

    def start(self) -> None:
        """Start it and return when it answers."""
        ...

    def stop(self) -> None:
        """Stop it in order."""
        ...

    def kill(self) -> None:
        """End it as a dead machine would."""
        ...

    def promote(self) -> None:
        """Make a standby writable."""
        ...

    @property
    def is_running(self) -> bool:
        """Whether it runs."""
        ...

    def set_password(self, password: str) -> None:
        """Give the master user a new password."""
        ...

    def drop_slot(self, slot: str) -> None:
        """Drop a replication slot."""
        ...

    def snapshot(self, target: Path) -> None:
        """Copy its data to `target`."""
        ...

    def admin(self, database: str = "postgres") -> AbstractContextManager[Any]:
        """Yield a connection of the superuser."""
        ...


class Postgres(Protocol):
    """The module that makes servers."""

    def initialise(
        self,
        folder: Path,
        *,
        username: str,
        password: str,
        database: str,
        parameters: Mapping[str, str],
    ) -> Server:
        """Return a new writable server."""
        ...

    def replicate(
        self,
        folder: Path,
        *,
        source_host: str,
        source_port: int,
        slot: str,
        parameters: Mapping[str, str],
    ) -> Server:
        """Return a standby that streams from the source."""
        ...

    def restore(self, folder: Path, *, snapshot: Path, parameters: Mapping[str, str]) -> Server:
        """Return a new writable server with the data of a snapshot."""
        ...

    ServerError: type[Exception]


def load(module: str) -> Postgres:
    """Return the module of that name."""
    return cast("Postgres", importlib.import_module(module))
