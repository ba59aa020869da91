"""What CloudWatch and DescribeDBInstances say of databases, read from the real servers.

OldestReplicationSlotLag is in bytes, FreeStorageSpace in bytes of what is allocated. That
ReplicaLag is -1 and the replication status `error` while nothing streams is assumed for
PostgreSQL: the API Reference names the status, but not when it is taken.
"""

# pyright: reportUnknownMemberType=false
from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import psycopg2

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.aws.context import Context
    from lab.aws.rds_servers import Database, Servers

    Publish = Callable[[str, str, str, dict[str, str], float], None]

_GIB = 1 << 30
_SIZE_SECONDS = 5.0
_QUERY = """
SELECT pg_is_in_recovery(),
       coalesce((SELECT status = 'streaming' FROM pg_stat_wal_receiver), false),
       CASE WHEN NOT pg_is_in_recovery()
                 OR pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
            ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END,
       CASE WHEN pg_is_in_recovery() THEN 0
            ELSE coalesce((SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn))
                           FROM pg_replication_slots), 0) END,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
"""


class Figures:
    """Reads every server each time it is told to, over a connection that it keeps."""

    def __init__(self, context: Context, servers: Servers, publish: Publish) -> None:
        self._context = context
        self._servers = servers
        self._publish = publish
        self._open: dict[str, tuple[ExitStack, Any]] = {}
        self._sizes: dict[str, tuple[float, int]] = {}

    def read(self) -> None:
        """Publish the metrics of every running database and set its replication status."""
        for database in self._servers:
            running = self._context.is_alive(database.region) and database.runs
            row = self._row(database) if running else None
            if row is None:
                self._close(database.arn)
                if database.source and database.server:
                    self._set_status(database, streaming=False)
                continue
            recovering, streaming, lag, slot_bytes, connections = row
            if recovering:
                self._set_status(database, streaming=streaming)
                value = -1.0 if not streaming or lag is None else float(lag)
                self._put(database, "ReplicaLag", value)
            else:
                self._put(database, "OldestReplicationSlotLag", float(slot_bytes))
            self._put(database, "DatabaseConnections", float(connections))
            free = database.instance.allocated_storage * _GIB - self._size(database)
            self._put(database, "FreeStorageSpace", float(free))

    def _put(self, database: Database, metric: str, value: float) -> None:
        dimensions = {"DBInstanceIdentifier": database.id}
        self._publish(database.region, "AWS/RDS", metric, dimensions, value)

    def _set_status(self, database: Database, *, streaming: bool) -> None:
        instance: Any = database.instance
        if not instance.is_replica:
            return
        status = {"StatusType": "read replication", "Normal": streaming, "Status": "replicating"}
        if not streaming:
            status["Status"] = "error"
            status["Message"] = "The replica is not receiving WAL from its source"
        instance.status_infos = [status]

    def _row(self, database: Database) -> tuple[Any, ...] | None:
        try:
            connection = self._connection(database)
            with connection.cursor() as cursor:
                cursor.execute(_QUERY)
                return cursor.fetchone()
        except (psycopg2.Error, OSError):
            self._close(database.arn)
            return None

    def _connection(self, database: Database) -> Any:
        assert database.server
        if database.arn not in self._open:
            stack = ExitStack()
            connection = stack.enter_context(database.server.admin())
            self._open[database.arn] = (stack, connection)
        return self._open[database.arn][1]

    def _close(self, arn: str) -> None:
        if entry := self._open.pop(arn, None):
            entry[0].close()

    def _size(self, database: Database) -> int:
        """Return the bytes on disk, counted anew every few seconds."""
        at, size = self._sizes.get(database.arn, (0.0, 0))
        if time.monotonic() - at > _SIZE_SECONDS:
            files = database.folder.rglob("*")
            size = sum(_bytes(path) for path in files)
            self._sizes[database.arn] = (time.monotonic(), size)
        return size


def _bytes(path: Any) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
