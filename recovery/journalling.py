"""Opens and closes an execution's journal, mirrored to the standby's bucket."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from recovery import naming
from recovery.cloud import client, objects
from recovery.engine import state
from recovery.engine.errors import OutsideError
from recovery.engine.gates import NO_CONTROLS, Controls
from recovery.engine.journal import EXECUTION, Fact, Journal
from recovery.engine.progress import Progress
from recovery.steps.case import Case
from recovery.topology import Site

ACCEPTED = "accepted_"
"""Begins the name of each fact of the opening record that tells what the operator accepted."""

APPROVED = "approved"
"""Begins the name of a fact, or is the event of a record, that tells who approved of what."""

CONTROLS = ("pause_before", "approve_at", "skip")
"""The facts of the opening record that tell where the plan should stop, and leave out."""


def opened(
    verb: str,
    cases: Sequence[Case],
    controls: Controls = NO_CONTROLS,
    *,
    target: Site | None = None,
) -> Journal:
    """Return a new journal of this machine whose every record is copied to the site's bucket.

    `target`: the site that the operator named, where it is not the cases' own.
    RefusedError where this machine's disk does not take it.
    """
    region, site, execution = cases[0].here, cases[0].site, cases[0].execution

    def mirror(content: bytes) -> str | None:
        client.calling_step.set("journal")
        try:
            objects.write(region, site.bucket, naming.journal_key(execution), content)
        except OutsideError as error:
            return str(error)
        return None

    return Journal(state.folder(), execution, mirror, opening(verb, cases, controls, target=target))


def opening(
    verb: str,
    cases: Sequence[Case],
    controls: Controls = NO_CONTROLS,
    *,
    target: Site | None = None,
) -> dict[str, Fact]:
    """Return who does what where, with which products, and what was accepted beforehand."""
    case = cases[0]
    named = target or case.site
    facts: dict[str, Fact] = {
        "verb": verb,
        "region": named.region,
        "site": named.name,
        "products": ", ".join(each.product.name for each in cases),
        "operator": case.operator,
        "version": _version(),
    }
    facts |= {f"{ACCEPTED}{name}": _flat(value) for name, value in asdict(case.accepted).items()}
    asked = {
        "pause_before": ", ".join(controls.pause_before),
        "approve_at": ", ".join(controls.approve_at),
        "skip": "; ".join(f"{step}: {why}" for step, why in controls.skips.items()),
    }
    return facts | {name: told for name, told in asked.items() if told}


def closed(journal: Journal, progress: Progress, exit_code: int, seconds: float) -> None:
    """Write the last record and close; a disk that does not take it is said."""
    facts: dict[str, Fact] = {
        "exit_code": exit_code,
        "seconds": round(seconds, 3),
        "calls": client.tally.take_rest(),
    }
    try:
        journal.write("", EXECUTION, "closed", facts)
    except OSError as error:
        progress.say("", EXECUTION, "closed", f"not journalled: {error}")
    journal.close()


def _version() -> str:
    """Return this program's version; a checkout on the path that nobody installed has none."""
    try:
        return importlib.metadata.version("standby")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _flat(value: object) -> Fact:
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, Fact) else str(value)
