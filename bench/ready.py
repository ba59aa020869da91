"""How long until recovery is ready to act, and in how much memory: `python bench/ready.py`.

Each run is a process of its own: it imports `recovery.failover` and builds the clients of seven
services in two regions. Beside it, the same clients from boto3 as it comes. Time counts from
before the first import; memory is the most that was resident (VmHWM). Median, least and most.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

SERVICES = ("rds", "dynamodb", "autoscaling", "elbv2", "ec2", "cloudwatch", "s3")
REGIONS = ("us-west-2", "us-east-2")
MOST_SECONDS = 0.6
MOST_MEGABYTES = 90

_OURS = """
import recovery.failover
from recovery.cloud import client
client.prepare([client.Region(name) for name in {regions}], {services})
"""
_BOTO3 = """
import boto3
session = boto3.session.Session()
for region in {regions}:
    for service in {services}:
        session.client(service, region_name=region)
"""
_MEASURED = """
import time
began = time.perf_counter()
{work}
import json, sys
seconds = time.perf_counter() - began
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
loaded = sorted({{name.partition(".")[0] for name in sys.modules}} & {{"pulumi", "moto", "boto3"}})
print(json.dumps([seconds, int(status["VmHWM"].split()[0]) / 1024, loaded]))
"""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=9)
    runs = options.parse_args().runs
    ours = measure("recovery", _OURS, runs)
    measure("boto3 as it comes", _BOTO3, runs)
    seconds, megabytes = (statistics.median(column) for column in zip(*ours, strict=True))
    within = seconds <= MOST_SECONDS and megabytes <= MOST_MEGABYTES
    print(f"at most {MOST_SECONDS} s and {MOST_MEGABYTES} MB: {'yes' if within else 'NO'}")
    return 0 if within else 1


def measure(name: str, work: str, runs: int) -> list[tuple[float, float]]:
    script = _MEASURED.format(work=work.format(regions=REGIONS, services=SERVICES))
    environment = os.environ | {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    measured: list[tuple[float, float]] = []
    loaded: list[str] = []
    for _ in range(runs + 1):
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, check=True
        )
        seconds, megabytes, loaded = json.loads(done.stdout)
        measured.append((seconds, megabytes))
    del measured[0]  # it warmed the disk's cache
    times, sizes = zip(*measured, strict=True)
    print(
        f"{name:<18} {statistics.median(times):.3f} s ({min(times):.3f} to {max(times):.3f}), "
        f"{statistics.median(sizes):.1f} MB ({min(sizes):.1f} to {max(sizes):.1f}), "
        f"{runs} runs; of pulumi, moto and boto3 it loads {', '.join(loaded) or 'none'}"
    )
    return measured


if __name__ == "__main__":
    sys.exit(main())
