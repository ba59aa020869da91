"""How far a replica has come, also where a switchover left it closed."""

from datetime import UTC, datetime, timedelta

import pytest

from recovery.database import gate, heartbeat
from recovery.database.heartbeat import Heartbeat
from recovery.steps import loss
from recovery.steps.reach import Unseen
from tests.recovery.cases import case
from tests.recovery.steps.test_protection import REPLICA

BEAT = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
COMMIT = BEAT + timedelta(seconds=3)


@pytest.fixture
def last_beat(monkeypatch):
    """Ask for the last beat of a replica whose two databases answer like that."""

    def ask(product, maintenance):
        asked = []

        def answer(_case, _database, question, *, maintenance=False):
            asked.append(maintenance)
            return question("server" if maintenance else "product")

        def behind(session, name):
            assert (session, name) == ("server", "rlgdata")
            return maintenance

        def read(session):
            assert session == "product"
            return product

        monkeypatch.setattr(loss, "ask", answer)
        monkeypatch.setattr(heartbeat, "read", read)
        monkeypatch.setattr(gate, "last_commit_behind", behind)
        return loss._last_beat(case(), REPLICA), asked

    return ask


CLOSED = Unseen("is not currently accepting connections")


def test_an_open_replica_tells_its_heartbeat_and_is_asked_nothing_more(last_beat):
    beat = Heartbeat(at=BEAT, site="primary", epoch=1, beats=9)
    assert last_beat(beat, COMMIT) == (BEAT, [False])


def test_a_closed_replica_tells_its_last_commit(last_beat):
    assert last_beat(CLOSED, COMMIT) == (COMMIT, [False, True])


def test_one_that_is_open_and_cannot_be_asked_is_unseen(last_beat):
    assert last_beat(CLOSED, None)[0] is CLOSED


def test_one_that_does_not_answer_at_all_is_unseen_for_the_first_reason(last_beat):
    assert last_beat(CLOSED, Unseen("nobody is there"))[0] is CLOSED


def test_an_open_replica_without_a_heartbeat_is_not_judged_by_its_commits(last_beat):
    assert last_beat(None, COMMIT) == (None, [False])
