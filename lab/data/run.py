"""What all servers of one run share: programs, passwords, and the template that initdb made."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import threading
from pathlib import Path

from lab.data.programs import Programs, locate

ADMIN = "rdsadmin"
REPLICATION_USER = "rdsrepladmin"
MASTERS = "rds_superuser"


_runs: dict[Path, Run] = {}
_runs_lock = threading.Lock()


def of(folder: Path) -> Run:
    """Return what the servers in `folder` (RUN/pg) share; the same object for one process."""
    with _runs_lock:
        if folder not in _runs:
            _runs[folder] = Run(folder)
        return _runs[folder]


class Run:
    """The folder of a run's servers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.processes: dict[Path, subprocess.Popen[bytes]] = {}
        """Postmasters that this process started, by their server's folder: its to reap."""
        self.programs: Programs = locate(folder / ".programs")

    def password(self, user: str) -> str:
        """Return the lab's own password of `user`, made at the first call and the same since."""
        path = self.folder / f".{user}"
        with self._lock:
            if not path.exists():
                path.touch(mode=0o600)
                path.write_text(secrets.token_urlsafe())
            return path.read_text()

    def template(self) -> Path:
        """Return a data folder fresh from initdb, made at the first call."""
        template = self.folder / ".template"
        password = self.password(ADMIN)
        with self._lock:
            if not template.exists():
                self._initdb(template, password)
        return template

    def _initdb(self, template: Path, password: str) -> None:
        attempt = self.folder / ".initdb"
        shutil.rmtree(attempt, ignore_errors=True)
        attempt.mkdir(mode=0o700)
        secret = attempt / "password"
        secret.touch(mode=0o600)
        secret.write_text(password)
        for path in (attempt, secret):
            self.programs.give(path)
        arguments = ["--username=rdsadmin", f"--pwfile={secret}", "--auth=scram-sha-256"]
        arguments += ["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        arguments += ["--wal-segsize=4"]  # every copy of a data folder holds a whole segment
        if self.programs.major >= 17:  # noqa: PLR2004  # the first with the builtin provider
            arguments += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        data = attempt / "data"
        self.programs.run(self.programs.command("initdb", *arguments, "-D", data))
        data.rename(template)
        shutil.rmtree(attempt)

    def clone(self, source: Path, target: Path) -> None:
        """Copy a data folder; `target` belongs to the servers' user and does not exist yet."""
        self.programs.run(["cp", "-a", "--reflink=auto", str(source), str(target)])

    def base_backup(self, conninfo: str, target: Path, *, slot: str | None = None) -> None:
        """Copy a running server's data to `target`, with the WAL that makes it consistent."""
        target.mkdir(mode=0o700, parents=True)
        self.programs.give(target)
        command = self.programs.command(
            "pg_basebackup", f"--dbname={conninfo}", "-D", target, "--checkpoint=fast", "--no-sync"
        )
        if slot:
            command.append(f"--slot={slot}")
        self.programs.run(command, password=self.password(REPLICATION_USER))
