import pytest
from moto.server import ThreadedMotoServer

from recovery.cloud import client


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
    import urllib.request  # noqa: PLC0415

    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    yield client.Region("us-west-2")
    reset = urllib.request.Request(f"{moto_url}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset).close()


@pytest.fixture
def aws(moto_url, region):
    """Plain SDK clients of the same region, for what recovery itself never does."""
    import botocore.session  # noqa: PLC0415

    session = botocore.session.get_session()

    def of(service):
        return session.create_client(service, region_name=region.name, endpoint_url=moto_url)

    return of
