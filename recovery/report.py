"""Tell what an execution did: `python -m recovery.report [EXECUTION]`.

Reads the journal that every execution leaves, on this machine or in a site's bucket, and tells it
whole even where somebody changed it: the lines that do not fit are named. Asks nothing of AWS
but the bucket, and that only with --region.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from recovery.engine import cli
from recovery.engine.errors import DEVIATED, RECOVERED, OutsideError
from recovery.engine.parallel import Asking
from recovery.reporting import journals
from recovery.reporting.journals import Bucket, Comparison, Machine, Shelf
from recovery.reporting.markdown import markdown
from recovery.reporting.story import Story, plain, told
from recovery.reporting.text import moment, text

_EPILOG = """\
exit codes:
  0  the journal is as it was written, so far as it shows
  2  wrong usage
  3  refused: no such execution, or it cannot be read
  6  the journal was changed: the lines that do not fit are named
How the execution itself ended is in the report.
"""


def main() -> int:
    """Run the command line; return the exit code."""
    options = _options()
    if options.file:
        return _show(told(journals.content(options.file)), str(options.file), None, options)
    shelf = Bucket(options.region) if options.region else Machine()
    if options.list:
        return _list(shelf, as_json=options.json)
    execution = journals.chosen(shelf, options.execution)
    content = shelf.read(execution) or b""
    comparison = None
    if options.region:
        comparison = journals.compared(content, Machine().read(execution))
    return _show(told(content, execution), shelf.where(execution), comparison, options)


def _show(
    story: Story, source: str, comparison: Comparison | None, options: argparse.Namespace
) -> int:
    if options.json:
        print(json.dumps(_facts(story, source, comparison), indent=2, default=str))
    else:
        print((markdown if options.markdown else text)(story, source, comparison))
    fits = story.fits and (comparison is None or comparison.fits)
    return RECOVERED if fits else DEVIATED


def _facts(story: Story, source: str, comparison: Comparison | None) -> dict[str, object]:
    facts: dict[str, object] = asdict(story)
    misfits = [
        {"line": line.number, "kind": fault.kind, "text": fault.text}
        for line in story.misfits
        for fault in line.faults
    ]
    return facts | {
        "journal": source,
        "fits": story.fits,
        "misfits": misfits,
        "ending": story.ending,
        "seconds": story.seconds,
        "products": [asdict(product) | {"ending": product.ending} for product in story.products],
        "copy": asdict(comparison) | {"fits": comparison.fits} if comparison else None,
    }


def _list(shelf: Shelf, *, as_json: bool) -> int:
    """Print every execution of the shelf, the newest first."""
    known = list(reversed(shelf.executions()))
    with Asking() as asking:
        asked = [asking.ask(lambda each=each: shelf.read(each) or b"") for each in known]
        found = [(each, future.result()) for each, future in zip(known, asked, strict=True)]
    rows = [_row(execution, content) for execution, content in found]
    if as_json:
        print(json.dumps(rows, indent=2))
        return RECOVERED if all(row["fits"] for row in rows) else DEVIATED
    for row in rows:
        changed = "" if row["fits"] else "CHANGED; "
        print(f"{row['execution']}  {row['began']}  {row['products']}  {changed}{row['ending']}")
    if not rows:
        print(f"{shelf.place} has no journal")
    return RECOVERED if all(row["fits"] for row in rows) else DEVIATED


def _row(execution: str, content: bytes | OutsideError) -> dict[str, object]:
    if isinstance(content, OutsideError):
        unread = {"began": "unknown", "products": "unknown", "ending": str(content)}
        return {"execution": plain(execution), **unread, "fits": True}
    story = told(content, execution)
    return {
        "execution": plain(execution),
        "began": moment(story.began) if story.began else "unknown",
        "products": plain(", ".join(each.name for each in story.products)) or "none",
        "ending": story.ending,
        "fits": story.fits,
    }


def _options() -> argparse.Namespace:
    made = argparse.ArgumentParser(
        prog="python -m recovery.report",
        description="Tell what an execution did: who asked for what, what each step took and\n"
        "called, what deviated, how it ended; and whether its journal was changed since.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "execution",
        nargs="?",
        metavar="EXECUTION",
        help="its id, or a beginning of it that no other has (default: the newest)",
    )
    made.add_argument("--list", action="store_true", help="list the executions instead")
    place = made.add_mutually_exclusive_group()
    place.add_argument("--file", type=Path, metavar="PATH", help="tell this file")
    place.add_argument(
        "--region",
        metavar="REGION",
        help="tell the copy in the bucket of the site in REGION, where the products went, and "
        "compare it with this machine's journal (default: tell this machine's)",
    )
    form = made.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print it as JSON")
    form.add_argument("--markdown", action="store_true", help="print it for a post-mortem")
    options = made.parse_args()
    if options.file and (options.execution or options.list):
        made.error("--file names the journal; leave EXECUTION and --list out")
    if options.list and (options.execution or options.markdown):
        made.error("--list lists every execution, as text or --json")
    return options


if __name__ == "__main__":
    cli.main(main)
