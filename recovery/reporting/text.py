"""A story as plain text of at most 100 columns; only what has no blank to break at is longer."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime

from recovery.cloud.tally import Calls
from recovery.journalling import CONTROLS
from recovery.reporting.journals import Comparison
from recovery.reporting.story import Event, ProductStory, StepStory, Story, plain

COLUMNS = 100
_LABEL = 10
_BAR = 44


def text(story: Story, source: str, comparison: Comparison | None) -> str:
    """Return the whole report."""
    lines = [f"execution {plain(story.execution)}", *_head(story, source, comparison)]
    for product in story.products:
        lines += ["", *_product(product)]
    if story.calls:
        lines += ["", "calls for no product", *_calls("", story.calls)]
    return "\n".join(lines)


def evidence(story: Story, comparison: Comparison | None) -> Iterator[tuple[str, str]]:
    """Yield what there is to say of the journal itself, with a label for each."""
    count = f"{story.lines} lines"
    if story.fits:
        yield "hashes", f"{count}, all fit"
    else:
        yield "hashes", f"CHANGED: {len(story.misfits)} of {count} do not fit"
    for line in story.misfits:
        for fault in line.faults:
            yield "CHANGED", f"line {line.number} {fault.text}"
    for oddity in story.oddities:
        yield "CHANGED", oddity
    if story.torn:
        yield "torn", f"{story.torn} bytes of a last line without its end, as a kill leaves it"
    if comparison:
        yield "copy" if comparison.fits else "CHANGED", comparison.text
    if story.exit_code is None:
        region = story.opening.get("region")
        hint = "" if comparison else f"; compare with the copy: --region {region or 'REGION'}"
        yield "no end", f"there is no closing record: {story.ending}{hint}"


def asked(story: Story) -> Iterator[tuple[str, str]]:
    """Yield who asked for what, and what that was allowed."""
    known = {name: str(fact) for name, fact in story.opening.items()}
    where = f"{known.get('region', 'unknown')} ({known.get('site', 'unknown')})"
    yield "asked", f"{known.get('verb', 'unknown')} to {where}: {known.get('products', 'unknown')}"
    yield "by", f"{known.get('operator', 'unknown')}, version {known.get('version', 'unknown')}"
    yield "accepted", ", ".join(story.accepted) or "nothing"
    yield "approved", ", ".join(story.approved) or "nothing"
    for name in CONTROLS:
        if name in known:
            yield name.partition("_")[0], known[name]
    if story.began and story.last:
        yield "began", moment(story.began)
        yield "last", f"{moment(story.last)}, {story.seconds:.1f} s later"
    yield "ended", story.ending


def moment(at: datetime) -> str:
    """Write a time down."""
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} UTC"


def counted(calls: Sequence[Calls]) -> str:
    """Write calls down, by operation and region."""
    return ", ".join(
        f"{each.operation} {each.region} {each.times}{' failed' if each.failed else ''}"
        for each in calls
    )


def _head(story: Story, source: str, comparison: Comparison | None) -> Iterator[str]:
    yield from _labelled("journal", source)
    for label, said in (*evidence(story, comparison), *asked(story)):
        yield from _labelled(label, said)


def _labelled(label: str, said: str) -> list[str]:
    return _wrapped(f"  {label:<{_LABEL}}", plain(said))


def _wrapped(first: str, said: str) -> list[str]:
    return textwrap.wrap(
        said,
        COLUMNS,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [first.rstrip()]


def _product(product: ProductStory) -> Iterator[str]:
    yield f"{plain(product.name)}: {product.ending}"
    if product.error:
        yield from _labelled("error", product.error)
    for deviation in product.deviations:
        yield from _labelled("DEVIATES", deviation)
    if product.budget:
        yield from _labelled("budget", product.budget)
    if product.steps:
        yield "\n     from s    took s  step"
        end = max(step.began + step.seconds for step in product.steps)
        start = min(step.began for step in product.steps)
        for step in product.steps:
            yield _bar(step, start, end)
    if product.calls or any(step.calls for step in product.steps):
        yield "\n  calls"
        for step in product.steps:
            yield from _calls(step.name, step.calls)
        yield from _calls("(no step)", product.calls)
    yield "\n   offset s  UTC       event     step"
    yield from (_event(event) for event in product.events)


def _bar(step: StepStory, start: float, end: float) -> str:
    """Draw when the step ran, between the beginning of the first and the end of the last."""
    scale = _BAR / (end - start) if end > start else 0.0
    before = min(_BAR - 1, int((step.began - start) * scale))
    length = max(1, min(_BAR - before, round(step.seconds * scale)))
    bar = " " * before + "#" * length
    name = plain(step.name)
    return f"  {step.began:>9.2f} {step.seconds:>9.2f}  {name:<18} {step.ending:<10} {bar}"


def _calls(step: str, calls: Sequence[Calls]) -> list[str]:
    if not calls:
        return []
    total = sum(each.times for each in calls)
    return _wrapped(f"  {total:>9}  {plain(step):<18} ", plain(counted(calls)))


def _event(event: Event) -> str:
    mark = " " if event.fits else "!"
    line = (
        f"{mark} {event.offset:>+9.3f}  {event.at:%H:%M:%S}  {plain(event.event):<8}  "
        f"{plain(event.step):<18} {plain(event.text)}"
    ).rstrip()
    return line if len(line) <= COLUMNS else f"{line[: COLUMNS - 3]}..."
