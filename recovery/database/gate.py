"""A database's gate: closed, nobody has a session in it or gets one, whoever they are.

All statements run in a session of the maintenance database, as a closed one takes none. The gate
is in the catalogue, and so replicates: a standby that was promoted is as closed as its source was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recovery.engine import wait

if TYPE_CHECKING:
    from datetime import datetime

    from recovery.database.postgres import Connection

MAINTENANCE = "postgres"
"""A database of every server, for work on the others (PostgreSQL manual, Creating a Database)."""


def is_open(session: Connection, name: str) -> bool | None:
    """Say whether the database takes sessions; None where the server has no such database."""
    found = session.row("select datallowconn from pg_database where datname = %s", (name,))
    return None if found is None else bool(found[0])


def last_commit_behind(session: Connection, name: str) -> datetime | None:
    """Return when the last commit that a standby replayed was made; None if the gate is open."""
    found = session.row(
        """
        select pg_last_xact_replay_timestamp() from pg_database
        where datname = %s and not datallowconn
        """,
        (name,),
    )
    return None if found is None else found[0]


def may_close(session: Connection, name: str) -> bool:
    """Say whether this user may open and close it, as only its owner may, and end its sessions."""
    found = session.row(
        """
        select pg_has_role(datdba, 'usage') and pg_has_role('pg_signal_backend', 'usage')
               and pg_has_role('pg_read_all_stats', 'usage')
        from pg_database where datname = %s
        """,
        (name,),
    )
    return found is not None and bool(found[0])


def open_(session: Connection, name: str) -> None:
    """Let sessions in again."""
    _allow(session, name, "true")


def close(session: Connection, name: str, *, seconds: float) -> int:
    """Let no session in, and end all there are; return how many are left after so many seconds.

    With none left, nothing writes there any more.
    """
    _allow(session, name, "false")

    def emptied() -> int | None:
        session.rows(f"select pg_terminate_backend(pid) {_SESSIONS}", (name,))
        return None if sessions(session, name) else 0

    return 0 if wait.until(emptied, seconds=seconds) is not None else sessions(session, name)


def sessions(session: Connection, name: str) -> int:
    """Count the sessions in the database, and those that are on their way into it.

    While a session starts it locks the database, and only then looks whether it is let in; it is
    listed before it lets go of the lock (InitPostgres in PostgreSQL's postinit.c). So the locks
    are counted first.
    """
    entering = session.row(_ENTERING, (name,))
    inside = session.row(f"select count(*) {_SESSIONS}", (name,))
    return sum(int(found[0]) for found in (entering, inside) if found)


def end_of_log(session: Connection, name: str) -> str:
    """Return, as an LSN, how far a closed database's log is, with all that was ever committed.

    Closing it once more writes a commit of our own behind them and flushes them all, also those
    made with `synchronous_commit` off, which were acknowledged before they were on disk.
    """
    session.execute("set synchronous_commit = on")
    _allow(session, name, "false")
    found = session.row("select pg_current_wal_flush_lsn()::text")
    assert found is not None
    return str(found[0])


def bytes_behind(session: Connection, lsn: str) -> int:
    """Return how much of the log up to an LSN a standby has yet to replay; 0: nothing.

    A writer that never replayed anything is behind nothing.
    """
    found = session.row(
        "select greatest(0, pg_wal_lsn_diff(%s::pg_lsn, pg_last_wal_replay_lsn()))::bigint", (lsn,)
    )
    assert found is not None
    return int(found[0])


# Of the sessions, autovacuum writes nothing of the product's, and AWS's own `rdsadmin` is a
# superuser whom nobody else may end; both come and go as they like.
_SESSIONS = """
    from pg_stat_activity
    where datname = %s and pid <> pg_backend_pid()
      and coalesce(backend_type, '') not like 'autovacuum%%' and usename is distinct from 'rdsadmin'
"""
_ENTERING = """
    select count(*) from pg_locks l
    join pg_database d on l.classid = 'pg_database'::regclass and l.objid = d.oid
    left join pg_stat_activity a using (pid)
    where d.datname = %s and l.locktype = 'object'
      and l.pid <> pg_backend_pid() and coalesce(a.backend_type, '') not like 'autovacuum%%'
      and a.usename is distinct from 'rdsadmin'
"""


def _allow(session: Connection, name: str, allowed: str) -> None:
    quoted = name.replace('"', '""')
    session.execute(f'alter database "{quoted}" allow_connections {allowed}')
