"""A lab as a user has it, and what must be gone when it has ended."""

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from lab import sweep

READY_SECONDS = 180
GONE_SECONDS = 20


class Lab:
    """A lab as a user has it: a directory, and commands."""

    def __init__(self, directory):
        self.directory = directory

    def run(self, *arguments, **options):
        return subprocess.run(
            [sys.executable, "-m", "lab", *arguments],
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=READY_SECONDS,
            check=False,
            **options,
        )

    def start(self, *arguments, **options):
        """Start a command as a terminal does: a script's background job is deaf to Ctrl-C."""
        return subprocess.Popen(
            ["env", "--default-signal=INT", sys.executable, "-m", "lab", *arguments],
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    def up(self, *arguments):
        done = self.run("up", *arguments)
        assert done.returncode == 0, done.stderr

    def down(self):
        return self.run("down")

    @property
    def state_file(self):
        return self.directory / ".lab" / "state.json"

    @property
    def state(self):
        return json.loads(self.state_file.read_text())

    @property
    def run_dir(self):
        return Path(self.state["run_dir"])

    def environment(self):
        """What `lab env` says, and nothing of this process but where programs are."""
        lines = self.run("env").stdout.splitlines()
        told = dict(shlex.split(line)[1].split("=", 1) for line in lines)
        return {"PATH": os.environ["PATH"], "HOME": str(self.directory), **told}

    def recovery(self, verb, *arguments):
        """Run `python -m recovery.VERB` as an operator in another shell would."""
        return subprocess.run(
            [sys.executable, "-m", f"recovery.{verb}", *arguments],
            cwd=self.directory,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=READY_SECONDS,
            check=False,
        )

    def recovery_process(self, verb, *arguments):
        return subprocess.Popen(
            [sys.executable, "-m", f"recovery.{verb}", *arguments],
            cwd=self.directory,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def leftovers(run_dir):
    """Return what is left of a lab: processes, folder, ports, shared memory."""
    left = [f"process {pid}" for pid in sweep.processes_in(run_dir)]
    if run_dir.exists():
        left.append(f"folder {run_dir}")
    for address, port in (("127.0.53.1", 4566), ("127.0.53.2", 5300), ("127.0.53.3", 4567)):
        with suppress(OSError), socket.create_connection((address, port), timeout=1):
            left.append(f"port {address}:{port}")
    left += [str(path) for path in Path("/dev/shm").glob("PostgreSQL.*")]
    return left


def await_nothing_left(lab, run_dir):
    """Fail unless nothing of the lab is left within a few seconds."""
    until = time.monotonic() + GONE_SECONDS
    while (left := leftovers(run_dir)) or lab.state_file.exists():
        assert time.monotonic() < until, left or "the state file"
        time.sleep(0.1)


def command(pid):
    """Return the command line of a process, empty once it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def new_lab(factory):
    return Lab(factory.mktemp("directory"))
