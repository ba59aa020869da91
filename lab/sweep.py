"""Leaves nothing of a lab behind: no process, no shared memory, no folder.

Every process of a lab works inside its run folder and has no terminal; that is how they are found
however they were started, and how a person who looks at the logs is spared.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lab.data import ipc

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

PREFIX = "standby-lab-"
_KILL_SECONDS = 10.0
_TERMINAL_FIELD = 4
"""Of /proc/PID/stat, counted after the command's closing parenthesis: proc(5), tty_nr."""


class LeftoverError(RuntimeError):
    """Something of a lab could not be ended; the message names it."""


def new_folder() -> Path:
    """Return a new run folder; other users may enter it, as PostgreSQL runs as one under root."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir="/tmp"))  # mkdtemp is safe
    folder.chmod(0o755)
    return folder


def sweep(run_dir: Path, spare: Collection[int] = ()) -> None:
    """End every process in `run_dir` but those in `spare`, and remove the folder.

    Doing it twice, or while another does it, harms nothing. Raise LeftoverError when a process
    does not die.
    """
    until = time.monotonic() + _KILL_SECONDS
    quiet = 0
    while quiet < 2:  # noqa: PLR2004  # a process may be born while the first look is on
        found = [pid for pid in processes_in(run_dir) if pid not in spare]
        quiet = 0 if found else quiet + 1
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > until:
            msg = f"processes {found} in {run_dir} do not die; end them and remove the folder"
            raise LeftoverError(msg)
        time.sleep(0.02)
    ipc.release_all(run_dir)
    shutil.rmtree(run_dir, ignore_errors=True)


def processes_in(run_dir: Path) -> Iterator[int]:
    """Yield the processes, zombies left out, that work inside `run_dir` without a terminal."""
    inside = f"{run_dir}/"
    for process in Path("/proc").glob("[0-9]*"):
        try:
            here = str((process / "cwd").readlink()).removesuffix(" (deleted)")
            stat = (process / "stat").read_text(encoding="ascii", errors="replace")
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue
        fields = stat.rpartition(")")[2].split()
        if f"{here}/".startswith(inside) and fields[_TERMINAL_FIELD] == "0":
            yield int(process.name)


def leftovers() -> Iterator[Path]:
    """Yield the run folders, of this user, of labs that ended without sweeping."""
    for folder in Path("/tmp").glob(f"{PREFIX}*"):  # noqa: S108  # only read
        if folder.is_dir() and folder.stat().st_uid == os.getuid():
            yield folder
