"""What a journal tells: who asked for what, what each step took and called, how it ended."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from recovery.cloud import tally
from recovery.cloud.tally import Calls
from recovery.engine import chain
from recovery.engine.chain import Fact, Line, Record
from recovery.engine.journal import EXECUTION
from recovery.journalling import ACCEPTED, APPROVED

NO_END = "it did not end, or its end was removed"
_ENDINGS = {
    0: "done and verified",
    1: "ended by a bug",
    3: "refused, nothing was changed",
    4: "failed before the point of no return",
    5: "stranded after the point of no return",
    6: "finished, but it deviates",
}
_STEP_ENDS = {"holds", "done", "failed", "skipped"}
_OF_STEPS = {"acting"} | _STEP_ENDS
_UNTOLD = {"calls", "seconds"}
"""Facts that have a place of their own in a report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One record, as told in a timeline."""

    line: int
    at: datetime
    offset: float
    """Seconds since the first record."""
    product: str
    step: str
    event: str
    text: str
    fits: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStory:
    """How one step went; times in seconds, `began` since the first record."""

    name: str
    ending: str
    """`holds`, `done`, `failed`, `skipped` (by the operator), or `unfinished`."""
    began: float
    seconds: float
    calls: tuple[Calls, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductStory:
    """How one product fared."""

    name: str
    exit_code: int | None
    """None where the product's run did not end."""
    error: str | None
    deviations: tuple[str, ...]
    budget: str | None
    """What of the RTO was spent; None where the product's run did not come so far."""
    steps: tuple[StepStory, ...]
    calls: tuple[Calls, ...]
    """Those that no step waited for, and the lease's."""
    events: tuple[Event, ...]

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        return _ending(self.exit_code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What one journal tells, and whether it may be believed."""

    execution: str
    opening: Mapping[str, Fact]
    accepted: tuple[str, ...]
    approved: tuple[str, ...]
    began: datetime | None
    last: datetime | None
    """When the last record was written."""
    exit_code: int | None
    """None where there is no closing record."""
    products: tuple[ProductStory, ...]
    calls: tuple[Calls, ...]
    """Those of no product: the beginning, and the journal's copies."""
    lines: int
    torn: int
    misfits: tuple[Line, ...]
    oddities: tuple[str, ...]
    """What no single line shows."""

    @property
    def fits(self) -> bool:
        """Whether the journal is as it was written, so far as it can tell by itself."""
        return not self.misfits and not self.oddities

    @property
    def ending(self) -> str:
        """How the execution ended, in words."""
        return _ending(self.exit_code)

    @property
    def seconds(self) -> float:
        """Seconds from the first record to the last."""
        return (self.last - self.began).total_seconds() if self.last and self.began else 0.0


def told(content: bytes, execution: str | None = None) -> Story:
    """Return what a journal tells; `execution` is whose it is taken for, if that is known."""
    examined = chain.examine(content)
    records = examined.records
    events = _events(examined.lines)
    closing = _latest(records, "", "closed")
    opening: Mapping[str, Fact] = records[0].facts if records else {}
    named = _first_of(records) or execution or "unknown"
    names = dict.fromkeys(_listed(opening.get("products")) + [each.product for each in events])
    return Story(
        execution=named,
        opening=opening,
        accepted=tuple(_accepted(opening)),
        approved=tuple(_approved(opening, events)),
        began=events[0].at if events else None,
        last=events[-1].at if events else None,
        exit_code=_code(closing),
        products=tuple(_product(name, records, events) for name in names if name),
        calls=_calls(closing),
        lines=len(examined.lines),
        torn=examined.torn,
        misfits=tuple(examined.misfits),
        oddities=tuple(_oddities(records, named, execution)),
    )


def plain(text: str) -> str:
    """Return the text with whatever a terminal would act on, or not print, made visible."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def _events(lines: Sequence[Line]) -> list[Event]:
    read = [(line, line.record) for line in lines if line.record]
    began = _moment(read[0][1]) if read else None
    return [
        Event(
            line=line.number,
            at=_moment(record),
            offset=round((_moment(record) - began).total_seconds(), 3) if began else 0.0,
            product=record.product,
            step=record.step,
            event=record.event,
            text=_text(record.facts),
            fits=not line.faults,
        )
        for line, record in read
    ]


def _text(facts: Mapping[str, Fact]) -> str:
    for name in ("text", "saw"):
        if isinstance(found := facts.get(name), str):
            return found
    told = {name: fact for name, fact in facts.items() if name not in _UNTOLD and fact is not None}
    return ", ".join(f"{name} {fact}" for name, fact in told.items())


def _product(name: str, records: Sequence[Record], events: Sequence[Event]) -> ProductStory:
    own = [record for record in records if record.product == name]
    ended = _latest(own, name, "ended")
    steps = dict.fromkeys(record.step for record in own if record.event in _OF_STEPS)
    shown = tuple(each for each in events if each.product == name)
    error = ended.facts.get("error") if ended else None
    return ProductStory(
        name=name,
        exit_code=_code(ended),
        error=str(error) if error is not None else None,
        deviations=tuple(f"{e.step}: {e.text}" for e in shown if e.event == "deviates"),
        budget=_budget(ended),
        steps=tuple(_step(step, own, shown) for step in steps),
        calls=_calls(ended),
        events=shown,
    )


def _budget(ended: Record | None) -> str | None:
    if ended is None or "spent_seconds" not in ended.facts:
        return None
    spent, forecast = ended.facts["spent_seconds"], ended.facts.get("forecast_seconds")
    over = ended.facts.get("over_budget")
    return f"{spent} s of the RTO spent, {forecast} s forecast" + (f"; {over}" if over else "")


def _step(name: str, records: Sequence[Record], events: Sequence[Event]) -> StepStory:
    offsets = [event.offset for event in events if event.step == name]
    end = next((r for r in reversed(records) if r.step == name and r.event in _STEP_ENDS), None)
    if end is None:
        last = max((event.offset for event in events), default=0.0)
        seconds, ending = last - offsets[0], "unfinished"
    else:
        seconds, ending = _seconds(end.facts.get("seconds"), offsets[-1] - offsets[0]), end.event
        last = offsets[-1]
    return StepStory(
        name=name,
        ending=ending,
        began=round(last - seconds, 3),
        seconds=round(seconds, 3),
        calls=_calls(end),
    )


def _oddities(records: Sequence[Record], named: str, execution: str | None) -> list[str]:
    found: list[str] = []
    if records and (records[0].step, records[0].event) != (EXECUTION, "opened"):
        found.append("the first record is no opening one: what came before it was removed")
    if records and execution is not None and named != execution:
        found.append(f"it is the journal of {named}, kept as that of {execution}")
    closed = [n for n, each in enumerate(records) if (each.step, each.event) == _CLOSED]
    if closed and closed[0] != len(records) - 1:
        after = len(records) - 1 - closed[0]
        found.append(f"{after} records follow the closing one: they were added")
    return found


_CLOSED = (EXECUTION, "closed")


def _first_of(records: Sequence[Record]) -> str | None:
    return records[0].execution if records else None


def _latest(records: Sequence[Record], product: str, event: str) -> Record | None:
    wanted = (product, EXECUTION, event)
    return next((r for r in reversed(records) if (r.product, r.step, r.event) == wanted), None)


def _accepted(opening: Mapping[str, Fact]) -> list[str]:
    return [
        _named(name.removeprefix(ACCEPTED), fact)
        for name, fact in opening.items()
        if name.startswith(ACCEPTED) and fact is not None and fact is not False
    ]


def _approved(opening: Mapping[str, Fact], events: Sequence[Event]) -> list[str]:
    beforehand = [
        _named(name.removeprefix(APPROVED).removeprefix("_"), fact)
        for name, fact in opening.items()
        if name.startswith(APPROVED) and fact is not None and fact is not False
    ]
    return beforehand + [f"{e.product} {e.step}: {e.text}" for e in events if e.event == APPROVED]


def _named(name: str, fact: Fact) -> str:
    words = name.replace("_", "-")
    return words if fact is True else f"{words} {fact}"


def _ending(code: int | None) -> str:
    if code is None:
        return NO_END
    return f"exit {code}: {_ENDINGS.get(code, 'no code of this program')}"


def _code(record: Record | None) -> int | None:
    code = record.facts.get("exit_code") if record else None
    return code if type(code) is int else None


def _calls(record: Record | None) -> tuple[Calls, ...]:
    calls = record.facts.get("calls") if record else None
    return tally.parse(calls) if isinstance(calls, str) else ()


def _seconds(fact: Fact, otherwise: float) -> float:
    if isinstance(fact, int | float) and math.isfinite(fact) and fact >= 0:
        return float(fact)
    return otherwise


def _listed(fact: Fact) -> list[str]:
    return fact.split(", ") if isinstance(fact, str) else []


def _moment(record: Record) -> datetime:
    return datetime.fromisoformat(record.at).astimezone(UTC)
