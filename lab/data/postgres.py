"""One real PostgreSQL server behind each RDS instance: writable, or a streaming standby.

A server lives in `RUN/pg/<id>`: `data`, `socket` and `log`. It listens on its Unix socket only;
lab.net stands in front of it with addresses, TLS and the replication links. What all servers of a
run share lies beside them under names with a dot: the initdb template and the passwords.

As on RDS, the master user is no superuser but a member of `rds_superuser`; the superuser
`rdsadmin` and the replication user `rdsrepladmin` have passwords that only the lab knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import psycopg2
from psycopg2 import sql
from psycopg2.errors import DuplicateObject
from psycopg2.extras import PhysicalReplicationConnection

from lab.data import settings
from lab.data.run import REPLICATION_USER, Run, of
from lab.data.server import Replication, Server, ServerError

__all__ = ["Replication", "Server", "ServerError", "initialise", "replicate", "restore"]


def initialise(
    folder: Path, *, username: str, password: str, database: str, parameters: Mapping[str, str]
) -> Server:
    """Return a new writable server, started, with `database` owned by the master `username`."""
    run = of(folder.parent)
    server = Server.prepare(folder, run)
    run.clone(run.template(), server.data)
    server.configure(parameters)
    server.start()
    with server.admin() as admin, admin.cursor() as cursor:
        for statement in _roles(run, username, password):
            cursor.execute(statement)
        cursor.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(
                sql.Identifier(database), sql.Identifier(username)
            )
        )
    return server


def replicate(
    folder: Path,
    *,
    source_host: str,
    source_port: int,
    slot: str,
    parameters: Mapping[str, str],
) -> Server:
    """Return a started standby that streams from the source, over which a slot keeps the WAL.

    A folder left by an attempt that failed is begun anew. Raise ServerError or ProgramError when
    the source cannot be reached or copied.
    """
    run = of(folder.parent)
    server = Server.prepare(folder, run)
    _make_slot(source_host, source_port, slot, run.password(REPLICATION_USER))
    conninfo = (
        f"host={source_host} port={source_port} user={REPLICATION_USER} "
        "sslmode=disable gssencmode=disable connect_timeout=5"
    )
    run.base_backup(conninfo, server.data, slot=slot)
    server.configure(
        parameters,
        settings.source(
            host=source_host,
            port=source_port,
            password=run.password(REPLICATION_USER),
            slot=slot,
            name=folder.name,
        ),
    )
    (server.data / "standby.signal").touch()
    run.programs.give(server.data / "standby.signal")
    server.start()
    return server


def restore(folder: Path, *, snapshot: Path, parameters: Mapping[str, str]) -> Server:
    """Return a new writable server, started, with the data of `snapshot`; users as they were."""
    run = of(folder.parent)
    server = Server.prepare(folder, run)
    run.clone(snapshot, server.data)
    (server.data / "standby.signal").unlink(missing_ok=True)
    server.configure(parameters)
    server.start()
    return server


def _roles(run: Run, username: str, password: str) -> Iterator[sql.Composable]:
    yield sql.SQL("CREATE ROLE rds_replication NOLOGIN")
    yield sql.SQL("CREATE ROLE rds_superuser NOLOGIN")
    yield sql.SQL(
        "GRANT pg_monitor, pg_signal_backend, pg_checkpoint, rds_replication"
        " TO rds_superuser WITH ADMIN OPTION"
    )
    yield sql.SQL("GRANT SET ON PARAMETER session_replication_role TO rds_superuser")
    yield sql.SQL("CREATE ROLE {} LOGIN REPLICATION PASSWORD {}").format(
        sql.Identifier(REPLICATION_USER), sql.Literal(run.password(REPLICATION_USER))
    )
    yield sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}").format(
        sql.Identifier(username), sql.Literal(password)
    )
    yield sql.SQL("GRANT rds_superuser TO {} WITH ADMIN OPTION").format(sql.Identifier(username))


def _make_slot(host: str, port: int, slot: str, password: str) -> None:
    """Make the slot on the source before the copy, so that no WAL after it is missing."""
    try:
        with (
            closing(
                psycopg2.connect(
                    host=host,
                    port=port,
                    user=REPLICATION_USER,
                    password=password,
                    sslmode="disable",
                    gssencmode="disable",
                    connect_timeout=5,
                    connection_factory=PhysicalReplicationConnection,
                )
            ) as source,
            source.cursor() as cursor,
        ):
            cast("Any", cursor).create_replication_slot(slot)
    except DuplicateObject:
        pass  # an earlier attempt's; it keeps at least the WAL that is needed
    except psycopg2.OperationalError as error:
        msg = f"the source at {host}:{port} cannot be reached: {str(error).strip()}"
        raise ServerError(msg) from error
