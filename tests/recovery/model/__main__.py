"""Search many stories for two writers: `python -m tests.recovery.model --seeds 2000`.

It prints how often each kind of trouble came, and what no failure in so many stories proves: a
share of failing stories below 3/n at 95 %, where n counts only the stories that put the argument
to the test. In those a site was promoted, one writer being called proven, whose peer still served
when the epoch was written, and trouble came between that and the promotion.
"""

import argparse
import sys
import time
from collections import Counter

from tests.recovery.model import planted
from tests.recovery.model.story import tell

FEWEST = 30
"""Fewer stories say too little; from here on 3/n is a good stand-in for 1 - 0.05 ** (1 / n)."""


def main():
    options = argparse.ArgumentParser(description="Search many stories for two writers.")
    options.add_argument("--seeds", type=int, default=300, help="how many stories")
    options.add_argument("--first", type=int, default=0, help="the first seed")
    options.add_argument("--show", type=int, default=1, help="timelines of so many failures")
    options.add_argument("--timeline", action="store_true", help="show every story")
    options.add_argument(
        "--plant", choices=[bug.__name__ for bug in planted.ALL], help="plant this bug first"
    )
    given = options.parse_args()
    bug = getattr(planted, given.plant) if given.plant else None
    began = time.process_time()
    counts, contested, failed = Counter(), [], []
    for seed in range(given.first, given.first + given.seeds):
        told = tell(seed, planted=bug)
        counts += told.counts
        if told.contested:
            contested.append(told.contested)
        if told.violations:
            failed.append(told)
        if given.timeline or (told.violations and len(failed) <= given.show):
            print(told.text())
    for kind, number in sorted(counts.items()):
        print(f"{number:8}  {kind}")
    for told in failed:
        print(f"seed {told.seed}: {told.violations[0]}")
    print(
        f"{len(failed)} of {given.seeds} stories failed (seeds {given.first} to {seed}); "
        f"{len(contested)} had a contested switch, {sum(contested)} in all; "
        f"{time.process_time() - began:.0f} s of CPU"
    )
    if len(contested) >= FEWEST and not failed:
        print(
            f"no failure in n = {len(contested)} contested stories: at 95 %, fewer than 3/n = "
            f"{3 / len(contested):.3%} of such stories fail"
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
