"""The System V shared memory segment by which PostgreSQL notices that a data folder is in use.

It outlives a postmaster that was killed (a running one removes it), so a lab that kills servers
takes it away itself: the kernel holds 4096 of them.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

_IPC_RMID = 0  # <linux/ipc.h>
_KEY_AND_ID = 6


def pid_file(data: Path) -> list[str]:
    """Return the lines of a data folder's postmaster.pid; none when there is no server."""
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def release(data: Path) -> None:
    """Remove the segment of a server that was killed; nothing when there is none.

    Never call it for a server that runs: a second one could then start on the same data.
    """
    lines = pid_file(data)
    if len(lines) > _KEY_AND_ID and (words := lines[_KEY_AND_ID].split()):
        ctypes.CDLL(None).shmctl(int(words[-1]), _IPC_RMID, None)


def release_all(run_dir: Path) -> None:
    """Remove the segments of every server of a lab whose processes have all been killed."""
    for data in (run_dir / "pg").glob("*/data"):
        release(data)
