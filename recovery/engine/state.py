"""The folder in which this machine keeps journals and the last topology it saw."""

import os
from pathlib import Path


def folder() -> Path:
    """Return `$STANDBY_STATE`, else `$XDG_STATE_HOME/standby`, else `~/.local/state/standby`."""
    if chosen := os.environ.get("STANDBY_STATE"):
        return Path(chosen)
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "standby"
