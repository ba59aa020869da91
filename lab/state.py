"""What a running lab leaves for the commands that follow: `.lab/state.json`."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path(".lab")
STATE_FILE = FOLDER / "state.json"
ENDED_FILE = FOLDER / "ended.txt"
"""Why the last lab ended, when nobody asked it to."""
OPERATOR_FOLDER = FOLDER / "operator"
"""Home of the operator of the last rehearsal; recovery's journal is in it."""
LOGS_FOLDER = FOLDER / "logs"
"""The logs of the last lab that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One lab: where it is, and its processes by name."""

    run_dir: str
    supervisor: int
    processes: dict[str, int]
    speed: float
    ready: bool

    @property
    def folder(self) -> Path:
        """Return the run folder."""
        return Path(self.run_dir)


def read(path: Path = STATE_FILE) -> State | None:
    """Return the state in `path`, or None when there is no lab."""
    try:
        return State(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None


def write(state: State, path: Path) -> None:
    """Write `state` readable by its owner alone: who reads it can end the lab's processes."""
    path.parent.mkdir(mode=0o755, exist_ok=True)
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(asdict(state), file, indent=2)
    fresh.replace(path)
