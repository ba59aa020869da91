"""What one database has and another does not, row by row, for any schema with primary keys.

Both are read through in chunks of keys: each database computes a digest of its chunk, and only
where the two differ the rows' digests, then the rows themselves, are asked for. Rows are matched by
their key, so an order of text that differs between the servers costs time and hides nothing.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from recovery.database import catalogue
from recovery.database.comparison import Column, Compared, Listed, Row, source

AS_TEXT = (
    "set timezone = 'UTC'; set datestyle = 'ISO, YMD'; set intervalstyle = 'postgres'; "
    "set bytea_output = 'hex'; set extra_float_digits = 1"
)
"""Statements with which a session prints every value as any other one that ran them."""

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recovery.database.postgres import Connection


def open_snapshot(connection: Connection) -> None:
    """Begin to read one state of the whole database, until the connection ends."""
    connection.execute("begin isolation level repeatable read read only")
    connection.execute("set local idle_in_transaction_session_timeout = 0")
    normalise(connection)


def normalise(connection: Connection) -> None:
    """Let this session print every value as the other one does."""
    connection.execute(f"set search_path = pg_catalog, public; {AS_TEXT}")


def tables(connection: Connection) -> tuple[Listed, ...]:
    """Return the product's tables, those that others point to first, as inserts need them."""
    listed = {
        name: Listed(
            name=name,
            partitioned=partitioned,
            columns=tuple(
                Column(
                    name=column,
                    type=kind,
                    generated=generated,
                    identity=identity,
                    numbered=numbered,
                )
                for column, kind, generated, identity, numbered in zip(*columns, strict=True)
            ),
            key=tuple(key or ()),
            uniques=tuple(tuple(each) for each in uniques or ()),
            parents=frozenset(parents or ()),
        )
        for name, partitioned, key, uniques, parents, *columns in connection.rows(
            catalogue.KEYED_TABLES
        )
    }
    parents = {
        name: [each for each in table.parents if each in listed and each != name]
        for name, table in listed.items()
    }
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
    return connection.rows(f"select count(*) from {source(table)}")[0][0]  # noqa: S608 - quoted


def differences(
    first: Connection, second: Connection, table: Listed, columns: Sequence[str]
) -> Iterator[Row]:
    """Yield the rows of `first` that `second` lacks, or has otherwise in one of `columns`.

    The table has a primary key, whose columns are among `columns`.
    """
    compared = Compared(table, columns)
    mark = compared.mark(first, second) if table.is_numbered else None
    after: tuple[str, ...] | None = None
    while True:
        edge = compared.edge(first, after)
        if edge is None:
            return
        last, digest = edge
        if compared.digest(second, after, last) != digest:
            yield from compared.rows(first, second, after, mark)
        after = last
