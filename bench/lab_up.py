"""How long a lab takes to be ready, and how much memory it holds: `python bench/lab_up.py`.

Ready: all three stacks provisioned, replicas streaming, both products answering through their
names. Memory: the proportional set size (PSS) of all of its processes, with customers writing.
"""

import argparse
import statistics
import sys
import time

import psutil

from lab import launch

MOST_SECONDS = 25.0
MOST_MEGABYTES = 1536.0
_SETTLED_SECONDS = 5.0


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=5)
    runs = options.parse_args().runs
    measured = [measure() for _ in range(runs)]
    seconds, megabytes = (statistics.median(column) for column in zip(*measured, strict=True))
    for what, unit, column in zip(
        ("lab up", "memory"), ("s", "MB"), zip(*measured, strict=True), strict=True
    ):
        span = f"{min(column):.1f} to {max(column):.1f}"
        print(f"{what:<8} {statistics.median(column):8.1f} {unit}  ({span}, {runs} runs)")
    within = seconds <= MOST_SECONDS and megabytes <= MOST_MEGABYTES
    print(f"at most {MOST_SECONDS} s and {MOST_MEGABYTES} MB: {'yes' if within else 'NO'}")
    return 0 if within else 1


def measure() -> tuple[float, float]:
    began = time.monotonic()
    lab = launch.start(launch.Wanted(customers=3, bound=True), lambda _: None)
    try:
        seconds = time.monotonic() - began
        time.sleep(_SETTLED_SECONDS)
        return seconds, megabytes_under(str(lab.folder))
    finally:
        launch.stop(lab)


def megabytes_under(folder: str) -> float:
    """Return the PSS of every process that works inside the folder, in MB."""
    whole = 0
    for process in psutil.process_iter(["cwd"]):
        if (process.info["cwd"] or "").startswith(folder):
            whole += process.memory_full_info().pss
    return whole / 2**20


if __name__ == "__main__":
    sys.exit(main())
