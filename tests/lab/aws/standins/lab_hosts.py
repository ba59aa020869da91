"""Hosts that are one sleeping process each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


class Host:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def launch(*, run_dir: Path, instance_id, address, region, user_data, environment) -> Host:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], cwd=run_dir)
    folder = run_dir / "hosts"
    folder.mkdir(exist_ok=True)
    (folder / instance_id).write_text(str(process.pid))
    return Host(process)
