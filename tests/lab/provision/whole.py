"""The project's own stacks in the lab's AWS, with stand-ins for its servers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.provision.clients import LabClients
from lab.provision.stacks import Outcome, Run, provision

ROOT = Path(__file__).parents[3]
STANDINS = ROOT / "tests" / "lab" / "aws" / "standins"
OVERRIDES = {"https_port": 8443, "guard": {"ttl_seconds": 3}}
READY_SECONDS = 60


@dataclass
class Lab:
    """The lab's AWS and the stacks in it."""

    url: str
    run_dir: Path
    clients: LabClients

    def up(self, *stacks, preview=False, **overrides) -> list[Outcome]:
        run = Run(
            root=ROOT,
            run_dir=self.run_dir,
            clients=self.clients,
            overrides={**OVERRIDES, **overrides},
            preview=preview,
        )
        return list(provision(run, stacks, lambda _stack, _step: None))

    def calls(self, after=0):
        with urllib.request.urlopen(f"{self.url}/_lab/calls?after={after}") as answer:
            return json.load(answer)

    def states(self):
        return {p.stem: p.read_text() for p in (self.run_dir / "provision").glob("*.json")}


def serve(folder: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "lab.aws", "--run-dir", str(folder), "--speed", "0"]
    command += ["--address", "127.0.0.1", "--port", str(port)]
    command += ["--postgres", "lab_servers", "--hosts", "lab_hosts"]
    environment = {**os.environ, "PYTHONPATH": str(STANDINS)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=environment)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/_lab/ready").close()
        except OSError:
            time.sleep(0.1)
        else:
            return process, url
    pytest.fail(f"the lab's AWS did not come up: {(folder / 'log').read_text()[-2000:]}")


def ended(process, folder: Path) -> None:
    process.terminate()
    process.wait()
    for path in (folder / "hosts").glob("*"):
        try:
            os.kill(int(path.read_text()), signal.SIGKILL)
        except ProcessLookupError:
            continue
