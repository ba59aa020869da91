"""What stands in a loss ledger's files, from two databases on a real server."""

import itertools
import json
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import pytest

from recovery.database import differences, postgres
from recovery.steps.ledger_files import Lines, Writer
from recovery.steps.ledger_tables import Comparison
from tests.recovery.conftest import credentials, open_session

_numbers = itertools.count(1)


class Files(Writer):
    """In the place of the bucket: file → its lines."""

    def __init__(self):
        self.kept = {}

    @contextmanager
    def file(self, name):
        body = BytesIO()
        lines = Lines(body)
        yield lines
        if lines.wanted:
            self.kept[name] = body.getvalue().decode()


class Pair:
    def __init__(self, server, old, active):
        self.old, self.active = (self._connect(server, name) for name in (old, active))
        self.files = Files()

    def _connect(self, server, name):
        target = postgres.Target(host=str(server.socket_folder), port=5432, name=name)
        return postgres.connect(target, credentials())

    def both(self, *statements):
        for each in (self.old, self.active):
            for statement in statements:
                each.execute(statement)

    def compare(self):
        """Return what the manifest says, table by table, and the replay."""
        body = BytesIO()
        writer: Any = self.files
        tables = Comparison(self.old, self.active, writer, Lines(body)).tables()
        self.old.execute("commit")
        return {each.table: each for each in tables}, body.getvalue().decode()


@pytest.fixture
def pair(server):
    names = [f"ledger_{next(_numbers)}_{which}" for which in ("old", "active")]
    with open_session(server, "first") as session:
        for name in names:
            session.execute(f"create database {name}")
    made = Pair(server, *names)
    yield made
    made.old.close()
    made.active.close()
    with open_session(server, "first") as session:
        for name in names:
            session.execute(f"drop database {name} with (force)")


def test_a_tables_file_has_the_lost_rows_and_the_changed_ones_with_both_versions(pair):
    pair.both("create table t (id int primary key, n text)", "insert into t values (1, 'a')")
    pair.old.execute("insert into t values (2, 'lost')")
    pair.active.execute("update t set n = 'A'")
    tables, replay = pair.compare()
    told = tables["public.t"]
    assert (told.only_old, told.changed, told.renumbered, told.note) == (1, 1, 0, "")
    lines = [json.loads(line) for line in pair.files.kept["0001-public.t.jsonl"].splitlines()]
    assert lines == [
        {"kind": "changed", "row": {"id": 1, "n": "a"}, "active": {"id": 1, "n": "A"}},
        {"kind": "only-old", "row": {"id": 2, "n": "lost"}},
    ]
    pair.active.execute(replay)
    assert pair.active.rows("select n from t order by id") == [("A",), ("lost",)]


def test_rows_that_point_to_renumbered_ones_are_left_to_a_person(pair):
    pair.both(
        "create table orders (id bigserial primary key, note text)",
        "create table lines (id uuid primary key, order_id bigint references orders, text text)",
        "create table parts (id uuid primary key, line uuid references lines)",
        "create table other (id uuid primary key)",
        "insert into orders (note) values ('old')",
    )
    pair.active.execute("insert into orders (note) values ('of another customer')")
    pair.old.execute("insert into orders (note) values ('lost')")
    pair.old.execute(
        "insert into lines values (gen_random_uuid(), 2, e'1\\n;drop table lines;\\r;drop table"
        " parts;\\r\\n;drop table other;')"
    )
    pair.old.execute("insert into parts select gen_random_uuid(), id from lines")
    pair.old.execute("insert into other values (gen_random_uuid())")

    tables, replay = pair.compare()

    assert tables["public.orders"].renumbered == 1
    assert "rows of public.orders get new numbers" in tables["public.lines"].note
    assert "rows of public.lines get new numbers" in tables["public.parts"].note
    assert tables["public.other"].note == ""
    pair.active.execute(differences.AS_TEXT)
    pair.active.execute(replay)
    assert pair.active.rows("select id, note from orders order by id") == [
        (1, "old"), (2, "of another customer"), (3, "lost"),
    ]  # fmt: skip
    assert pair.active.rows("select count(*) from lines") == [(0,)]
    assert pair.active.rows("select count(*) from parts") == [(0,)]
    assert pair.active.rows("select count(*) from other") == [(1,)]


def test_new_numbers_within_a_table_that_points_to_itself_are_left_to_a_person(pair):
    pair.both("create table tree (id bigserial primary key, up bigint references tree)")
    pair.both("insert into tree default values")
    pair.active.execute("insert into tree (up) values (1)")
    pair.old.execute("insert into tree default values; insert into tree (up) values (2)")
    tables, replay = pair.compare()
    assert "may point to each other" in tables["public.tree"].note
    assert [line for line in replay.splitlines() if not line.startswith("-- ")] == []


def test_a_table_that_cannot_be_compared_is_told_and_holds_up_no_other(pair):
    pair.both(
        "create table log (line text)",
        "create table t (id int primary key)",
        "insert into log values ('a')",
    )
    pair.old.execute("create table gone (id int primary key); insert into t values (1)")
    tables, _ = pair.compare()
    assert tables["public.log"].note == "1 rows, 1 in the active database; it has no primary key"
    assert tables["public.gone"].note == "0 rows; the active database has no such table"
    assert tables["public.t"].only_old == 1
