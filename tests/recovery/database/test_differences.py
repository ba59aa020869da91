"""What only the old database has, found and put back, on a real server."""

import itertools
import json

import pytest

from recovery.database import comparison, differences, postgres
from tests.recovery.conftest import credentials, open_session

_numbers = itertools.count(1)


@pytest.fixture
def pair(server):
    """Two databases with nothing in them: the old one and the active one."""
    names = [f"pair_{next(_numbers)}_{which}" for which in ("old", "active")]
    with open_session(server, "first") as session:
        for name in names:
            session.execute(f"create database {name}")
    opened = [
        postgres.connect(
            postgres.Target(host=str(server.socket_folder), port=5432, name=name), credentials()
        )
        for name in names
    ]
    yield opened
    for each in opened:
        each.close()
    with open_session(server, "first") as session:
        for name in names:
            session.execute(f"drop database {name} with (force)")


def both(pair, *statements):
    for each in pair:
        for statement in statements:
            each.execute(statement)


def found(pair):
    """Table → the rows that differ, as a loss ledger would find them."""
    old, active = pair
    differences.open_snapshot(old)
    differences.normalise(active)
    there = {table.name: table for table in differences.tables(active)}
    try:
        return {
            table.name: list(
                differences.differences(
                    old, active, table, differences.shared(table, there[table.name])
                )
            )
            for table in differences.tables(old)
            if table.key
        }
    finally:
        old.execute("commit")


def test_equal_databases_differ_in_nothing_and_new_rows_of_the_active_are_no_loss(pair):
    both(
        pair,
        "create table payments (id bigserial primary key, note text)",
        "insert into payments (note) select 'n' || i from generate_series(1, 20) i",
    )
    pair[1].execute("insert into payments (note) values ('since then')")
    assert found(pair) == {"public.payments": []}


def test_rows_that_only_the_old_one_has_are_found_and_can_be_replayed(pair):
    old, active = pair
    both(pair, "create table payments (id int primary key, note text, paid bytea)")
    old.execute(r"insert into payments values (1, E'it''s \\ a 50% \n loss', '\x00ff')")
    old.execute("insert into payments values (2, null, null)")

    rows = found(pair)["public.payments"]

    assert [(json.loads(row.row)["id"], row.other) for row in rows] == [(1, None), (2, None)]
    for row in rows:
        active.execute(row.insert)
        active.execute(row.insert)
    assert active.rows("select * from public.payments order by id") == old.rows(
        "select * from public.payments order by id"
    )
    assert found(pair) == {"public.payments": []}


def replay(active, rows):
    active.execute(differences.AS_TEXT)
    for row in rows:
        if row.other is None:
            active.execute(row.insert)


def parted(pair, table):
    """Both have rows 1 to 3 of a numbered table, then each goes on for itself."""
    both(pair, table, "insert into t (note) values ('a'), ('b'), ('c')")


def test_rows_whose_numbers_both_gave_out_are_lost_ones_and_get_new_numbers(pair):
    old, active = pair
    parted(pair, "create table t (id bigserial primary key, note text, at timestamptz, doc json)")
    old.execute(
        """insert into t (note, at, doc)
           values ('lost 4', '2026-01-01 00:00:00.5+01', '{"a": 1}')"""
    )
    old.execute("insert into t (note) values ('lost 5'), ('lost 6')")
    active.execute("insert into t (note) values ('new 4'), ('new 5')")

    rows = found(pair)["public.t"]

    assert [(json.loads(row.row)["note"], row.other, row.renumbered) for row in rows] == [
        ("lost 4", None, True), ("lost 5", None, True), ("lost 6", None, True),
    ]  # fmt: skip
    active.execute("set timezone = 'Asia/Tokyo'")
    replay(active, rows)
    replay(active, rows)
    assert active.rows("select id, note from t order by id") == [
        (1, "a"), (2, "b"), (3, "c"), (4, "new 4"), (5, "new 5"),
        (6, "lost 4"), (7, "lost 5"), (8, "lost 6"),
    ]  # fmt: skip
    active.execute("insert into t (note) values ('a later one')")


def test_a_row_that_came_again_under_another_number_is_no_loss(pair):
    old, active = pair
    parted(pair, "create table t (id bigserial primary key, note text unique)")
    old.execute("insert into t (note) values ('lost'), ('repeated')")
    active.execute("insert into t (note) values ('new'), ('newer'), ('repeated')")
    rows = found(pair)["public.t"]
    assert [(json.loads(r.row)["note"], r.other and json.loads(r.other)["id"]) for r in rows] == [
        ("lost", None), ("repeated", 6),
    ]  # fmt: skip


def test_a_row_that_was_there_when_they_parted_is_the_same_whatever_became_of_it(pair):
    parted(pair, "create table t (id int generated always as identity primary key, note text)")
    pair[0].execute("insert into t (note) values ('lost')")
    pair[1].execute("update t set note = 'B' where id = 2")
    pair[1].execute("delete from t where id = 1")
    rows = found(pair)["public.t"]
    assert [(json.loads(row.row)["id"], row.other is None, row.renumbered) for row in rows] == [
        (1, True, False), (2, False, False), (4, True, True),
    ]  # fmt: skip
    replay(pair[1], rows)
    assert pair[1].rows("select id, note from t order by id") == [
        (1, "a"),
        (2, "B"),
        (3, "c"),
        (4, "lost"),
    ]


def test_where_they_parted_is_found_behind_many_lost_rows(pair, monkeypatch):
    monkeypatch.setattr(comparison, "CHUNK", 3)
    parted(pair, "create table t (id bigserial primary key, note text)")
    pair[1].execute("update t set note = 'B' where id = 2")
    for each, word in zip(pair, ("lost", "new"), strict=True):
        each.execute(f"insert into t (note) select '{word} ' || i from generate_series(1, 10) i")
    changed, *lost = found(pair)["public.t"]
    assert (json.loads(changed.row)["id"], changed.other is None, changed.renumbered) == (
        2, False, False,
    )  # fmt: skip
    assert [row.other is None and row.renumbered for row in lost] == [True] * 10


def test_a_row_that_differs_is_told_with_both_its_versions(pair):
    both(pair, "create table t (id int primary key, n numeric)", "insert into t values (1, 1.0)")
    pair[0].execute("update t set n = 2.50")
    (row,) = found(pair)["public.t"]
    assert (row.row, row.other) == ('{"n": 2.50, "id": 1}', '{"n": 1.0, "id": 1}')


def test_many_chunks_with_random_keys_miss_no_row(pair, monkeypatch):
    monkeypatch.setattr(comparison, "CHUNK", 7)
    monkeypatch.setattr(comparison, "_ROWS", 2)
    both(
        pair,
        "create table t (id uuid primary key, n int)",
        "insert into t select md5(i::text)::uuid, i from generate_series(1, 100) i",
    )
    pair[1].execute("delete from t where n % 10 = 3")
    pair[1].execute("update t set n = -n where n = 50")
    pair[1].execute("insert into t select md5(i::text)::uuid, i from generate_series(200, 260) i")
    rows = found(pair)["public.t"]
    assert sorted(json.loads(row.row)["n"] for row in rows) == [
        3, 13, 23, 33, 43, 50, 53, 63, 73, 83, 93,
    ]  # fmt: skip
    assert [json.loads(row.row)["n"] for row in rows if row.other] == [50]


def test_odd_names_composite_keys_and_columns_of_every_kind_are_compared_and_replayed(pair):
    old, active = pair
    both(
        pair,
        'create schema "odd %s ""schema"',
        "create type kind as enum ('b', 'a')",
        """create table "odd %s ""schema"."ta'b\\le" (
            "k %s" kind, "at" timestamptz, "char" char(3), id int generated always as identity,
            "select" text[], doubled float8 generated always as (1.5) stored, doc jsonb,
            primary key ("char", "k %s", "at"))""",
    )
    old.execute(
        """insert into "odd %s ""schema"."ta'b\\le" ("k %s", "at", "char", "select", doc) values
           ('a', '2026-01-01T00:00:00.123456Z', 'x', '{"a,b",null}', '{"q": "\\"'''' \\\\n"}'),
           ('b', 'infinity', 'y  ', null, null), ('b', '-infinity', 'y', null, null)"""
    )
    (rows,) = found(pair).values()
    assert len(rows) == 3
    for row in rows:
        active.execute(row.insert)
    assert list(found(pair).values()) == [[]]


def test_tables_without_a_key_are_listed_with_none_and_can_be_counted(pair):
    both(pair, "create table log (line text)", "insert into log values ('a'), ('a')")
    (table,) = differences.tables(pair[0])
    assert (table.name, table.key) == ("public.log", ())
    assert differences.count(pair[0], table) == 2


def test_a_column_that_the_active_one_lost_is_not_compared_but_told(pair):
    both(pair, "create table t (id int primary key, a int, b int)", "insert into t values (1,1,1)")
    pair[1].execute("alter table t drop column b")
    pair[1].execute("alter table t add column c int default 9")
    assert found(pair) == {"public.t": []}
    pair[1].execute("delete from t")
    (row,) = found(pair)["public.t"]
    assert json.loads(row.row) == {"id": 1, "a": 1, "b": 1}


def test_partitions_count_for_their_table_and_heirs_for_themselves(pair):
    both(
        pair,
        "create table p (id int primary key) partition by range (id)",
        "create table p1 partition of p for values from (0) to (100)",
        "create table parent (id int primary key)",
        "create table heir (primary key (id)) inherits (parent)",
    )
    pair[0].execute("insert into p values (1); insert into heir values (2)")
    assert {name: len(rows) for name, rows in found(pair).items()} == {
        "public.p": 1,
        "public.parent": 0,
        "public.heir": 1,
    }


def test_tables_come_in_the_order_in_which_their_rows_can_be_put_back(pair):
    both(
        pair,
        "create table z_parent (id int primary key)",
        "create table a_child (id int primary key, z int references z_parent)",
    )
    assert [table.name for table in differences.tables(pair[0])] == [
        "public.z_parent",
        "public.a_child",
    ]


def test_our_own_heartbeat_is_no_data_of_the_product(pair):
    both(pair, "create schema standby", "create table standby.heartbeat (id int primary key)")
    assert differences.tables(pair[0]) == ()


def test_the_old_database_cannot_be_written_while_it_is_read(pair):
    pair[0].execute("create table t (id int primary key)")
    differences.open_snapshot(pair[0])
    with pytest.raises(Exception, match="read-only transaction"):
        pair[0].execute("insert into public.t values (1)")
    pair[0].execute("rollback")
