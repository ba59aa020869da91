"""What the command lines share: the options, and how an error becomes a line and an exit code."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

from recovery.engine.errors import BUG, REFUSED, OutsideError, RecoveryError
from recovery.engine.gates import Controls

BROKEN_PIPE = 141
"""What a shell calls an end by SIGPIPE."""
CONTROLS = """\
controls:
  --pause-before and --approve-at stop the plan before a step acts; one whose outcome holds already
  does not act, and stops nothing. A stopped plan says so, and keeps its lease, so that nobody else
  begins. It goes on when the operator presses Enter (for an approval: types a name, which is
  recorded), or by python -m recovery.approve EXECUTION --step STEP --by 'NAME' from another shell
  or machine. Nobody need type here: where standard input is no terminal only that one counts.
  An approval is waited for as long as the RTO; then the run fails before the point of no return,
  and waits on after it. Ctrl-C at a stop changes nothing; the same command run again goes on.
  --skip leaves a step out, on the operator's responsibility: the run ends as deviated (6). Those
  that prove safety may not be left out. --dry-run lists the steps, and what stops where.
  While it runs, the RTO's use is shown: spent since the outage began, forecast of the rest, left.
"""
EXIT_CODES = """\
exit codes:
  0  done and verified
  1  a bug in this program
  2  wrong usage
  3  refused: nothing was changed
  4  failed before the point of no return; run again
  5  stranded after the point of no return; run again, or finish by hand (RUNBOOK.md)
  6  finished, but something deviates or could not be verified
130  interrupted: what was under way in AWS goes on there; run again
Several products: the worst of theirs, in the order 5 1 4 6 3 0.
"""


def parser(verb: str, description: str, *, region_means: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every verb has."""
    made = argparse.ArgumentParser(
        prog=f"python -m recovery.{verb}",
        description=description,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--region", required=True, metavar="REGION", help=region_means)
    made.add_argument(
        "--product",
        action="append",
        default=[],
        metavar="NAME",
        help="only this product; repeat for several (default: all)",
    )
    made.add_argument("--json", action="store_true", help="print the result as JSON")
    made.add_argument(
        "--resolver",
        metavar="HOST[:PORT]",
        default=os.environ.get("STANDBY_RESOLVER"),
        help="ask this DNS server for the products' names (default: $STANDBY_RESOLVER, "
        "else the system's)",
    )
    return made


def _offer_controls(made: argparse.ArgumentParser) -> None:
    """Add the options by which an operator stops a plan, or leaves steps out."""
    made.epilog = f"{CONTROLS}\n{made.epilog}"
    made.add_argument(
        "--pause-before",
        action="append",
        default=[],
        metavar="STEP",
        help="stop before this step acts, until somebody says go; repeatable",
    )
    made.add_argument(
        "--approve-at",
        action="append",
        default=[],
        metavar="STEP",
        help="the same, and the go must carry a name, which is recorded; repeatable",
    )
    made.add_argument(
        "--skip",
        action="append",
        default=[],
        metavar="STEP",
        help="leave this step out; each needs its --because; repeatable",
    )
    made.add_argument(
        "--because",
        action="append",
        default=[],
        type=_reason,
        metavar="'REASON'",
        help="why, for the --skip in the same place; recorded",
    )


def parsed(made: argparse.ArgumentParser) -> argparse.Namespace:
    """Offer the controls and parse the command line; `controls` holds what it asks of the plan."""
    _offer_controls(made)
    options = made.parse_args()
    options.controls = _controls_in(options, made)
    return options


def _controls_in(options: argparse.Namespace, made: argparse.ArgumentParser) -> Controls:
    """Return what those options say; end as wrong usage where they do not fit."""
    skips, reasons = options.skip, options.because
    if len(skips) != len(reasons):
        made.error(
            f"{len(skips)} --skip and {len(reasons)} --because: give a reason for each step, as "
            "--skip STEP --because 'REASON'"
        )
    return Controls(
        pause_before=tuple(options.pause_before),
        approve_at=tuple(options.approve_at),
        skips=dict(zip(skips, reasons, strict=True)),
    )


def _reason(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; say why the step may be left out")
    return text.strip()


def main(command: Callable[[], int]) -> None:
    """Run a command and leave with its exit code; every failure is one line on standard error."""
    try:
        code = command()
    except RecoveryError as error:
        code = _tell(str(error), error.exit_code)
    except OutsideError as error:
        code = _tell(str(error), REFUSED)
    except BrokenPipeError:
        os._exit(BROKEN_PIPE)  # the reader has left, as head(1) does; nothing to tell anybody
    except KeyboardInterrupt:
        code = _tell("interrupted; run the same command again to go on", 130)
    except Exception as error:
        if os.environ.get("STANDBY_TRACE"):
            raise
        what = f"a bug: {type(error).__name__}: {error} (STANDBY_TRACE=1 shows where)"
        code = _tell(what, BUG)
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    # Threads that still wait for a dead region must not hold the operator up.
    os._exit(code)


def _tell(message: str, code: int) -> int:
    print(f"recovery.{Path(sys.argv[0]).stem}: {message}", file=sys.stderr)
    return code
