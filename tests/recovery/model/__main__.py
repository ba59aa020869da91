"""Search many stories for two writers: `python -m tests.recovery.model --seeds 2000`."""

import argparse
import sys
import time
from collections import Counter

from tests.recovery.model.story import tell


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=300)
    options.add_argument("--first", type=int, default=0)
    options.add_argument("--show", type=int, default=1, help="timelines of so many failures")
    given = options.parse_args()
    began = time.process_time()
    counts, failed = Counter(), []
    for seed in range(given.first, given.first + given.seeds):
        told = tell(seed)
        counts += told.counts
        if told.violations:
            failed.append(told)
    for told in failed[: given.show]:
        print(told.text())
    for kind, number in sorted(counts.items()):
        print(f"{number:8}  {kind}")
    for told in failed:
        print(f"seed {told.seed}: {told.violations[0]}")
    print(f"{len(failed)} of {given.seeds} stories; {time.process_time() - began:.1f} s of CPU")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
