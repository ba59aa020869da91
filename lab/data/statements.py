"""Splits a dump's SQL into statements, with their lines, as psql splits it.

Followed from psql's own scanner: strings with and without escapes, dollar quotes, nested
comments, parentheses, and SQL-standard function bodies (`BEGIN ATOMIC … END`). A backslash
outside all of these begins one of psql's commands; it is handed out, never run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One SQL statement, without its comments before and its semicolon."""

    text: bytes
    line: int
    """Where it begins; the first line of a file is 1."""
    entry: str | None
    """What pg_dump's comment above calls it, such as `TABLE public.film`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    r"""One of psql's commands, such as `\connect`, to the end of its line."""

    text: bytes
    line: int
    within: bool
    """Whether it stands inside an unfinished statement."""


_ENTRY = re.compile(rb"-- (?:Data for )?Name: (.*?); Type: (.*?); Schema: (.*?);")
_TOKEN = re.compile(
    rb"(?P<quote>[eE]?')"
    rb'|(?P<name>")'
    rb"|(?P<dollar>\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?\$)"
    rb"|(?P<line>--)|(?P<block>/\*)|(?P<end>;)|(?P<open>\()|(?P<close>\))|(?P<command>\\)"
    rb"|(?P<word>[A-Za-z_\x80-\xff][\w$\x80-\xff]*)"
)
_ROUTINE = re.compile(rb"CREATE\s+(?:OR\s+REPLACE\s+)?(?:FUNCTION|PROCEDURE)\b", re.IGNORECASE)
_COPY_IN = re.compile(rb"COPY\b.*\bFROM\s+STDIN\b", re.IGNORECASE | re.DOTALL)
_ESCAPED_END = re.compile(rb"\\.|'", re.DOTALL)
_BLOCK = re.compile(rb"/\*|\*/")
_END_OF_DATA = b"\\."


class Splitter:
    """Goes through a dump once, statement by statement."""

    def __init__(self, source: BinaryIO) -> None:
        self.escapes = False
        """Whether plain strings hold escapes too: standard_conforming_strings is off."""
        self._source = source
        self._line = 0
        self._first = 0
        self._entry: str | None = None
        self._pieces: list[bytes] = []
        self._until: bytes | None = None
        """What ends the string, quoted name or dollar quote that is open."""
        self._comments = 0
        self._parentheses = 0
        self._begins = 0

    def __iter__(self) -> Iterator[Statement | Command]:
        """Yield what comes next; after a COPY from stdin, take its data before going on."""
        for text in self._source:
            self._line += 1
            yield from self._scan(text)
        if (last := b"".join(self._pieces).strip()) and self._first:
            yield Statement(text=last, line=self._first, entry=self._entry)

    def data(self) -> Iterator[bytes]:
        """Yield the lines of data that follow a COPY; raise EOFError when they do not end."""
        for text in self._source:
            self._line += 1
            if text.rstrip(b"\r\n") == _END_OF_DATA:
                return
            yield text
        raise EOFError

    @property
    def line(self) -> int:
        """The line that was read last."""
        return self._line

    def _scan(self, text: bytes) -> Iterator[Statement | Command]:
        at = 0
        while at < len(text):
            if self._comments:
                at = self._in_comment(text, at)
            elif self._until is not None:
                at = self._in_quotes(text, at)
            else:
                token = _TOKEN.search(text, at)
                until = token.start() if token else len(text)
                self._keep(text[at:until])
                if token is None:
                    return
                at = token.end()
                match token.lastgroup:
                    case "line":
                        self._remark(text[token.start() :])
                        return
                    case "end" if not self._parentheses and not self._begins:
                        if self._first:
                            yield self._finish()
                    case "command":
                        yield Command(
                            text=text[token.start() :].strip(),
                            line=self._line,
                            within=bool(self._first),
                        )
                        return
                    case _:
                        self._take(token)

    def _take(self, token: re.Match[bytes]) -> None:
        text = token[0]
        match token.lastgroup:
            case "block":
                self._comments = 1
                return
            case "quote":
                self._until = b"\\'" if self.escapes or len(text) > 1 else b"'"
            case "name" | "dollar":
                self._until = text
            case "open":
                self._parentheses += 1
            case "close":
                self._parentheses = max(0, self._parentheses - 1)
            case "word":
                self._keep(text)
                self._count_body(text.upper())
                return
            case _:
                pass
        self._keep(text)

    def _count_body(self, word: bytes) -> None:
        """Count the BEGINs and CASEs of a function body that is not a string."""
        if self._parentheses or word not in {b"BEGIN", b"CASE", b"END"}:
            return
        if not _ROUTINE.match(b"".join(self._pieces).lstrip()):
            return
        if word == b"END":
            self._begins = max(0, self._begins - 1)
        elif word == b"BEGIN" or self._begins:
            self._begins += 1

    def _in_quotes(self, text: bytes, at: int) -> int:
        """Keep text to the end of what is quoted, or of the line."""
        assert self._until is not None
        if self._until == b"\\'":
            found = at
            while (mark := _ESCAPED_END.search(text, found)) and mark[0] != b"'":
                found = mark.end()
            end = mark.end() if mark else -1
        else:
            end = text.find(self._until, at)
            end = end + len(self._until) if end >= 0 else -1
        if end < 0:
            self._keep(text[at:])
            return len(text)
        self._keep(text[at:end])
        self._until = None
        return end

    def _in_comment(self, text: bytes, at: int) -> int:
        mark = _BLOCK.search(text, at)
        if mark is None:
            self._keep(b"\n" if text.endswith(b"\n") else b"")
            return len(text)
        self._comments += 1 if mark[0] == b"/*" else -1
        if not self._comments:
            self._keep(b" ")
        return mark.end()

    def _remark(self, text: bytes) -> None:
        """Leave a comment out, but for its end of line; pg_dump's name what follows."""
        self._keep(b"\n")
        if not self._first and (named := _ENTRY.match(text)):
            name, kind, schema = (part.decode(errors="replace") for part in named.groups())
            self._entry = f"{kind} {name}" if schema == "-" else f"{kind} {schema}.{name}"

    def _keep(self, text: bytes) -> None:
        if not self._first:
            if not text.strip():
                return
            self._first = self._line
        self._pieces.append(text)

    def _finish(self) -> Statement:
        statement = Statement(
            text=b"".join(self._pieces).strip(), line=self._first, entry=self._entry
        )
        self._pieces.clear()
        self._first = 0
        return statement


def copies_in(text: bytes) -> bool:
    """Whether a statement is a COPY whose data follow in the file."""
    return _COPY_IN.match(text) is not None


class Data:
    """A COPY's data as a file that psycopg2 reads."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self.is_cut_off = False
        self._lines = lines

    def read(self, size: int = 8192) -> bytes:
        """Return about `size` bytes, in whole lines; nothing at the end."""
        pieces: list[bytes] = []
        length = 0
        try:
            for line in self._lines:
                pieces.append(line)
                length += len(line)
                if length >= size:
                    break
        except EOFError:
            self.is_cut_off = True
            raise
        return b"".join(pieces)
