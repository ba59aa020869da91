"""Two servers to ask the same questions: the lab's AWS, and moto as it is.

A test that takes `aws` states what AWS does. It must hold against the lab and must fail against
plain moto: when moto mends a habit, the test says so and the correction can go. A test that takes
`lab` is about what moto has no counterpart for.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab.aws.asking import EAST, WEST, Aws

HERE = Path(__file__).parent


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _serve(command: list[str], port: int, log: Path):
    environment = {**os.environ, "PYTHONPATH": str(HERE / "standins")}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.05)
    process.kill()
    pytest.fail(f"{command[:4]} did not come up:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def plain_moto(tmp_path_factory):
    port = _free_port()
    log = tmp_path_factory.mktemp("moto") / "log"
    command = [sys.executable, str(HERE / "standins" / "plain_moto.py"), str(port)]
    process = _serve(command, port, log)
    plain = Aws("moto", f"http://127.0.0.1:{port}")
    yield plain
    plain.close()
    process.kill()
    process.wait()


@pytest.fixture(scope="session")
def lab_run(tmp_path_factory):
    """Return a lab without waits, databases or products, and its run folder."""
    port = _free_port()
    run_dir = tmp_path_factory.mktemp("lab")
    command = [sys.executable, "-m", "lab.aws", "--run-dir", str(run_dir), "--speed", "0"]
    command += ["--address", "127.0.0.1", "--port", str(port)]
    command += ["--postgres", "lab_servers", "--hosts", "lab_hosts"]
    process = _serve(command, port, run_dir / "log")
    running = Aws("lab", f"http://127.0.0.1:{port}")
    yield running, run_dir
    running.close()
    process.terminate()
    process.wait()
    for path in (run_dir / "hosts").glob("*"):
        try:
            os.kill(int(path.read_text()), 9)
        except ProcessLookupError:
            continue


@pytest.fixture
def lab(lab_run):
    """Return the lab, every region alive and no fault in force."""
    aws = lab_run[0]
    yield aws
    aws.control("DELETE", "faults")
    aws.control("POST", "speed", {"speed": 0})
    for region in (EAST, WEST, "us-east-2"):
        aws.control("POST", "regions", {"region": region, "state": "up"})
        for other in (EAST, WEST):
            if region != other:
                link = {"from": region, "to": other, "state": "up"}
                aws.control("POST", "links", link)
    failures = aws.control("GET", "ready")["failures"]
    assert not failures


@pytest.fixture(
    params=[
        "lab",
        pytest.param(
            "moto",
            marks=pytest.mark.xfail(
                strict=True,
                raises=(AssertionError, pytest.fail.Exception),
                reason="a habit of plain moto that the lab corrects",
            ),
        ),
    ]
)
def aws(request):
    """Return the lab and, where the test must fail, plain moto."""
    if request.param == "lab":
        return request.getfixturevalue("lab")
    return request.getfixturevalue("plain_moto")
