"""A PostgreSQL server in its folder: start, stop, kill, promote, and how far a standby is."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil
import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection  # noqa: N812  # it is a class

from lab.data import ipc, settings
from lab.data.run import ADMIN, MASTERS, REPLICATION_USER, Run, of

_START_TIMEOUT = 60.0
_STOP_TIMEOUT = 30.0
_POLL = 0.01
_SOCKET_PATH_LIMIT = 107  # sun_path of a Unix address, less the final zero: unix(7)


class ServerError(RuntimeError):
    """A server did not do what it was asked; the message holds the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replication:
    """How far a standby is."""

    streaming: bool
    lag_seconds: float | None
    """Zero when all that the source says it has is replayed; None before any replay."""
    last_replayed_lsn: str | None
    last_replayed_at: datetime | None
    """Commit time, on the source, of the last transaction that was replayed."""


class Server:
    """A server in its folder; made by `initialise`, `replicate` or `restore`, reopened by path.

    Every method may be called from any thread; callers keep start, stop, kill and promote of one
    server apart.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.socket_folder = folder / "socket"
        self.log = folder / "log"
        self._run = of(folder.parent)

    @classmethod
    def prepare(cls, folder: Path, run: Run) -> Server:
        """Return a server in an empty folder, whose data is still to come."""
        server = cls(folder)
        address = server.socket_folder / ".s.PGSQL.5432"
        if len(str(address)) > _SOCKET_PATH_LIMIT:
            msg = f"{address} is longer than a socket's {_SOCKET_PATH_LIMIT} characters"
            raise ServerError(msg)
        if server.is_running:
            msg = f"a server is running in {folder}; stop it first"
            raise ServerError(msg)
        shutil.rmtree(folder, ignore_errors=True)
        for path in (folder, server.socket_folder):
            path.mkdir(mode=0o755, parents=True)
            run.programs.give(path)
        return server

    def configure(self, parameters: Mapping[str, str], source: str = "") -> None:
        """Write its configuration; it takes effect at the next start."""
        text = settings.configuration(
            name=self.folder.name,
            socket_folder=self.socket_folder,
            major=self._run.programs.major,
            parameters=parameters,
        )
        for name, content in (
            ("postgresql.conf", text + source),
            ("pg_hba.conf", settings.HOST_RULES),
        ):
            path = self.data / name
            path.write_text(content)
            path.chmod(0o600)
            self._run.programs.give(path)

    def start(self) -> None:
        """Start the server and return when it answers; as a standby when it was one.

        Raise ServerError with the end of its log when it does not come up.
        """
        if self.is_running:
            return
        ipc.release(self.data)
        for stale in (self.data / "postmaster.pid", *self.socket_folder.glob(".s.PGSQL.*")):
            stale.unlink(missing_ok=True)
        programs = self._run.programs
        process = programs.spawn(
            programs.command("postgres", "-D", self.data), folder=self.data, log=self.log
        )
        self._run.processes[self.folder] = process
        deadline = time.monotonic() + _START_TIMEOUT
        while not self._is_ready():
            if process.poll() is not None:
                msg = f"{self.folder.name} did not start:\n{self._end_of_log()}"
                raise ServerError(msg)
            if time.monotonic() > deadline:
                msg = f"{self.folder.name} is not ready after {_START_TIMEOUT:.0f} s"
                raise ServerError(f"{msg}:\n{self._end_of_log()}")
            time.sleep(_POLL)

    def stop(self) -> None:
        """Stop the server in order (fast shutdown); immediately where that takes too long."""
        postmaster = self._postmaster()
        if postmaster is None:
            return
        try:
            postmaster.send_signal(signal.SIGINT)
            try:
                postmaster.wait(_STOP_TIMEOUT)
            except psutil.TimeoutExpired:
                postmaster.send_signal(signal.SIGQUIT)
                postmaster.wait(_STOP_TIMEOUT)
        except psutil.NoSuchProcess:
            pass
        self._reap()

    def kill(self) -> None:
        """End the server and all its processes at once with SIGKILL, as a dead machine would."""
        postmaster = self._postmaster()
        if postmaster is None:
            return
        try:
            postmaster.suspend()  # it forks no more while its children are counted
            victims = [postmaster, *postmaster.children(recursive=True)]
        except psutil.NoSuchProcess:
            victims = []
        for victim in victims:
            try:
                victim.kill()
            except psutil.NoSuchProcess:
                continue
        self._reap()
        while any(_is_alive(victim) for victim in victims):
            time.sleep(_POLL / 10)
        ipc.release(self.data)

    def promote(self) -> None:
        """Make a standby writable on a new timeline; return when it is."""
        with self.admin() as admin, admin.cursor() as cursor:
            cursor.execute("SELECT pg_promote(true, 60)")
            row = cursor.fetchone()
            if row is None or not row[0]:
                msg = f"{self.folder.name} was not promoted within 60 s"
                raise ServerError(f"{msg}:\n{self._end_of_log()}")

    @property
    def is_running(self) -> bool:
        """Whether its postmaster lives."""
        return self._postmaster() is not None

    @property
    def in_recovery(self) -> bool:
        """Whether it is a standby."""
        return bool(self._value("SELECT pg_is_in_recovery()"))

    def set_password(self, password: str) -> None:
        """Give the master user a new password."""
        master = self.master()
        with self.admin() as admin, admin.cursor() as cursor:
            cursor.execute(
                sql.SQL("ALTER ROLE {} PASSWORD %s").format(sql.Identifier(master)), (password,)
            )

    def master(self) -> str:
        """Return the name of the master user."""
        return str(
            self._value(
                "SELECT rolname FROM pg_roles JOIN pg_auth_members ON member = pg_roles.oid"
                " WHERE roleid = %s::regrole AND rolcanlogin ORDER BY pg_roles.oid LIMIT 1",
                MASTERS,
            )
        )

    def replication(self) -> Replication | None:
        """Return how far a standby is; None when the server is writable."""
        with self.admin() as admin, admin.cursor() as cursor:
            cursor.execute(_REPLICATION)
            row = cursor.fetchone()
        if row is None or not row[0]:
            return None
        _, streaming, lag, lsn, at = row
        return Replication(
            streaming=streaming,
            lag_seconds=None if lag is None else float(lag),
            last_replayed_lsn=lsn,
            last_replayed_at=at,
        )

    def lag(self) -> float | None:
        """Return the seconds a standby is behind; None when writable or not streaming."""
        state = self.replication()
        return state.lag_seconds if state and state.streaming else None

    def slot_lag_bytes(self) -> int:
        """Return how much WAL the furthest replication slot holds back; 0 without slots."""
        value = self._value(
            "SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn))"
            " FROM pg_replication_slots WHERE NOT pg_is_in_recovery()"
        )
        return int(str(value or 0))

    def drop_slot(self, slot: str) -> None:
        """Drop a replication slot, ending the stream that uses it; nothing when there is none."""
        with self.admin() as admin, admin.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(active_pid, 2000) FROM pg_replication_slots"
                " WHERE slot_name = %s AND active",
                (slot,),
            )
            cursor.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
                " WHERE slot_name = %s",
                (slot,),
            )

    def snapshot(self, target: Path) -> None:
        """Copy the running server's data to `target`, from which `restore` makes a server."""
        self._run.base_backup(f"host={self.socket_folder} user={REPLICATION_USER}", target)

    @contextmanager
    def admin(self, database: str = "postgres") -> Generator[Connection]:
        """Yield an autocommitting connection of the superuser; closed at the end."""
        with closing(
            psycopg2.connect(
                host=str(self.socket_folder),
                user=ADMIN,
                password=self._run.password(ADMIN),
                dbname=database,
                connect_timeout=5,
            )
        ) as opened:
            opened.autocommit = True
            yield opened

    def _value(self, query: str, *arguments: str) -> object:
        with self.admin() as admin, admin.cursor() as cursor:
            cursor.execute(query, arguments)
            row = cursor.fetchone()
        return row[0] if row else None

    def _postmaster(self) -> psutil.Process | None:
        """Return the living postmaster; the pid file alone may be a dead server's."""
        own = self._run.processes.get(self.folder)
        if own is not None and own.poll() is None:
            return psutil.Process(own.pid)
        lines = ipc.pid_file(self.data)
        try:
            found = psutil.Process(int(lines[0])) if lines else None
            if found and _is_alive(found) and found.cwd() == str(self.data):
                return found
        except (psutil.NoSuchProcess, ValueError):
            pass
        return None

    def _is_ready(self) -> bool:
        """Whether the postmaster says that it answers: the eighth line of its pid file."""
        lines = ipc.pid_file(self.data)
        return len(lines) > 7 and lines[7].strip() == "ready"  # noqa: PLR2004  # documented above

    def _reap(self) -> None:
        if own := self._run.processes.pop(self.folder, None):
            own.wait()

    def _end_of_log(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


_REPLICATION = """
SELECT pg_is_in_recovery(),
       coalesce((SELECT status = 'streaming' FROM pg_stat_wal_receiver), false),
       CASE WHEN pg_last_wal_replay_lsn()
                 >= (SELECT latest_end_lsn FROM pg_stat_wal_receiver) THEN 0
            ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END,
       pg_last_wal_replay_lsn()::text,
       pg_last_xact_replay_timestamp()
"""


def _is_alive(process: psutil.Process) -> bool:
    """Whether it runs; one that only waits for its parent to look does not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
