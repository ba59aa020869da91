"""The statements that compare one table of two databases, in chunks of keys.

Names come quoted from the server, values travel as parameters, keys as text, which every type of
PostgreSQL can be read back from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from recovery.database.postgres import Connection

CHUNK = 5000
"""Rows whose keys and digests are held at once."""
_ROWS = 100
"""Rows that are held whole at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column; `name` is quoted where SQL needs it."""

    name: str
    type: str
    generated: bool
    """Computed by the database: no insert names it."""
    identity: bool
    """Always given by the database, unless an insert overrides it."""
    numbered: bool
    """Given by a sequence, as identities are, where an insert does not name it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A table of a database."""

    name: str
    """With its schema, quoted where SQL needs it."""
    partitioned: bool
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    """Names of the primary key's columns; empty: it has none."""
    uniques: tuple[tuple[str, ...], ...] = ()
    """Columns of each other unique index."""
    parents: frozenset[str] = frozenset()
    """Tables that its foreign keys point to."""

    @property
    def is_numbered(self) -> bool:
        """Say whether a sequence alone makes its keys."""
        numbered = {column.name for column in self.columns if column.numbered}
        return len(self.key) == 1 and self.key[0] in numbered


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row that the first database has, and the second lacks or has otherwise; JSON and SQL."""

    row: str
    other: str | None
    """The second database's row of that key; None: it has none."""
    insert: str
    renumbered: bool = False
    """Whether the insert lets the second database give it another key."""


def source(table: Listed) -> str:
    """Return what a statement reads from; the rows of a table's heirs are not its own."""
    return table.name if table.partitioned else f"only {table.name}"


class Compared:
    """One table, and those of its columns that both databases have."""

    def __init__(self, table: Listed, columns: Sequence[str]) -> None:
        def escaped(text: str) -> str:
            return text.replace("%", "%%")

        kinds = {column.name: escaped(column.type) for column in table.columns}
        self._from = escaped(source(table))
        self._key = [escaped(name) for name in table.key]
        self._kinds = [kinds[name] for name in table.key]
        self._order = ", ".join(f"t.{name}" for name in self._key)
        self._texts = ", ".join(f"t.{name}::text" for name in self._key)
        whole = ", ".join(f"t.{escaped(name)}" for name in columns)
        self._digest = f"sha256(convert_to(row({whole})::text, 'UTF8'))"
        self._insert = _insertion(table, escaped)
        self._renumbered = _renumbering(table, escaped)
        self._row_type = escaped(table.name)
        self._uniques = [[escaped(name) for name in each] for each in table.uniques]

    def _within(self, after: tuple[str, ...] | None, last: tuple[str, ...] | None) -> str:
        """Return the condition on keys; its parameters are those of `after`, then of `last`."""
        bounds = [("(%s) > (%s)", after), ("(%s) <= (%s)", last)]
        values = ", ".join(f"%s::{kind}" for kind in self._kinds)
        told = [how % (self._order, values) for how, bound in bounds if bound is not None]
        return " and ".join(told) or "true"

    def edge(
        self, connection: Connection, after: tuple[str, ...] | None
    ) -> tuple[tuple[str, ...], tuple[int, str]] | None:
        """Return the last key of the next chunk, and its count and digest; None: nothing is left.

        Keys travel as text, which every type of PostgreSQL can be read back from.
        """
        backwards = ", ".join(f"{name} desc" for name in self._key)
        lasts = ", ".join(
            f"(array_agg({name}::text order by {backwards}))[1]" for name in self._key
        )
        forwards = ", ".join(self._key)
        found = connection.rows(
            f"with t as (select {self._order}, {self._digest} as standby_digest "  # noqa: S608
            f"from {self._from} t where {self._within(after, None)} "
            f"order by {self._order} limit %s) "
            f"select {_total('standby_digest', forwards)}, {lasts} from t",
            (*(after or ()), CHUNK),
        )
        number, digest, *last = found[0]
        return (tuple(last), (number, digest)) if number else None

    def digest(
        self, connection: Connection, after: tuple[str, ...] | None, last: tuple[str, ...]
    ) -> tuple[int, str]:
        """Return count and digest of what lies in a chunk."""
        found = connection.rows(
            f"select {_total(self._digest, self._order)} from {self._from} t "  # noqa: S608
            f"where {self._within(after, last)}",
            (*(after or ()), *last),
        )
        number, digest = found[0]
        return number, digest

    def rows(
        self,
        first: Connection,
        second: Connection,
        after: tuple[str, ...] | None,
        mark: float | None,
    ) -> Iterator[Row]:
        """Yield the rows of a chunk that differ; keys above `mark` mean different rows."""
        held = first.rows(
            f"select {self._texts}, encode({self._digest}, 'hex') from {self._from} t "  # noqa: S608
            f"where {self._within(after, None)} order by {self._order} limit %s",
            (*(after or ()), CHUNK),
        )
        for start in range(0, len(held), _ROWS):
            part = held[start : start + _ROWS]
            found = dict(self._differing(second, part))
            if not found:
                continue
            wanted = [part[at][:-1] for at in found]
            for key, (row, insert, renumbered), other in zip(
                wanted, self._whole(first, wanted), found.values(), strict=True
            ):
                if mark is None or int(key[0]) <= mark:
                    yield Row(row=row, other=other, insert=insert)
                else:
                    same = self._same(second, row)
                    yield Row(row=row, other=same, insert=renumbered, renumbered=True)

    def mark(self, first: Connection, second: Connection) -> float:
        """Return the highest key under which both have the same row; minus infinity: there is none.

        For a table whose keys a sequence gives. What both have alike was there when they parted,
        and so all lower keys had been given; each database gave the higher ones for itself.
        """
        below: int | None = None
        while True:
            within = "true" if below is None else f"t.{self._key[0]} < {below}"
            held = first.rows(
                f"select {self._texts}, encode({self._digest}, 'hex') from {self._from} t "  # noqa: S608
                f"where {within} order by t.{self._key[0]} desc limit %s",
                (CHUNK,),
            )
            if not held:
                return float("-inf")
            differing = {at for at, _ in self._differing(second, held)}
            alike = (int(key) for at, (key, _) in enumerate(held) if at not in differing)
            if (found := next(alike, None)) is not None:
                return found
            below = int(held[-1][0])

    def _same(self, connection: Connection, row: str) -> str | None:
        """Return the row that one of the other unique keys says is the same, or None."""
        if not self._uniques:
            return None
        either = " or ".join(
            "(" + " and ".join(f"t.{name} = r.{name}" for name in names) + ")"
            for names in self._uniques
        )
        found = connection.row(
            f"select to_jsonb(t)::text from {self._from} t, "  # noqa: S608
            f"jsonb_populate_record(null::{self._row_type}, %s::jsonb) r where {either} limit 1",
            (row,),
        )
        return str(found[0]) if found else None

    def _differing(
        self, connection: Connection, held: Sequence[Sequence[str]]
    ) -> list[tuple[int, str | None]]:
        """Return the place of each row that is not there as it is here, and what is there."""
        names = [f"k{number}" for number, _ in enumerate(self._key)]
        return [
            (at, other)
            for at, other in connection.rows(
                f"select w.at - 1, case when t.{self._key[0]} is not null "  # noqa: S608
                f"then to_jsonb(t)::text end "
                f"from unnest({self._arrays(len(names) + 1)}) "
                f"with ordinality as w({', '.join(names)}, digest, at) "
                f"left join {self._from} t on {self._joined(names)} "
                f"where t.{self._key[0]} is null or encode({self._digest}, 'hex') <> w.digest "
                f"order by w.at",
                tuple(list(values) for values in zip(*held, strict=True)),
            )
        ]

    def _whole(
        self, connection: Connection, keys: Sequence[Sequence[str]]
    ) -> list[tuple[str, str, str]]:
        names = [f"k{number}" for number, _ in enumerate(self._key)]
        return [
            (row, insert, renumbered)
            for row, insert, renumbered in connection.rows(
                f"select to_jsonb(t)::text, {self._insert}, {self._renumbered} "  # noqa: S608
                f"from unnest({self._arrays(len(names))}) "
                f"with ordinality as w({', '.join(names)}, at) "
                f"join {self._from} t on {self._joined(names)} order by w.at",
                tuple(list(values) for values in zip(*keys, strict=True)),
            )
        ]

    def _arrays(self, number: int) -> str:
        return ", ".join(["%s::text[]"] * number)

    def _joined(self, names: Sequence[str]) -> str:
        return " and ".join(
            f"t.{key} = w.{name}::{kind}"
            for key, name, kind in zip(self._key, names, self._kinds, strict=True)
        )


def _total(digest: str, order: str) -> str:
    return (
        f"count(*), encode(sha256(coalesce(string_agg({digest}, '' order by {order}), '')), 'hex')"
    )


def _insertion(table: Listed, escaped: Callable[[str], str]) -> str:
    """Return the expression of a statement that puts the row where it is missing."""
    written = [column for column in table.columns if not column.generated]
    overriding = "overriding system value " if any(column.identity for column in written) else ""
    into = f"insert into {table.name} ({', '.join(c.name for c in written)}) {overriding}values ("
    values = ", ".join(f"quote_nullable(t.{escaped(column.name)}::text)" for column in written)
    return (
        f"{_literal(into, escaped)} "
        f"|| array_to_string(array[{values}], ', ') || ') on conflict do nothing;'"
    )


def _renumbering(table: Listed, escaped: Callable[[str], str]) -> str:
    """Return the expression of a statement that puts the row in under a key of its own, once."""
    written = [c for c in table.columns if not c.generated and c.name not in table.key]
    if not written:
        return "''"
    literals = [f"quote_nullable(t.{escaped(column.name)}::text)" for column in written]
    into = f"insert into {table.name} ({', '.join(c.name for c in written)}) select "
    same = " || ' and ' || ".join(
        f"{_literal(f'{column.name}::text is not distinct from ', escaped)} || {literal}"
        for column, literal in zip(written, literals, strict=True)
    )
    return (
        f"{_literal(into, escaped)} || array_to_string(array[{', '.join(literals)}], ', ') "
        f"|| {_literal(f' where not exists (select from {table.name} where ', escaped)} || {same} "
        "|| ') on conflict do nothing;'"
    )


def _literal(text: str, escaped: Callable[[str], str]) -> str:
    """Return the text as a literal of SQL."""
    quoted = text.replace("'", "''").replace(chr(92), chr(92) * 2)
    return f"e'{escaped(quoted)}'"
