import itertools
import shutil
import tempfile
import urllib.request
from pathlib import Path

import botocore.session
import pytest
from moto.server import ThreadedMotoServer

from lab.data import postgres as lab_postgres
from lab.net import authority as authorities
from recovery.cloud import client
from recovery.database import postgres
from tests.recovery.outside import Door, Resolver, Website

PASSWORD = "a password of the tests"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def moto_url():
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def fresh_clients(monkeypatch):
    """Clients that see this test's environment, and are forgotten after it."""
    monkeypatch.setattr(client, "_pool", client._Pool())
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def region(moto_url, fresh_clients, monkeypatch):
    """A region of moto, emptied after the test."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    yield client.Region("us-west-2")
    reset = urllib.request.Request(f"{moto_url}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset).close()


@pytest.fixture
def aws(moto_url, region):
    """Plain SDK clients, for what recovery itself never does."""
    session = botocore.session.get_session()

    def of(service, region_name=region.name):
        return session.create_client(service, region_name=region_name, endpoint_url=moto_url)

    return of


@pytest.fixture(scope="session")
def server():
    """A PostgreSQL server with nothing in it."""
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


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return authorities.create(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def trusted(authority, monkeypatch):
    """The authority, trusted as an operator's environment says it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    monkeypatch.setenv("PGSSLROOTCERT", str(authority.certificate))
    return authority


@pytest.fixture
def resolver():
    resolver = Resolver()
    yield resolver
    resolver.close()


@pytest.fixture
def website(trusted):
    """Make HTTPS sites: `website(names, handle)`."""
    made = []

    def make(names, handle, address="127.0.0.1"):
        made.append(Website(trusted.issue(names), handle, address))
        return made[-1]

    yield make
    for site in made:
        site.close()


@pytest.fixture
def door(server, trusted):
    """The server behind TLS under the name `db.test`."""
    door = Door(trusted.issue(["db.test"]), server.socket_folder)
    yield door
    door.close()
