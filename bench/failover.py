"""How long a failover of both products takes by itself: `python bench/failover.py`.

Each run starts a lab with AWS's modelled waits at zero, lets customers write, kills the primary
region and runs recovery as an operator would. Runs in which the dead region refuses connections
alternate with runs in which it is a black hole. Prints, as median, least and most:

- verified: from the command's start to the verification of the last product, by the journal,
- calls to the dead region, the bounded waits: the longest in `check` plus the longest in `fence`,
- guards: the wait for the old site's guards, TTL and drift bound of the lab's topology,
- everything else of it,
- ended: from the command's start to its end; after verification it takes snapshots, tells people
  and settles,
- first write: from the kill, with the operator's command right after it, to the first write
  acknowledged through the product's name; and without the wait for the guards.
"""

import argparse
import statistics
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lab import launch, outage, rehearsal, report, state
from recovery.engine import chain, journal

MOST_SECONDS = 2.0
MOST_TO_FIRST_WRITE = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One measured failover."""

    verified: float
    ended: float
    bounded_waits: float
    guards: float
    first_write: float

    @property
    def rest(self) -> float:
        """Return what is neither a wait for the dead region nor for the old guards."""
        return self.verified - self.bounded_waits - self.guards


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pairs", type=int, default=5)
    pairs = options.parse_args().pairs
    runs: dict[outage.Api, list[Run]] = {"refuse": [], "hang": []}
    for pair in range(pairs):
        for api, done in runs.items():
            done.append(measure(api))
            print(f"pair {pair + 1}, {api}: {done[-1]}", file=sys.stderr)
    for api, done in runs.items():
        show(f"{api}: verified", [run.verified for run in done])
        show(f"{api}: waits for the dead region", [run.bounded_waits for run in done])
        show(f"{api}: waits for the old guards", [run.guards for run in done])
        rest = show(f"{api}: everything else", [run.rest for run in done])
        if rest > MOST_SECONDS:
            print(f"more than {MOST_SECONDS} s")
        show(f"{api}: ended", [run.ended for run in done])
        show(f"{api}: first write", [run.first_write for run in done])
        show(f"{api}: without the guards' wait", [run.first_write - run.guards for run in done])
    rest = statistics.median(run.rest for run in runs["refuse"])
    first = statistics.median(run.first_write - run.guards for run in runs["refuse"])
    within = rest <= MOST_SECONDS and first <= MOST_TO_FIRST_WRITE
    print(
        f"region refusing, but for the guards' wait: at most {MOST_SECONDS} s verified and "
        f"{MOST_TO_FIRST_WRITE} s to the first write: {'yes' if within else 'NO'}"
    )
    return 0 if within else 1


def measure(api: outage.Api) -> Run:
    story = rehearsal.rehearse(
        launch.Wanted(speed=0, customers=3, bound=True), api, lambda _: None, quiet=True
    )
    if not story.succeeded:
        sys.exit(f"the failover did not succeed: {report.as_json(story)}")
    ends = step_ends()
    verified = [datetime.fromisoformat(end.at) for end in ends if end.step == "verify-service"]
    waits = [float(end.facts["seconds"] or 0) for end in ends if end.step == "outwait-guards"]
    return Run(
        verified=max(verified).timestamp() - story.recovery_began,
        guards=max(waits),
        ended=story.recovery_seconds,
        bounded_waits=sum(longest_to_dead(story).values()),
        first_write=max(view.back_after for view in story.views if view.back_after is not None),
    )


def step_ends() -> list[chain.Record]:
    """Return the records of the operator's journal that end a step."""
    (path,) = state.OPERATOR_FOLDER.glob(".local/state/standby/journals/*.jsonl")
    return [each for each in journal.read(path.read_bytes()) if each.event == "done"]


def longest_to_dead(story: report.Story) -> dict[str, float]:
    """Return the longest call to the dead region of each step; calls of a step run side by side."""
    return {step.step: step.dead_seconds for step in story.calls if step.to_dead}


def show(what: str, seconds: list[float]) -> float:
    middle = statistics.median(seconds)
    span = f"{min(seconds):.2f} to {max(seconds):.2f}"
    print(f"{what:<36} {middle:6.2f} s  ({span}, {len(seconds)} runs)")
    return middle


if __name__ == "__main__":
    Path(".lab").mkdir(exist_ok=True)
    sys.exit(main())
