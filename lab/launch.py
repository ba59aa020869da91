"""Starting and ending the one lab of this machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab import claim, configuration, state, sweep, watchdog

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_SPEED = 100.0
_LOG = "supervisor.log"


class NoLabError(Exception):
    """There is no running lab here to do that with."""


class RunsAlreadyError(Exception):
    """A lab runs on this machine already, and its addresses are taken."""


class StartFailedError(Exception):
    """The lab could not be started; nothing of it is left but the logs that the message names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What lab to start."""

    speed: float = DEFAULT_SPEED
    customers: int = 0
    loads: tuple[str, ...] = ()
    empty: bool = False
    """AWS, the network and the resolver only: no stacks, no products."""
    bound: bool = False
    """End the lab with this process, however that ends; else it stays until `stop`."""


def start(wanted: Wanted, said: Callable[[str], None]) -> state.State:
    """Start a lab and return once it is ready; each line of progress is given to `said`.

    What labs left that were killed with their watchdogs is swept first. Interrupted, nothing is
    left. Raise RunsAlreadyError or StartFailedError.
    """
    _refuse_second()
    for folder in sweep.leftovers():
        sweep.sweep(folder)
    state_file = state.STATE_FILE.resolve()
    state_file.parent.mkdir(exist_ok=True)
    for old in (state_file, state.ENDED_FILE):
        old.unlink(missing_ok=True)
    run_dir = sweep.new_folder()
    try:
        _make_authority(run_dir)
        process = _supervise(wanted, run_dir, state_file)
        try:
            _follow(process, said, run_dir / "logs" / _LOG)
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            raise
    except BaseException:
        sweep.sweep(run_dir)
        raise
    ready = state.read(state_file)
    assert ready is not None
    return ready


def running() -> state.State:
    """Return the lab that was started in this directory; raise NoLabError without one."""
    found = state.read()
    if found is None or not is_up(found):
        why = ""
        with contextlib.suppress(FileNotFoundError):
            why = f"; the last one ended by itself: {state.ENDED_FILE.read_text().strip()}"
        msg = f"no lab runs from this directory{why}; start one: python -m lab up"
        raise NoLabError(msg)
    return found


def is_up(found: state.State) -> bool:
    """Whether that lab's supervisor still runs."""
    return claim.holder() == found.supervisor


def stop(found: state.State) -> None:
    """End a lab; afterwards nothing of it is left."""
    if is_up(found):
        with contextlib.suppress(ProcessLookupError):
            os.kill(found.supervisor, signal.SIGTERM)
        watchdog.wait_for_end_of(found.supervisor)
    sweep.sweep(found.folder)
    state.STATE_FILE.unlink(missing_ok=True)


def _refuse_second() -> None:
    holder = claim.holder()
    if holder is not None:
        place = Path(f"/proc/{holder}/cwd")
        folder = place.readlink() if place.exists() else "another user's folder"
        msg = (
            f"a lab runs already (process {holder} in {folder}), and its addresses are taken; "
            "end it where it was started: python -m lab down"
        )
        raise RunsAlreadyError(msg)


def _make_authority(run_dir: Path) -> None:
    """Make the lab's certificate authority, which all of its processes name or use."""
    from lab.net import authority  # noqa: PLC0415  # 0.1 s that most commands can do without

    authority.create(run_dir / "ca")


def _supervise(wanted: Wanted, run_dir: Path, state_file: Path) -> subprocess.Popen[bytes]:
    around = configuration.surroundings()
    (run_dir / "logs").mkdir()
    with (run_dir / "logs" / _LOG).open("wb") as log:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "lab.supervisor"),
                *("--run-dir", str(run_dir), "--state", str(state_file)),
                *("--owner", str(os.getpid()), "--speed", str(wanted.speed)),
                *("--customers", str(wanted.customers), "--zone", around.zone),
                *(f"--region={region}" for region in around.regions),
                *(f"--load={load}" for load in wanted.loads),
                *(["--empty"] if wanted.empty else []),
                *(["--bound"] if wanted.bound else []),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )


def _follow(process: subprocess.Popen[bytes], said: Callable[[str], None], log: Path) -> None:
    """Return when the supervisor says that the lab is ready; raise StartFailedError otherwise."""
    assert process.stdout is not None
    for line in process.stdout:
        match json.loads(line):
            case {"progress": str(text)}:
                said(text)
            case {"ready": True}:
                return
            case {"failed": str(reason)}:
                msg = f"{reason}; logs are in {state.LOGS_FOLDER}"
                raise StartFailedError(msg)
            case unknown:
                msg = f"the supervisor said {unknown}"
                raise StartFailedError(msg)
    status = process.wait()
    last = log.read_text().strip().rpartition("\n")[2] if log.exists() else "its log is gone"
    msg = f"the supervisor ended with {status} before the lab was ready: {last}"
    raise StartFailedError(msg)
