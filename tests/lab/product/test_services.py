"""The sample product answers as its customers and recovery's journey expect it to."""

import http.client
import json
import threading
from contextlib import closing

import psycopg2
import pytest

from lab import sweep
from lab.data import postgres
from lab.names import Resolver
from lab.product import seed, services
from lab.product.aws import Client, Stored
from lab.product.database import Database
from lab.product.server import Listener

PROBE = {"username": "probe", "password": "secret of the probe"}


class LocalDatabase(Database):
    """Connects through the server's own socket; names and TLS are the network's to test."""

    def __init__(self, server):
        super().__init__(
            host="unused", name="shop", resolver=Resolver("127.0.0.1:1"), credentials=dict
        )
        self.server = server

    def _connect(self):
        return connect(self.server)


class Buckets(Client):
    """S3 in a dictionary."""

    def __init__(self):
        nowhere = {"AWS_ENDPOINT_URL": "", "AWS_REGION": "us-east-1"}
        super().__init__(nowhere | {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""})
        self.objects = {}

    def read(self, bucket, key):
        return self.objects.get((bucket, key))

    def write(self, bucket, key, stored):
        self.objects[bucket, key] = stored


def connect(server):
    return psycopg2.connect(
        host=str(server.socket_folder),
        dbname="shop",
        user="master",
        password="password",
        options="-c search_path=rlg,public",
    )


@pytest.fixture(scope="module")
def server():
    run_dir = sweep.new_folder()
    server = postgres.initialise(
        run_dir / "pg" / "shop",
        username="master",
        password="password",
        database="shop",
        parameters={},
    )
    with closing(connect(server)) as link:
        seed.fill_database(link, title="RLG Shop", probe=PROBE)
    yield server
    server.kill()
    sweep.sweep(run_dir)


@pytest.fixture
def place(server):
    return services.Place(
        product="shop",
        site="primary",
        database=LocalDatabase(server),
        aws=Buckets(),
        file_bucket="files",
        frontend_bucket="pages",
        pages={},
    )


@pytest.fixture
def ask(place):
    listeners = {
        name: Listener("127.0.0.1", 0, name, place) for name in (*services.ROUTES, "other")
    }
    for listener in listeners.values():
        threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True).start()

    def ask(service, method, path, body=None, token=None):
        port = listeners[service].server_address[1]
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with closing(link):
            given = json.dumps(body) if isinstance(body, dict) else body
            link.request(method, path, given, headers)
            answer = link.getresponse()
            said = answer.read()
        is_json = answer.headers["Content-Type"] == "application/json"
        return answer.status, json.loads(said) if is_json else said

    yield ask
    for listener in listeners.values():
        listener.shutdown()
        listener.server_close()


def log_in(ask):
    status, said = ask("auth", "POST", "/auth/login", PROBE)
    assert status == 200
    return said["token"]


def test_every_service_says_that_it_is_up(ask):
    for service in services.ROUTES:
        assert ask(service, "GET", "/health") == (200, {"status": "ok", "service": service})


def test_a_payment_is_made_once_and_read_back(ask):
    token = log_in(ask)
    order = {"amount": 12.5, "reference": "order 1 of this test"}
    status, made = ask("api", "POST", "/api/payments", order, token)
    assert status == 201
    assert ask("api", "POST", "/api/payments", order, token) == (200, made)
    status, read = ask("api", "GET", f"/api/payments/{made['id']}", token=token)
    assert (status, read["reference"], read["amount"]) == (200, order["reference"], "12.50")


@pytest.mark.parametrize("token", [None, "1.9999999999.forged", "nonsense", "1.1.x", "9.9.9.9"])
def test_a_payment_without_a_valid_token_is_refused(ask, token):
    status, said = ask("api", "POST", "/api/payments", {"amount": 1, "reference": "r"}, token)
    assert status == 401
    assert "log in" in said["error"]


def test_a_wrong_password_is_refused(ask):
    status, _ = ask("auth", "POST", "/auth/login", PROBE | {"password": "guessed"})
    assert status == 401


def test_an_entry_is_kept_once_however_often_it_is_sent(ask):
    entry = {"id": "mine-1", "text": "text"}
    assert ask("api", "POST", "/api/entries", entry)[0] == 201
    assert ask("api", "POST", "/api/entries", entry)[0] == 200
    assert ask("api", "GET", "/api/entries/mine-1") == (200, entry)
    assert ask("api", "GET", "/api/entries?prefix=mine-") == (200, {"ids": ["mine-1"]})


def test_a_file_comes_back_as_it_was_stored(ask, place):
    assert ask("api", "POST", "/api/files/a/b.bin", b"\x00\xff")[0] == 201
    assert ask("api", "GET", "/api/files/a/b.bin") == (200, b"\x00\xff")
    assert ask("api", "GET", "/api/files/other")[0] == 404


def test_the_frontend_comes_from_its_bucket(ask, place):
    place.aws.write("pages", "index.html", Stored(body=b"<html>", content_type="text/html"))
    assert ask("frontend", "GET", "/") == (200, b"<html>")
    assert ask("frontend", "GET", "/absent.html")[0] == 404


def test_events_and_notifications_are_kept(ask):
    assert ask("analytics", "POST", "/analytics/events", {"kind": "view"})[0] == 201
    assert ask("notifications", "POST", "/notifications", {"to": "you"})[0] == 201
    assert ask("notifications", "POST", "/notifications/email", {"to": "you"})[0] == 201
    assert ask("analytics", "POST", "/analytics/events", b"no json")[0] == 400


def test_what_no_service_has_is_not_found(ask):
    assert ask("auth", "GET", "/api/content")[0] == 404
    assert ask("api", "POST", "/api/content", {})[0] == 404


def test_a_body_that_misses_a_field_is_a_bad_request(ask):
    status, said = ask("api", "POST", "/api/entries", {"id": "x"})
    assert (status, said["error"]) == (400, "the body must be a JSON object with id, text")


def test_a_read_only_database_refuses_writes_and_goes_on_reading(ask, server):
    set_read_only(server, "on")
    try:
        status, said = ask("api", "POST", "/api/entries", {"id": "late", "text": "t"})
        assert (status, said["error"]) == (
            503,
            "the database is read-only here: this site is the standby",
        )
        assert ask("api", "GET", "/api/health")[0] == 503
        assert ask("api", "GET", "/api/content")[0] == 200
        assert ask("auth", "POST", "/auth/login", PROBE)[0] == 200
    finally:
        set_read_only(server, "off")
    assert ask("api", "GET", "/api/health")[0] == 200


def test_connections_are_remade_after_the_database_was_away(ask, server):
    assert ask("api", "GET", "/api/health")[0] == 200
    server.kill()
    assert ask("api", "GET", "/api/health")[0] == 503
    server.start()
    assert ask("api", "GET", "/api/health")[0] == 200
    assert ask("api", "GET", "/health")[0] == 200


def test_a_broken_connection_is_not_the_customers_to_notice(ask, server):
    assert ask("api", "GET", "/api/content")[0] == 200
    with server.admin() as admin, admin.cursor() as sql:
        sql.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'master'"
        )
    assert ask("api", "POST", "/api/entries", {"id": "unbroken", "text": "t"})[0] == 201


def set_read_only(server, value):
    """Make new transactions of the database read-only, as on a standby."""
    with server.admin() as admin, admin.cursor() as sql:
        sql.execute(f"ALTER DATABASE shop SET default_transaction_read_only = {value}")
        sql.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'master'"
        )
