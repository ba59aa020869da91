"""The suites in full: `python -m tests.recovery.suites kills|faults|trips [--count N] [--seed S]`.

Prints how the stories' first runs ended, what went wrong, and the bound that the count proves.
"""

import argparse
import sys
import time
from collections import Counter

from tests.recovery.suites import drawn

FULL = {"kills": 1000, "faults": 2000, "trips": 200}


def main():
    """Run the suite that is asked for; 1 where a story went wrong."""
    options = _options()
    began, seen, wrong = time.monotonic(), Counter(), []
    tales = drawn.SUITES[options.suite](options.count or FULL[options.suite], options.seed)
    told = 0
    for told, (name, kind, tell) in enumerate(tales, start=1):
        found = tell()
        seen[kind, str(found.codes[0])] += 1
        if found.wrong:
            wrong.append(f"{name}: {found.wrong} (runs ended {found.codes})")
            print(wrong[-1], flush=True)
        if sys.stderr.isatty():
            print(f"\r{told} told, {len(wrong)} wrong", end="", file=sys.stderr)
    _show(seen)
    bound = f"below {3 / told:.2%} at 95 %" if not wrong else "no bound"
    seconds = time.monotonic() - began
    print(f"{told} stories, seed {options.seed}, {seconds:.0f} s: {len(wrong)} wrong; {bound}")
    return 1 if wrong else 0


def _show(seen):
    ends = sorted({end for _, end in seen})
    print("\t".join(["kind", *ends]))
    for kind in sorted({kind for kind, _ in seen}):
        print("\t".join([kind, *(str(seen[kind, end]) for end in ends)]))


def _options():
    made = argparse.ArgumentParser(prog="python -m tests.recovery.suites", description=__doc__)
    made.add_argument("suite", choices=sorted(FULL))
    made.add_argument("--count", type=int, help=f"stories (default: {FULL})")
    made.add_argument("--seed", type=int, default=1, help="of what is drawn (default: 1)")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main())
