from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab.provision.everything import everything

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("made", [1, 12, 30])
def test_a_run_killed_midway_is_finished_by_the_next_with_nothing_twice(shop, made, actions):
    shop.write(everything(shop.clients))
    command = [sys.executable, "-m", "lab.provision", "prod"]
    command += ["--run-dir", str(shop.run_dir), "--project", str(shop.root)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env={**os.environ})
    path = shop.run_dir / "provision" / "prod.json"
    while process.poll() is None and finished(path) < made:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert finished(path) >= made

    shop.up()
    assert live(shop) == {"vpcs": 2, "addresses": 3, "topics": 1, "keys": 1, "buckets": 2}
    assert actions(shop.up()) == []


def finished(path):
    try:
        return sum(not r["pending"] for r in json.loads(path.read_text())["resources"])
    except FileNotFoundError:
        return 0


def live(shop):
    def aws(service):
        return shop.clients(service, "eu-west-1")

    return {
        "vpcs": sum(not v["IsDefault"] for v in aws("ec2").describe_vpcs()["Vpcs"]),
        "addresses": len(aws("ec2").describe_addresses()["Addresses"]),
        "topics": len(aws("sns").list_topics()["Topics"]),
        "keys": len(aws("kms").list_keys()["Keys"]),
        "buckets": len(aws("s3").list_buckets()["Buckets"]),
    }
