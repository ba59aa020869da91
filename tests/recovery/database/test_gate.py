import threading

import pytest

from recovery.database import errors, gate, postgres
from tests.recovery.conftest import credentials, open_session


@pytest.fixture
def maintenance(server):
    with open_session(server, gate.MAINTENANCE) as session:
        yield session


@pytest.fixture
def opened_again(maintenance, target):
    """A closed database cannot even be dropped by its own fixture."""
    yield
    gate.open_(maintenance, target.name)


def test_a_closed_database_takes_no_session_and_has_none(maintenance, target, opened_again):
    with postgres.connect(target, credentials()) as inside:
        inside.execute("create table kept (n int)")
        assert gate.is_open(maintenance, target.name)
        assert gate.sessions(maintenance, target.name) == 1

        assert gate.close(maintenance, target.name, seconds=10) == 0

        assert gate.is_open(maintenance, target.name) is False
        assert gate.sessions(maintenance, target.name) == 0
        with pytest.raises(errors.DatabaseUnreachableError):
            inside.execute("insert into kept values (1)")
    with pytest.raises(errors.DatabaseDeniedError, match=postgres.CLOSED_WORDS):
        postgres.connect(target, credentials())


def test_it_can_be_opened_again_and_has_what_it_had(maintenance, target):
    with postgres.connect(target, credentials()) as inside:
        inside.execute("create table kept (n int)")
    assert gate.close(maintenance, target.name, seconds=10) == 0
    gate.open_(maintenance, target.name)
    with postgres.connect(target, credentials()) as inside:
        assert inside.row("select count(*) from kept") == (0,)


def test_closing_twice_is_fine(maintenance, target, opened_again):
    assert gate.close(maintenance, target.name, seconds=10) == 0
    assert gate.close(maintenance, target.name, seconds=10) == 0


def test_sessions_elsewhere_live_on(maintenance, server, target, opened_again):
    with open_session(server, "first") as elsewhere:
        assert gate.close(maintenance, target.name, seconds=10) == 0
        assert elsewhere.row("select 1") == (1,)


def test_a_database_that_is_not_there_is_neither_open_nor_to_be_closed(maintenance):
    assert gate.is_open(maintenance, "nowhere") is None
    assert not gate.may_close(maintenance, "nowhere")
    with pytest.raises(errors.DatabaseError):
        gate.close(maintenance, "nowhere", seconds=1)


def test_only_an_owner_who_may_end_sessions_may_close(maintenance, server, target):
    assert gate.may_close(maintenance, target.name)
    with server.admin() as admin, admin.cursor() as cursor:
        cursor.execute("create role other")
        try:
            quoted = target.name.replace('"', '""')
            cursor.execute(f'alter database "{quoted}" owner to other')
            assert not gate.may_close(maintenance, target.name)
            cursor.execute(f'alter database "{quoted}" owner to master')
        finally:
            cursor.execute("drop role other")


def test_nothing_is_written_after_it_is_closed_however_many_press_in(
    maintenance, target, opened_again
):
    """Clients that reconnect all the time: each write that any was told of precedes the end."""
    with postgres.connect(target, credentials()) as inside:
        inside.execute("create table kept (n bigserial)")
    acknowledged, over, pressing = [], threading.Event(), threading.Barrier(5)

    def press():
        pressing.wait()
        while not over.is_set():
            try:
                with postgres.connect(target, credentials()) as session:
                    session.execute("set synchronous_commit = off")
                    acknowledged.append(session.rows("insert into kept default values returning n"))
            except errors.DatabaseError:
                continue

    clients = [threading.Thread(target=press) for _ in range(4)]
    for client in clients:
        client.start()
    pressing.wait()
    while len(acknowledged) < 20:
        over.wait(0.01)
    try:
        assert gate.close(maintenance, target.name, seconds=20) == 0
        end = gate.end_of_log(maintenance, target.name)
        told = len(acknowledged)
        over.wait(0.3)
        assert len(acknowledged) == told
        assert maintenance.row("select %s::pg_lsn <= pg_current_wal_flush_lsn()", (end,)) == (True,)
    finally:
        over.set()
        for client in clients:
            client.join()
    gate.open_(maintenance, target.name)
    with postgres.connect(target, credentials()) as inside:
        ((count,),) = inside.rows("select count(*) from kept")
    assert count >= told


def test_the_end_of_the_log_is_behind_what_was_acknowledged_before_it_was_on_disk(
    maintenance, target, opened_again
):
    with postgres.connect(target, credentials()) as inside:
        inside.execute("create table kept (n int)")
        inside.execute("set synchronous_commit = off")
        for n in range(20):  # now and then the log's writer is quicker, and no proof is given
            inside.execute("insert into kept values (%s)", (n,))
            (written,) = inside.row("select pg_current_wal_insert_lsn()::text") or ("",)
            end = gate.end_of_log(maintenance, target.name)
            ours = "select %s::pg_lsn <= %s::pg_lsn, %s::pg_lsn <= pg_current_wal_flush_lsn()"
            assert maintenance.row(ours, (written, end, end)) == (True, True)


def test_a_session_on_its_way_in_counts(maintenance, server, target):
    """Whoever holds the lock that a starting session takes is taken for one."""
    assert gate.sessions(maintenance, target.name) == 0
    with open_session(server, "first") as elsewhere:
        elsewhere.execute("begin")
        quoted = target.name.replace('"', '""')
        elsewhere.execute(f"comment on database \"{quoted}\" is 'locked'")
        assert gate.sessions(maintenance, target.name) == 1
        elsewhere.execute("rollback")


def test_a_writer_lacks_nothing_of_its_own_log(maintenance):
    assert gate.bytes_behind(maintenance, "0/1") == 0
