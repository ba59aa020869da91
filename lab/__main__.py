"""Two AWS regions on a laptop: `python -m lab COMMAND`.

A lab belongs to the directory in which it was started; a machine runs one at a time.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from pathlib import Path

from lab import configuration, control, customers, environment, launch, ledger, outage

_EXIT_CODES = """\
exit codes:
  0  done
  1  failed; the message says what, and logs are kept in .lab/logs
  2  wrong usage
  3  refused: a lab runs already, or none does
failover, switchover: recovery's own code, or 1 where customers contradict it.
"""
_REFUSED = 3
_INTERRUPTED = 130


def main() -> int:
    """Run one command; return its exit code."""
    given = _parser().parse_args()
    try:
        return given.run(given)
    except (launch.NoLabError, launch.RunsAlreadyError) as error:
        return _fail(str(error), _REFUSED)
    except (launch.StartFailedError, control.NotAnsweringError) as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("interrupted; nothing of the lab is left", _INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _up(given: argparse.Namespace) -> int:
    if given.empty and (given.customers or given.load):
        return _fail("--empty has no products: it goes with neither --customers nor --load", 2)
    lab = launch.start(
        launch.Wanted(
            speed=given.speed,
            customers=given.customers,
            loads=_loads(given.load),
            empty=given.empty,
        ),
        _Progress(),
    )
    print(f'the lab runs in {lab.run_dir}; next: eval "$(python -m lab env)"')
    return 0


def _rehearse(given: argparse.Namespace) -> int:
    from lab import rehearsal, report, screen  # noqa: PLC0415  # boto3, which no other command needs

    wanted = launch.Wanted(
        speed=given.speed, customers=given.customers, loads=_loads(given.load), bound=True
    )
    try:
        story = rehearsal.rehearse(wanted, given.api, _Progress(), quiet=given.json)
    except rehearsal.BrokenOffError as error:
        return _fail(str(error), 1)
    if given.json:
        print(report.as_json(story))
    else:
        screen.show(story)
    if story.recovery_exit > 0:
        return story.recovery_exit
    return 0 if story.succeeded else 1


def _env(_: argparse.Namespace) -> int:
    told = environment.environment(launch.running().folder, "OPERATOR")
    # What answers in the lab as Pulumi does on AWS.
    told["STANDBY_PULUMI"] = f"{sys.executable} -m lab pulumi"
    for name, value in told.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _pulumi(given: argparse.Namespace) -> int:
    from lab import pulumi  # noqa: PLC0415  # the SDK, which no other command needs

    return pulumi.main(given.words)


def _kill(given: argparse.Namespace) -> int:
    launch.running()
    outage.kill(given.region, given.api)
    print(f"{given.region} is dead; its API will {given.api}")
    return 0


def _heal(given: argparse.Namespace) -> int:
    launch.running()
    outage.heal(given.region)
    print(f"{given.region} is back")
    return 0


def _cut(given: argparse.Namespace) -> int:
    launch.running()
    outage.cut(given.one, given.other)
    print(f"nothing passes between {given.one} and {given.other}")
    return 0


def _slow(given: argparse.Namespace) -> int:
    launch.running()
    outage.slow(given.one, given.other, given.delay_ms)
    print(f"what passes between {given.one} and {given.other} takes {given.delay_ms} ms more")
    return 0


def _join(given: argparse.Namespace) -> int:
    launch.running()
    outage.join(given.one, given.other)
    print(f"everything passes between {given.one} and {given.other}")
    return 0


def _status(_: argparse.Namespace) -> int:
    lab = launch.running()
    print(f"lab in {lab.run_dir}, {'ready' if lab.ready else 'starting'}, speed {lab.speed:g}")
    for name, pid in {"supervisor": lab.supervisor, **lab.processes}.items():
        print(f"  process   {name:<12} {pid}")
    world = control.get("world")
    for region, what in world["regions"].items():
        print(f"  region    {region:<12} {what}")
    for link, what in world["links"].items():
        if what["state"] != "up":
            print(f"  link      {link:<12} {what['state']}")
    for database in world["databases"]:
        print(f"  database  {database['id']:<12} {database['region']} {database['state']}")
    for seen in ledger.load(lab.folder / customers.UNFINISHED):
        print(f"  customers {seen.product:<12} {seen.acknowledged} writes, {seen.failed} failures")
    return 0


def _down(_: argparse.Namespace) -> int:
    launch.stop(launch.running())
    return 0


class _Progress:
    """Prints each thing that happened with the seconds since the start, on standard error."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", file=sys.stderr, flush=True)


def _loads(given: list[str]) -> tuple[str, ...]:
    """Return PRODUCT=FILE with absolute paths; raise SystemExit(2) where there is no such thing."""
    found: list[str] = []
    known = configuration.surroundings().products if given else ()
    for each in given:
        product, _, name = each.partition("=")
        path = Path(name).resolve()
        if product not in known:
            raise SystemExit(_fail(f"--load {each}: PRODUCT=FILE, of {', '.join(known)}", 2))
        if not path.is_file():
            raise SystemExit(_fail(f"--load {each}: there is no file {path}", 2))
        found.append(f"{product}={path}")
    return tuple(found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lab",
        description=__doc__,
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start a lab, and leave it running")
    up.set_defaults(run=_up)
    up.add_argument("--customers", type=count, default=0, metavar="N", help="per product")
    up.add_argument("--empty", action="store_true", help="AWS alone: no stacks, no products")
    story = commands.add_parser(
        "failover", help="start a lab, lose a region under load, recover, report, end the lab"
    )
    story.set_defaults(run=_rehearse)
    move = commands.add_parser(
        "switchover", help="start a lab, move the products under load, report, end the lab"
    )
    move.set_defaults(run=_rehearse, api=None)
    for command in (story, move):
        command.add_argument(
            "--customers", type=at_least_one, default=3, metavar="N", help="per product"
        )
        command.add_argument("--json", action="store_true", help="print the lab's report as JSON")
    for command in (up, story, move):
        command.add_argument(
            "--load",
            action="append",
            default=[],
            metavar="PRODUCT=FILE",
            help="load a database of your own: plain SQL or a pg_dump archive",
        )
        command.add_argument(
            "--speed",
            type=pace,
            default=launch.DEFAULT_SPEED,
            help="AWS's seconds for one of the lab's; 0: wait for nothing (default: %(default)g)",
        )
    asked = commands.add_parser(
        "pulumi", help="answer as Pulumi's CLI would, from the lab's provision", add_help=False
    )
    asked.set_defaults(run=_pulumi)
    asked.add_argument("words", nargs=argparse.REMAINDER, metavar="...")
    commands.add_parser("env", help="print the environment for a shell").set_defaults(run=_env)
    commands.add_parser("status", help="show what runs").set_defaults(run=_status)
    commands.add_parser("down", help="end the lab").set_defaults(run=_down)
    kill = commands.add_parser("kill", help="kill everything in a region at once")
    kill.set_defaults(run=_kill)
    heal = commands.add_parser("heal", help="give a dead region back")
    heal.set_defaults(run=_heal)
    for command in (kill, heal):
        command.add_argument("region", metavar="REGION")
    for command in (kill, story):
        command.add_argument("--api", choices=("hang", "refuse"), default="hang")
    for name, run, what in (
        ("cut", _cut, "let nothing pass between two regions"),
        ("slow", _slow, "delay what passes between two regions"),
        ("join", _join, "let everything pass between two regions again"),
    ):
        command = commands.add_parser(name, help=what)
        command.set_defaults(run=run)
        command.add_argument("one", metavar="REGION")
        command.add_argument("other", metavar="REGION")
        if name == "slow":
            command.add_argument("delay_ms", type=int, metavar="MILLISECONDS")
    return parser


def count(text: str) -> int:
    """Return a number that is not negative."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative; give 0 or more")
    return number


def at_least_one(text: str) -> int:
    """Return a positive number."""
    """Return a whole number above zero, as argparse types do."""
    if number := count(text):
        return number
    raise argparse.ArgumentTypeError("without customers nobody sees the outage; give 1 or more")


def pace(text: str) -> float:
    """Return a finite number that is not negative."""
    """Return a speed: zero or more."""
    speed = float(text)
    if not 0 <= speed < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no pace; give 0 or more")
    return speed


def _fail(message: str, code: int) -> int:
    print(f"lab: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
