import threading
from datetime import UTC, datetime, timedelta

import pytest

from recovery.database import errors, heartbeat, postgres

PASSWORD = "a password of the tests"


def test_there_is_none_before_it_is_installed(session):
    assert heartbeat.read(session) is None
    with pytest.raises(errors.QueryFailedError) as caught:
        heartbeat.beat(session, site="primary", epoch=1)
    assert caught.value.code == postgres.UNDEFINED_TABLE


def test_it_carries_the_servers_time_and_counts(session):
    heartbeat.install(session)
    assert heartbeat.read(session) is None

    heartbeat.beat(session, site="primary", epoch=1)
    heartbeat.beat(session, site="primary", epoch=1)

    found = heartbeat.read(session)
    assert found is not None
    assert (found.site, found.epoch, found.beats) == ("primary", 1, 2)
    assert abs(datetime.now(UTC) - found.at) < timedelta(seconds=5)


def test_a_beat_of_an_older_epoch_changes_nothing(session):
    heartbeat.install(session)
    heartbeat.beat(session, site="dr", epoch=2)

    heartbeat.beat(session, site="primary", epoch=1)

    found = heartbeat.read(session)
    assert found is not None
    assert (found.site, found.epoch, found.beats) == ("dr", 2, 1)


def test_many_guards_may_install_it_at_once(target):
    master = postgres.Credentials(username="master", password=PASSWORD)
    failures = []

    def install():
        with postgres.connect(target, master) as session:
            try:
                heartbeat.install(session)
            except errors.DatabaseError as error:
                failures.append(error)

    threads = [threading.Thread(target=install) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
