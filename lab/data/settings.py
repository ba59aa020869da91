"""The configuration of a lab's servers: lean in memory, honest about durability.

Both sites' servers share it, because a hot standby refuses to start with fewer connections,
workers or senders than its source has.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_LEAN = {
    "shared_buffers": "16MB",
    "maintenance_work_mem": "32MB",
    "max_connections": "60",
    "max_worker_processes": "2",
    "max_parallel_workers": "0",
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "max_logical_replication_workers": "0",
    "max_wal_senders": "8",
    "max_replication_slots": "8",
    "autovacuum_max_workers": "1",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "wal_level": "replica",
    "hot_standby": "on",
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "200ms",
    "wal_receiver_timeout": "10s",
    "wal_sender_timeout": "10s",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
}

_SINCE_18 = {"io_method": "sync", "autovacuum_worker_slots": "2"}

_MUST = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "password_encryption": "scram-sha-256",
    "shared_memory_type": "mmap",
    # In files of the data folder, so that kill -9 leaves none in /dev/shm.
    "dynamic_shared_memory_type": "mmap",
    "huge_pages": "off",
}

# Sized by RDS for the instance class; the lab's machine has other sizes.
_SIZED_BY_RDS = {
    "shared_buffers",
    "effective_cache_size",
    "max_connections",
    "max_worker_processes",
    "maintenance_work_mem",
    "max_wal_size",
    "min_wal_size",
    "shared_preload_libraries",
}

HOST_RULES = """\
# Only the socket: TLS and addresses are the proxy's.
local all all scram-sha-256
local replication rdsrepladmin scram-sha-256
"""


def configuration(
    *, name: str, socket_folder: Path, major: int, parameters: Mapping[str, str]
) -> str:
    """Return postgresql.conf: lean defaults, then the parameter group, then what must hold.

    Parameters that RDS computes from the instance class (`{DBInstanceClassMemory/…}`), or that
    size memory, are left at the lab's.
    """
    chosen = {
        key: value
        for key, value in parameters.items()
        if key not in _SIZED_BY_RDS and "{" not in value
    }
    settings = (
        _LEAN
        | (_SINCE_18 if major >= 18 else {})  # noqa: PLR2004  # the version says itself
        | chosen
        | _MUST
        | {"unix_socket_directories": str(socket_folder), "cluster_name": name}
    )
    return "".join(f"{key} = {_quoted(value)}\n" for key, value in settings.items())


def source(*, host: str, port: int, password: str, slot: str, name: str) -> str:
    """Return the lines of postgresql.conf that make a standby stream from `host`."""
    conninfo = (
        f"host={host} port={port} user=rdsrepladmin password={password} application_name={name} "
        "sslmode=disable gssencmode=disable connect_timeout=2"
    )
    return f"primary_conninfo = {_quoted(conninfo)}\nprimary_slot_name = {_quoted(slot)}\n"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
