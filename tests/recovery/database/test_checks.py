from datetime import UTC, datetime

import pytest

from recovery.database import checks, postgres

ODD = """
create schema "Sales & Co";
create schema standby;
create table standby.heartbeat (id int);
create domain moment as timestamptz;
create table "Sales & Co"."Order ""Lines""; %s" (
    "Id" bigint generated always as identity primary key,
    "Total % of" numeric,
    doubled numeric generated always as ("Total % of" * 2) stored,
    "when" moment default now()
);
insert into "Sales & Co"."Order ""Lines""; %s" ("Total % of") select g from generate_series(1, 7) g;
create table public.keyless (note text, day date);
insert into public.keyless values ('a', '2020-02-03'), ('b', 'infinity'), ('c', '4713-01-01 BC');
create table public.empty ();
create unlogged table public.scratch (n int);
create table public.measures (at timestamp, n int) partition by range (n);
create table public.measures_low partition of public.measures for values from (0) to (10);
create table public.measures_high partition of public.measures for values from (10) to (20);
insert into public.measures select '2021-01-01', g from generate_series(0, 19) g;
create table public.parent (id serial primary key);
create table public.heir (extra text) inherits (public.parent);
insert into public.parent default values;
insert into public.heir default values;
"""


@pytest.fixture
def odd(session):
    session.execute(ODD)
    return session


def test_every_table_of_every_schema_is_counted_whatever_its_name(odd):
    found = {table.name: table for table in checks.tables(odd, checks.Budget(10))}

    assert {name: table.rows for name, table in found.items()} == {
        '"Sales & Co"."Order ""Lines""; %s"': 7,
        "public.empty": 0,
        "public.heir": 1,
        "public.keyless": 3,
        "public.measures": 20,
        "public.parent": 1,
        "public.scratch": 0,
    }
    assert found["public.keyless"].newest == datetime(2020, 2, 3, tzinfo=UTC)
    assert found["public.measures"].newest == datetime(2021, 1, 1, tzinfo=UTC)
    assert found['"Sales & Co"."Order ""Lines""; %s"'].newest is not None
    assert found["public.empty"].newest is None


def test_a_time_that_defaults_to_now_is_preferred_to_a_time_from_the_past(session):
    session.execute(
        """
        create table person (born date, "createdAt" timestamptz, seen timestamptz default now());
        insert into person values ('1990-01-01', '2001-01-01Z', '2002-01-01Z');
        """
    )
    (person,) = checks.tables(session, checks.Budget(10))
    assert person.newest == datetime(2002, 1, 1, tzinfo=UTC)


def test_a_time_yet_to_come_is_not_the_newest_row(session):
    session.execute(
        """
        create table lease (until timestamptz);
        insert into lease values ('2001-01-01Z'), ('2999-01-01Z');
        """
    )
    (lease,) = checks.tables(session, checks.Budget(10))
    assert lease.newest == datetime(2001, 1, 1, tzinfo=UTC)


def test_a_large_table_shows_its_newest_row_by_index_when_time_runs_out(session):
    session.execute(
        """
        create table log (at timestamptz not null default now(), text text);
        insert into log select '2001-01-01Z', repeat('x', 100) from generate_series(1, 700000);
        insert into log select '2002-01-01Z', 'last';
        create index on log (at);
        analyze log;
        """
    )
    (log,) = checks.tables(session, checks.Budget(0))

    assert log.newest == datetime(2002, 1, 1, tzinfo=UTC)
    assert log.estimate == pytest.approx(700001, rel=0.01)
    assert log.rows is None
    assert log.skipped == "took too long"


def test_a_table_that_may_not_be_read_is_skipped_and_named(server, session, target):
    session.execute("create table secret (n int); create table open (n int)")
    session.execute("create role nobody login password 'x'; grant select on open to nobody")
    try:
        with postgres.connect(
            target, postgres.Credentials(username="nobody", password="x")
        ) as other:
            found = {table.name: table for table in checks.tables(other, checks.Budget(5))}
    finally:
        session.execute("revoke all on open from nobody; drop role nobody")

    assert found["public.open"].rows == 0
    assert found["public.secret"].rows is None
    assert "permission denied" in found["public.secret"].skipped


def test_valid_constraints_are_taken_at_the_servers_word(odd):
    found = checks.constraints(odd, checks.Budget(5))

    assert found.checked >= 2
    assert found.problems == ()
    assert found.skipped == ()


def test_rows_against_a_constraint_that_is_not_valid_are_found(session):
    session.execute(
        """
        create table price (amount int);
        insert into price values (-1);
        alter table price add constraint "not < 0" check (amount >= 0) not valid;
        alter table price add constraint small check (amount < 10) not valid;
        """
    )
    found = checks.constraints(session, checks.Budget(5))

    assert [note.what for note in found.problems] == ['public.price "not < 0"']


def test_an_invalid_unique_index_is_found(session):
    session.execute("create table t (n int); insert into t values (1), (1)")
    with pytest.raises(Exception, match="could not create unique index"):
        session.execute("create unique index concurrently bad on t (n)")

    found = checks.constraints(session, checks.Budget(5))

    assert [note.what for note in found.problems] == ["public.bad"]


ORPHANS = """
create schema other;
create table other.parent (a int, b text, primary key (a, b));
create table child (x int, y text, foreign key (x, y) references other.parent (a, b));
insert into other.parent values (1, 'one');
insert into child values (1, 'one'), (null, 'one'), (2, null);
"""


def test_keys_that_point_to_rows_are_fine_and_nulls_point_nowhere(session):
    session.execute(ORPHANS)

    found = checks.foreign_keys(session, checks.Budget(5))

    assert (found.checked, found.problems, found.skipped) == (1, (), ())


def test_an_orphan_is_found(session):
    session.execute(ORPHANS)
    session.execute("alter table child drop constraint child_x_y_fkey")
    session.execute("insert into child values (9, 'nine')")
    session.execute(
        "alter table child add constraint fk foreign key (x, y)"
        " references other.parent (a, b) not valid"
    )

    found = checks.foreign_keys(session, checks.Budget(5))

    assert [(note.what, note.detail) for note in found.problems] == [
        ("public.child fk", "has rows that point to nothing")
    ]


def test_a_partitioned_tables_key_is_looked_at_once(session):
    session.execute(
        """
        create table p (id int primary key);
        create table c (id int references p) partition by list (id);
        create table c1 partition of c for values in (1);
        create table c2 partition of c for values in (2);
        """
    )
    assert checks.foreign_keys(session, checks.Budget(5)).checked == 1


def test_a_large_table_is_sampled(session):
    session.execute(
        """
        create table p (id int primary key);
        create table c (id int, fill text);
        insert into c select 1, repeat('x', 1000) from generate_series(1, 70000);
        alter table c add foreign key (id) references p not valid;
        analyze c;
        """
    )
    assert len(checks.foreign_keys(session, checks.Budget(5)).problems) == 1


@pytest.mark.parametrize(
    "column",
    [
        "id serial primary key",
        "id bigint generated always as identity primary key",
        "id int default nextval('shared') unique",
    ],
)
def test_a_sequence_behind_its_column_is_found(session, column):
    session.execute("create sequence shared")
    session.execute(f'create table "T" ({column}, n int)')
    session.execute('insert into "T" (n) values (1), (2)')
    assert checks.sequences(session, checks.Budget(5)).problems == ()

    session.execute('insert into "T" (id, n) overriding system value values (3, 3)')

    (problem,) = checks.sequences(session, checks.Budget(5)).problems
    assert 'public."T".id' in problem.detail


def test_sequences_that_count_down_skip_or_feed_no_unique_column_are_understood(session):
    session.execute(
        """
        create sequence down increment -1 minvalue -100 maxvalue -1;
        create table d (id int default nextval('down') primary key);
        insert into d default values; insert into d default values;
        create sequence tens increment 10;
        create table t (id int default nextval('tens') primary key);
        insert into t default values; insert into t values (9);
        create table free (n serial);
        insert into free values (100);
        create table unused (id serial primary key);
        """
    )
    assert checks.sequences(session, checks.Budget(5)).problems == ()

    session.execute("insert into d values (-3)")

    assert len(checks.sequences(session, checks.Budget(5)).problems) == 1
