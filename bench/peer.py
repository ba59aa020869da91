"""The peer of our failover: two Patroni nodes, etcd, and HAProxy under one name's address.

As Patroni's documentation sets it up for one data centre: HAProxy asks each agent whether it is
the primary, and ends sessions with a node that is not. Its looks are made as quick as ours.
"""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psycopg2

from lab.data import programs

HERE = "127.77.0.1"
NODES = {"one": "127.77.0.11", "two": "127.77.0.12"}
ETCD, POSTGRES, AGENT, WRITER = 2379, 5432, 8008, 6432
PASSWORD = secrets.token_hex(8)
START_SECONDS = 90.0
NEEDED = ("etcd", "haproxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Patroni's settings that decide how long a failover takes, in seconds."""

    ttl: int
    loop_wait: int
    retry_timeout: int


class Peer:
    """A running cluster; a context manager that leaves no process and no file behind."""

    def __init__(self, folder: Path, pace: Pace) -> None:
        self.folder = folder
        self._programs = programs.locate(folder.with_name("programs"))
        self._pace = pace
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        missing = [name for name in NEEDED if shutil.which(name) is None]
        if missing:
            sys.exit(f"{', '.join(missing)} is missing: apt install etcd-server haproxy")
        self.folder.mkdir(parents=True)
        self._programs.give(self.folder)
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            _kill_group(process.pid)
        for name in NODES:
            self._kill_postgres(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def leader(self) -> str | None:
        """Return the node that says that it is the primary and runs; None: no one does."""
        for name, address in NODES.items():
            try:
                with urllib.request.urlopen(f"http://{address}:{AGENT}/patroni", timeout=1) as got:
                    told = json.load(got)
            except OSError:
                continue
            if told["role"] in {"primary", "master"} and told["state"] == "running":
                return name
        return None

    def streams(self) -> bool:
        """Say whether the other node follows its leader."""
        leader = self.leader()
        if leader is None:
            return False
        with connect(NODES[leader], POSTGRES) as session, session.cursor() as cursor:
            cursor.execute(
                "select count(*) from pg_stat_replication "
                "where state = 'streaming' and application_name = any(%s)",
                (list(NODES),),
            )
            return cursor.fetchone() == (1,)

    def kill(self, name: str) -> float:
        """Kill -9 the node's agent and its PostgreSQL; return when, in Unix time."""
        at = time.time()
        _kill_group(self._processes.pop(name).pid)
        self._kill_postgres(name)
        return at

    def switch(self, name: str) -> None:
        """Make the other node than `name` the leader, as an operator would."""
        (other,) = (each for each in NODES if each != name)
        self._ctl("switchover", "--leader", name, "--candidate", other, "--force", "bench")

    def _start(self) -> None:
        data = self.folder / "etcd"
        url = f"http://{HERE}:{ETCD}"
        self._spawn(
            "etcd", "etcd", "--data-dir", str(data), "--listen-client-urls", url,
            "--advertise-client-urls", url, "--listen-peer-urls", f"http://{HERE}:2380",
            "--initial-advertise-peer-urls", f"http://{HERE}:2380",
            "--initial-cluster", f"default=http://{HERE}:2380",
        )  # fmt: skip
        _await(lambda: _answers(HERE, ETCD), "etcd")
        for name, address in NODES.items():
            file = self.folder / f"{name}.yml"  # JSON is YAML
            file.write_text(json.dumps(self._settings(name, address)))
            self._programs.give(file)
            self._spawn(name, sys.executable, "-m", "patroni", str(file))
            _await(lambda: self.leader() is not None, f"Patroni's {name}")
        _await(self.streams, "the standby")
        file = self.folder / "haproxy.cfg"
        file.write_text(_HAPROXY)
        self._spawn("haproxy", "haproxy", "-db", "-f", str(file))
        _await(_takes_writes, "HAProxy")

    def _settings(self, name: str, address: str) -> dict[str, Any]:
        pace = self._pace
        user = {"username": "postgres", "password": PASSWORD}
        return {
            "scope": "bench",
            "name": name,
            "restapi": {"listen": f"{address}:{AGENT}", "connect_address": f"{address}:{AGENT}"},
            "etcd3": {"host": f"{HERE}:{ETCD}"},
            "bootstrap": {
                "dcs": {
                    "ttl": pace.ttl,
                    "loop_wait": pace.loop_wait,
                    "retry_timeout": pace.retry_timeout,
                    "postgresql": {"use_pg_rewind": True},
                },
                "initdb": ["data-checksums", {"encoding": "UTF8"}],
                "pg_hba": ["host all all 127.0.0.0/8 md5", "host replication all 127.0.0.0/8 md5"],
            },
            "postgresql": {
                "listen": f"{address}:{POSTGRES}",
                "connect_address": f"{address}:{POSTGRES}",
                "data_dir": str(self.folder / name),
                "bin_dir": str(self._programs.folder),
                "pgpass": str(self.folder / f"{name}.pgpass"),
                "authentication": {"superuser": user, "replication": user, "rewind": user},
                "parameters": {
                    "unix_socket_directories": "",
                    "dynamic_shared_memory_type": "mmap",
                },
            },
        }

    def _ctl(self, *arguments: str) -> None:
        file = self.folder / "one.yml"
        subprocess.run(
            [str(Path(sys.executable).with_name("patronictl")), "-c", str(file), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def _spawn(self, name: str, *command: str) -> None:
        self._processes[name] = self._programs.spawn(
            list(command), folder=self.folder, log=self.folder / f"{name}.log"
        )

    def _kill_postgres(self, name: str) -> None:
        """PostgreSQL's postmaster leads a group of its own; its children die when it does."""
        file = self.folder / name / "postmaster.pid"
        if file.exists():
            _kill_group(int(file.read_text().split()[0]))


class Writer:
    """One client that commits rows through the cluster's one address, as fast as a customer."""

    THINK_SECONDS = 0.1
    RETRY_SECONDS = 0.2

    def __init__(self) -> None:
        self.commits: list[float] = []
        self._session: Any = None

    def write(self) -> None:
        """Commit one row, durable, or fail; either way return after a customer's pause."""
        try:
            if self._session is None:
                self._session = connect(HERE, WRITER)
                self._session.autocommit = True
            with self._session.cursor() as cursor:
                cursor.execute("insert into written default values")
            self.commits.append(time.time())
            time.sleep(self.THINK_SECONDS)
        except psycopg2.Error:
            self._session = None
            time.sleep(self.RETRY_SECONDS)


def connect(host: str, port: int) -> Any:
    """Open a session as the bench's user; psycopg2.Error within two seconds where none can be."""
    return psycopg2.connect(
        host=host, port=port, user="postgres", password=PASSWORD, dbname="postgres",
        connect_timeout=2, options="-c statement_timeout=5000",
    )  # fmt: skip


_HAPROXY = f"""
defaults
  mode tcp
  timeout connect 2s
  timeout client 1h
  timeout server 1h
listen writer
  bind {HERE}:{WRITER}
  option httpchk OPTIONS /primary
  http-check expect status 200
  default-server inter 500ms fastinter 100ms fall 1 rise 1 on-marked-down shutdown-sessions
""" + "".join(
    f"  server {name} {address}:{POSTGRES} check port {AGENT} addr {address}\n"
    for name, address in NODES.items()
)


def _takes_writes() -> bool:
    try:
        with connect(HERE, WRITER) as session, session.cursor() as cursor:
            cursor.execute("create table if not exists written (id bigserial primary key)")
    except psycopg2.Error:
        return False
    return True


def _answers(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False


def _await(is_so: Any, what: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            sys.exit(f"{what} did not come up within {START_SECONDS:.0f} s; see its log")
        time.sleep(0.2)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(os.getpgid(pid), signal.SIGKILL)
    except ProcessLookupError:
        return
