"""Sweeps up after a supervisor that was killed: `python -m lab.watchdog RUN_DIR PID STATE_FILE`.

The supervisor in turn takes the lab down when the watchdog is killed.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from pathlib import Path

from lab import sweep


def main() -> None:
    """Wait until the supervisor ends, then leave nothing of its lab behind."""
    run_dir, supervisor, state_file = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    wait_for_end_of(supervisor)
    sweep.sweep(run_dir, spare={os.getpid()})
    state_file.unlink(missing_ok=True)


def wait_for_end_of(pid: int) -> None:
    """Return as soon as the process has ended, also when it had before."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([handle], [], [])
    finally:
        os.close(handle)


if __name__ == "__main__":
    main()
