"""Failover and planned switch beside Patroni, on the same PostgreSQL: `python bench/patroni.py`.

Each pair runs Patroni and then ours, with one writer's pace and the same lease TTL, and prints as
median, least and most:

- failover: from kill -9 (of Patroni's agent and its PostgreSQL; of the whole site of ours, our
  command starting at the kill) to the first durable commit through the clients' one address,
- after the lease: what of it came after the old lease had run out: for ours counted from when two
  tables named the new site, for Patroni from the kill, as its key may have been renewed then,
- switch: the longest gap between acknowledged commits of a planned switch. The gap of ours is the
  lab's: RDS reboots an instance that it promotes.

`--defaults` runs both at their production defaults instead of one TTL. Needs etcd and HAProxy.
"""

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Self

import peer
from failover import step_ends

from lab import launch, rehearsal
from lab.configuration import GUARD_TTL_VARIABLE

SHORTEST_TTL = 20
"""Patroni takes no shorter one."""
EQUAL = peer.Pace(ttl=SHORTEST_TTL, loop_wait=2, retry_timeout=3)
PATRONIS_DEFAULTS = peer.Pace(ttl=30, loop_wait=10, retry_timeout=10)
OUR_DEFAULT_TTL = 60
BACK_SECONDS = 180.0
STEADY_COMMITS = 20


@dataclass(slots=True)
class Figures:
    """Seconds, by figure, of one side."""

    failover: list[float]
    after_lease: list[float]
    switch: list[float]


def main() -> int:
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--pairs", type=int, default=7)
    made.add_argument("--defaults", action="store_true", help="each at its production defaults")
    options = made.parse_args()
    pace = PATRONIS_DEFAULTS if options.defaults else EQUAL
    ttl = OUR_DEFAULT_TTL if options.defaults else SHORTEST_TTL
    os.environ[GUARD_TTL_VARIABLE] = str(ttl)
    theirs, ours = Figures([], [], []), Figures([], [], [])
    for pair in range(options.pairs):
        measure_theirs(pace, theirs)
        measure_ours(ours)
        print(f"pair {pair + 1}: Patroni {theirs}, ours {ours}", file=sys.stderr)
    print(f"Patroni: {pace}; ours: TTL {ttl} s")
    for what in ("failover", "after_lease", "switch"):
        mine, other = getattr(ours, what), getattr(theirs, what)
        show(f"{what}, Patroni", other)
        show(f"{what}, ours", mine)
        if what != "after_lease":  # Patroni's may be none
            print(f"{what}, ratio {statistics.median(mine) / statistics.median(other):.2f}")
    return 0


def measure_theirs(pace: peer.Pace, figures: Figures) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as parent:
        Path(parent).chmod(0o755)
        with peer.Peer(Path(parent) / "peer", pace) as cluster, _Writing() as writer:
            writer.await_commits()
            leader = cluster.leader()
            assert leader
            began = time.time()
            cluster.switch(leader)
            writer.await_commits()
            figures.switch.append(_longest_gap(writer.commits, began))
            _await(cluster.streams)
            leader = cluster.leader()
            assert leader
            killed = cluster.kill(leader)
            first = writer.first_after(killed)
            figures.failover.append(first - killed)
            figures.after_lease.append(max(0.0, first - killed - pace.ttl))


def measure_ours(figures: Figures) -> None:
    lost = rehearsal.rehearse(
        launch.Wanted(speed=0, customers=1, bound=True),
        "refuse",
        lambda _: None,
        quiet=True,
    )
    if not lost.succeeded:
        sys.exit("our failover did not succeed")
    ends = [each for each in step_ends() if each.step == "outwait-guards"]
    waited = max(datetime.fromisoformat(each.at).timestamp() for each in ends)
    first = max(view.back_after for view in lost.views if view.back_after is not None)
    figures.failover.append(first)
    figures.after_lease.append(lost.killed_at + first - waited)
    moved = rehearsal.rehearse(
        launch.Wanted(speed=0, customers=1, bound=True),
        None,
        lambda _: None,
        quiet=True,
    )
    if not moved.succeeded:
        sys.exit("our switchover did not succeed")
    figures.switch.append(max(view.outage or 0.0 for view in moved.views))


class _Writing:
    """A writer at work in a thread of its own."""

    def __init__(self) -> None:
        self._writer = peer.Writer()
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    @property
    def commits(self) -> list[float]:
        """Return when each commit was acknowledged, in Unix time."""
        return list(self._writer.commits)

    def await_commits(self) -> None:
        """Return when there are a few more."""
        wanted = len(self._writer.commits) + STEADY_COMMITS
        _await(lambda: len(self._writer.commits) >= wanted)

    def first_after(self, moment: float) -> float:
        """Return when the first commit was acknowledged that came after it, and after a gap."""
        time.sleep(1.0)  # what was on its way when the node died may still be acknowledged
        _await(lambda: self._writer.commits[-1] > moment + 1.0)
        before = [at for at in self.commits if at <= moment + 1.0]
        return next(at for at in self.commits if at > before[-1])

    def _work(self) -> None:
        while not self._enough.is_set():
            self._writer.write()


def _longest_gap(commits: list[float], since: float) -> float:
    return max(later - earlier for earlier, later in pairwise(commits) if later > since)


def _await(is_so: object) -> None:
    assert callable(is_so)
    deadline = time.monotonic() + BACK_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            sys.exit(f"nothing happened within {BACK_SECONDS:.0f} s")
        time.sleep(0.05)


def show(what: str, seconds: list[float]) -> None:
    middle = statistics.median(seconds)
    span = f"{min(seconds):.2f} to {max(seconds):.2f}"
    print(f"{what:<24} {middle:6.2f} s  ({span}, {len(seconds)} runs)")


if __name__ == "__main__":
    Path(".lab").mkdir(exist_ok=True)
    sys.exit(main())
