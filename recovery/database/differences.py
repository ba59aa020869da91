"""What one database has and another does not, row by row, for any schema with primary keys.

Both are read through in chunks of keys: each database computes a digest of its chunk, and only
where the two differ the rows' digests, then the rows themselves, are asked for. Rows are matched by
their key, so an order of text that differs between the servers costs time and hides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from recovery.database import catalogue

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A table of a database."""

    name: str
    """With its schema, quoted where SQL needs it."""
    partitioned: bool
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    """Names of the primary key's columns; empty: it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row that the first database has, and the second lacks or has otherwise; JSON and SQL."""

    row: str
    other: str | None
    """The second database's row of that key; None: it has none."""
    insert: str


def open_snapshot(connection: Connection) -> None:
    """Begin to read one state of the whole database, until the connection ends."""
    connection.execute("begin isolation level repeatable read read only")
    connection.execute("set local idle_in_transaction_session_timeout = 0")
    normalise(connection)


def normalise(connection: Connection) -> None:
    """Let this session print every value as the other one does."""
    connection.execute(
        "set search_path = pg_catalog, public; set datestyle = 'ISO, YMD'; "
        "set intervalstyle = 'postgres'; set bytea_output = 'hex'; set extra_float_digits = 1"
    )


def tables(connection: Connection) -> tuple[Listed, ...]:
    """Return the product's tables, those that others point to first, as inserts need them."""
    listed = {
        name: Listed(
            name=name,
            partitioned=partitioned,
            columns=tuple(
                Column(name=column, type=kind, generated=generated, identity=identity)
                for column, kind, generated, identity in zip(
                    columns, kinds, computed, identities, strict=True
                )
            ),
            key=tuple(key or ()),
        )
        for name, partitioned, key, columns, kinds, computed, identities in connection.rows(
            catalogue.KEYED_TABLES
        )
    }
    parents: dict[str, list[str]] = {name: [] for name in listed}
    for child, parent in connection.rows(catalogue.POINTERS):
        if child in parents and parent in parents and child != parent:
            parents[child].append(parent)
    try:
        order = list(TopologicalSorter(parents).static_order())
    except CycleError:
        order = list(parents)
    return tuple(listed[name] for name in order)


def shared(first: Listed, second: Listed) -> tuple[str, ...]:
    """Return the columns that both have with the same type."""
    kinds = {column.name: column.type for column in second.columns}
    return tuple(column.name for column in first.columns if kinds.get(column.name) == column.type)


def count(connection: Connection, table: Listed) -> int:
    """Return how many rows the table has."""
    return connection.rows(f"select count(*) from {_source(table)}")[0][0]  # noqa: S608 - quoted


def differences(
    first: Connection, second: Connection, table: Listed, columns: Sequence[str]
) -> Iterator[Row]:
    """Yield the rows of `first` that `second` lacks, or has otherwise in one of `columns`.

    The table has a primary key, whose columns are among `columns`.
    """
    compared = _Compared(table, columns)
    after: tuple[str, ...] | None = None
    while True:
        edge = compared.edge(first, after)
        if edge is None:
            return
        last, digest = edge
        if compared.digest(second, after, last) != digest:
            yield from compared.rows(first, second, after)
        after = last


def _source(table: Listed) -> str:
    """Return what a statement reads from; the rows of a table's heirs are not its own."""
    return table.name if table.partitioned else f"only {table.name}"


class _Compared:
    """The statements about one table; names come quoted from the server, values as parameters."""

    def __init__(self, table: Listed, columns: Sequence[str]) -> None:
        def escaped(text: str) -> str:
            return text.replace("%", "%%")

        kinds = {column.name: escaped(column.type) for column in table.columns}
        self._from = escaped(_source(table))
        self._key = [escaped(name) for name in table.key]
        self._kinds = [kinds[name] for name in table.key]
        self._order = ", ".join(f"t.{name}" for name in self._key)
        self._texts = ", ".join(f"t.{name}::text" for name in self._key)
        whole = ", ".join(f"t.{escaped(name)}" for name in columns)
        self._digest = f"sha256(convert_to(row({whole})::text, 'UTF8'))"
        self._insert = self._insertion(table, escaped)

    def _insertion(self, table: Listed, escaped: Callable[[str], str]) -> str:
        """Return the expression of a statement that puts the row where it is missing."""
        written = [column for column in table.columns if not column.generated]
        overriding = (
            "overriding system value " if any(column.identity for column in written) else ""
        )
        into = (
            f"insert into {table.name} ({', '.join(c.name for c in written)}) {overriding}values ("
        )
        literal = into.replace("'", "''")
        values = ", ".join(f"quote_nullable(t.{escaped(column.name)}::text)" for column in written)
        return (
            f"e'{escaped(literal.replace(chr(92), chr(92) * 2))}' "
            f"|| array_to_string(array[{values}], ', ') || ') on conflict do nothing;'"
        )

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
        self, first: Connection, second: Connection, after: tuple[str, ...] | None
    ) -> Iterator[Row]:
        """Yield the rows of a chunk that differ."""
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
            for (row, insert), other in zip(
                self._whole(first, wanted), found.values(), strict=True
            ):
                yield Row(row=row, other=other, insert=insert)

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
    ) -> list[tuple[str, str]]:
        names = [f"k{number}" for number, _ in enumerate(self._key)]
        return [
            (row, insert)
            for row, insert in connection.rows(
                f"select to_jsonb(t)::text, {self._insert} "  # noqa: S608
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
