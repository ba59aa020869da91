"""A story as Markdown, whole, to be pasted into a post-mortem."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from recovery.reporting.journals import Comparison
from recovery.reporting.story import ProductStory, Story, plain
from recovery.reporting.text import asked, counted, evidence

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~&])")


def markdown(story: Story, source: str, comparison: Comparison | None) -> str:
    """Return the whole report."""
    head = (("journal", source), *evidence(story, comparison), *asked(story))
    lines = [f"# Execution {_cell(story.execution)}", "", *_table(("", ""), head)]
    for product in story.products:
        lines += _product(product)
    if story.calls:
        lines += ["", "Calls for no product: " + _cell(counted(story.calls))]
    return "\n".join(lines)


def _product(product: ProductStory) -> Iterator[str]:
    yield from ("", f"## {_cell(product.name)}: {_cell(product.ending)}", "")
    if product.error:
        yield from (f"Error: {_cell(product.error)}", "")
    yield from (f"- deviates: {_cell(each)}" for each in product.deviations)
    if product.budget:
        yield f"- budget: {_cell(product.budget)}"
    steps = [
        (f"{step.began:.2f}", f"{step.seconds:.2f}", step.name, step.ending, counted(step.calls))
        for step in product.steps
    ]
    yield from ("", *_table(("from s", "took s", "step", "ended", "calls"), steps))
    if product.calls:
        yield from ("", f"Calls of no step: {_cell(counted(product.calls))}")
    events = [
        (
            f"{event.offset:+.3f}",
            f"{event.at:%H:%M:%S}",
            event.event if event.fits else f"CHANGED {event.event}",
            event.step,
            event.text,
        )
        for event in product.events
    ]
    yield from ("", *_table(("offset s", "UTC", "event", "step", "text"), events))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'-|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"


def _cell(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", plain(text))
