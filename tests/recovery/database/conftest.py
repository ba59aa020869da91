import itertools
import shutil
import tempfile
from pathlib import Path

import pytest

from lab.data import postgres as lab_postgres
from recovery.database import postgres

PASSWORD = "a password of the tests"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server():
    run = Path(tempfile.mkdtemp(prefix="standby-test-", dir="/tmp"))
    run.chmod(0o755)
    server = lab_postgres.initialise(
        run / "pg" / "one", username="master", password=PASSWORD, database="first", parameters={}
    )
    yield server
    server.stop()
    shutil.rmtree(run)


@pytest.fixture
def target(server):
    """A new, empty database."""
    name = f'odd "name" {next(_numbers)}'
    quoted = name.replace('"', '""')
    with open_session(server, "first") as session:
        session.execute(f'create database "{quoted}"')
    yield postgres.Target(host=str(server.socket_folder), port=5432, name=name)
    with open_session(server, "first") as session:
        session.execute(f'drop database "{quoted}" with (force)')


@pytest.fixture
def session(target):
    with postgres.connect(target, credentials()) as session:
        yield session


def open_session(server, name):
    target = postgres.Target(host=str(server.socket_folder), port=5432, name=name)
    return postgres.connect(target, credentials())


def credentials(password=PASSWORD):
    return postgres.Credentials(username="master", password=password)
