import socket
import time

import pytest

from recovery.database import errors, postgres

PASSWORD = "a password of the tests"


def test_a_wrong_password_is_denied_and_not_repeated_in_the_message(target):
    wrong = postgres.Credentials(username="master", password="wrong horse")

    with pytest.raises(errors.DatabaseDeniedError, match="password authentication") as caught:
        postgres.connect(target, wrong)

    assert "wrong horse" not in str(caught.value)
    assert "wrong horse" not in repr(wrong)
    assert "\n" not in str(caught.value)


def test_a_port_where_nothing_listens_is_unreachable():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        target = postgres.Target(
            host="db.invalid", address="127.0.0.1", port=unused.getsockname()[1], name="x"
        )
        with pytest.raises(errors.DatabaseUnreachableError, match=r"x at db\.invalid:"):
            postgres.connect(target, postgres.Credentials(username="u", password="p"))


def test_a_peer_that_never_answers_is_given_up_within_three_seconds():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = postgres.Target(
            host="db.invalid", address="127.0.0.1", port=silent.getsockname()[1], name="x"
        )
        began = time.monotonic()
        with pytest.raises(errors.DatabaseUnreachableError):
            postgres.connect(target, postgres.Credentials(username="u", password="p"))
    assert time.monotonic() - began < 3.5


def test_a_missing_database_is_denied(target):
    missing = postgres.Target(host=target.host, port=target.port, name="nowhere")

    with pytest.raises(errors.DatabaseDeniedError, match="nowhere"):
        postgres.connect(missing, postgres.Credentials(username="master", password=PASSWORD))


def test_a_read_only_session_refuses_writes(target):
    master = postgres.Credentials(username="master", password=PASSWORD)
    with (
        postgres.connect(target, master, read_only=True) as session,
        pytest.raises(errors.DatabaseReadOnlyError),
    ):
        session.execute("create table public.t ()")


def test_a_statement_that_takes_too_long_is_cancelled(session):
    with pytest.raises(errors.QueryFailedError) as caught:
        session.rows("select pg_sleep(5)", seconds=0.05)

    assert caught.value.code == postgres.QUERY_CANCELED
    assert session.row("select 1") == (1,)


def test_a_connection_that_the_server_ended_is_unreachable(session, target):
    master = postgres.Credentials(username="master", password=PASSWORD)
    (pid,) = session.row("select pg_backend_pid()")
    with postgres.connect(target, master) as other:
        other.execute("select pg_terminate_backend(%s)", (pid,))

    with pytest.raises(errors.DatabaseUnreachableError):
        session.row("select 1")
    with pytest.raises(errors.DatabaseUnreachableError):
        session.row("select 1")


def test_a_writer_is_not_in_recovery(session):
    found = postgres.replication(session)

    assert not found.in_recovery
    assert not found.streaming
    assert found.replay_lag_seconds is None
