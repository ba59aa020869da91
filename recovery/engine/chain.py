"""How the lines of a journal hang together: made here, and examined here.

A line is a JSON object. Its last field, `seal`, is the SHA-256 of all that stands before it in the
line; `previous` is the SHA-256 of the whole line before. An edit shows in its line, or in the next
one if the seal was made anew. Nothing here is secret: whoever makes all hashes anew from some line
on, or cuts off the end, is found out by a copy kept elsewhere, never by the chain.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, cast

Fact = str | int | float | bool | None
GENESIS = "0" * 64
_SEAL = re.compile(rb', "seal": "([0-9a-f]{64})"\}\Z')
_TEXTS = ("at", "execution", "product", "step", "event", "previous")
_SHOWN = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line of a journal."""

    number: int
    at: str
    """ISO 8601, with its zone."""
    product: str
    step: str
    event: str
    facts: Mapping[str, Fact]
    execution: str = ""
    previous: str = GENESIS


class Kind(StrEnum):
    """What can be wrong with a line."""

    NOT_JSON = "is not JSON"
    FIELD = "missing or wrong field"
    SEAL = "changed after it was written"
    NUMBER = "duplicated or dropped number"
    CHAIN = "does not follow"
    EXECUTION = "of another execution"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong with a line."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line as found; no record where it cannot be read as one."""

    number: int
    """Its place in the file, from 1."""
    record: Record | None
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A whole journal as found."""

    lines: tuple[Line, ...]
    torn: int
    """Bytes after the last end of a line: what a kill leaves, no tampering."""

    @property
    def records(self) -> list[Record]:
        """Every record that can be read, whether it fits or not."""
        return [line.record for line in self.lines if line.record]

    @property
    def misfits(self) -> list[Line]:
        """The lines that do not fit."""
        return [line for line in self.lines if line.faults]


def sealed(record: Record) -> bytes:
    """Return the line of a record, without its end."""
    fields = {
        "n": record.number,
        "at": record.at,
        "execution": record.execution,
        "product": record.product,
        "step": record.step,
        "event": record.event,
        "facts": dict(record.facts),
        "previous": record.previous,
    }
    open_line = json.dumps(fields, sort_keys=True).encode()[:-1]
    return open_line + f', "seal": "{digest(open_line)}"}}'.encode()


def digest(content: bytes) -> str:
    """Return the hash that chains lines."""
    return hashlib.sha256(content).hexdigest()


def examine(content: bytes) -> Examined:
    """Return every line of a journal with what is wrong with it; never raises.

    Goes on after a line that does not fit, from what that line says, so that one change is one
    or two lines' fault and not that of all the rest.
    """
    *lines, rest = content.split(b"\n")
    walk = _Walk()
    return Examined(lines=tuple(walk.look(line) for line in lines), torn=len(rest))


class _Walk:
    """What has been seen of a journal so far.

    A line whose seal does not fit is not believed in what else it says; the one after it may then
    have the next number, or the one after that.
    """

    def __init__(self) -> None:
        self._place = 0
        self._previous = GENESIS
        self._places = {GENESIS: 0}
        self._last = 0
        self._doubtful = 0
        """Lines that were not believed, since the last one that was."""
        self._numbers: dict[int, int] = {}
        self._execution: str | None = None

    def look(self, line: bytes) -> Line:
        self._place += 1
        parsed = _parse(line)
        broken = parsed if isinstance(parsed, Fault) else _seal_fault(line)
        record = None if isinstance(parsed, Fault) else parsed
        if record is None or broken:
            faults = (broken,) if broken else ()
            self._doubtful += 1
        else:
            faults = self._faults(record)
            self._last, self._doubtful = record.number, 0
        self._previous = digest(line)
        self._places[self._previous] = self._place
        return Line(number=self._place, record=record, faults=faults)

    def _faults(self, record: Record) -> tuple[Fault, ...]:
        found = (
            self._chain_fault(record.previous),
            self._number_fault(record.number),
            self._execution_fault(record.execution),
        )
        return tuple(fault for fault in found if fault)

    def _number_fault(self, number: int) -> Fault | None:
        least, most = self._last + 1, self._last + 1 + self._doubtful
        first = self._numbers.setdefault(number, self._place)
        if first != self._place:
            said = f"has number {number}, as line {first} has"
        elif number < least:
            said = f"has number {number}, and comes after {self._last}"
        elif number > most and not self._all_seen(most, number):
            several = number > most + 1
            missing = f"{most} to {number - 1} are" if several else f"{most} is"
            said = f"has number {number}, and {missing} missing before it"
        else:
            return None
        return Fault(kind=Kind.NUMBER, text=said)

    def _all_seen(self, first: int, end: int) -> bool:
        return end - first < len(self._numbers) and all(
            number in self._numbers for number in range(first, end)
        )

    def _chain_fault(self, previous: str) -> Fault | None:
        if previous == self._previous:
            return None
        before = f"line {self._place - 1}" if self._place > 1 else "the beginning of a journal"
        known = self._places.get(previous)
        if known:
            text = f"does not follow {before}, it was written after line {known}"
        elif known == 0:
            text = f"does not follow {before}, it was written as the first"
        else:
            text = f"does not follow {before} as that is now"
        return Fault(kind=Kind.CHAIN, text=text)

    def _execution_fault(self, execution: str) -> Fault | None:
        if self._execution is None:
            self._execution = execution
        if execution == self._execution:
            return None
        return Fault(kind=Kind.EXECUTION, text=f"is of execution {execution[:_SHOWN]}")


def _seal_fault(line: bytes) -> Fault | None:
    seal = _SEAL.search(line)
    if seal and digest(line[: seal.start()]) == seal[1].decode():
        return None
    return Fault(kind=Kind.SEAL, text="was changed after it was written: its seal does not fit")


def _parse(line: bytes) -> Record | Fault:
    """Return the record that a line holds, or why it holds none; does not look at hashes."""
    try:
        fields: Any = json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        return Fault(kind=Kind.NOT_JSON, text=f"is not JSON: {type(error).__name__}: {error}")
    if not isinstance(fields, dict):
        return Fault(kind=Kind.NOT_JSON, text="is no JSON object")
    known = cast("dict[str, Any]", fields)
    if wrong := _wrong_field(known):
        return Fault(kind=Kind.FIELD, text=f"{wrong} is missing or of the wrong kind")
    return Record(
        number=known["n"],
        at=known["at"],
        product=known["product"],
        step=known["step"],
        event=known["event"],
        facts=known["facts"],
        execution=known["execution"],
        previous=known["previous"],
    )


def _wrong_field(fields: Mapping[str, Any]) -> str | None:
    if type(fields.get("n")) is not int:
        return "n"
    for name in _TEXTS:
        if not isinstance(fields.get(name), str):
            return name
    if not _is_moment(fields["at"]):
        return "at"
    facts = fields.get("facts")
    if not isinstance(facts, dict):
        return "facts"
    values = cast("dict[str, Any]", facts).values()
    return None if all(isinstance(value, Fact) for value in values) else "facts"


def _is_moment(text: str) -> bool:
    try:
        moment = datetime.fromisoformat(text)
        moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return False
    return moment.tzinfo is not None
