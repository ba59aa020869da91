import contextlib
import contextvars
import http.server
import socket
import subprocess
import sys
import threading
import time

import pytest

from recovery.cloud import client, databases, errors, identity, models, permissions, tables
from recovery.cloud.tally import Tally, parse


@pytest.fixture
def answering(monkeypatch, fresh_clients):
    """An endpoint that answers every request alike and keeps their headers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        answer = (200, b"{}")
        seen = []  # noqa: RUF012

        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            Handler.seen.append(self.headers)
            status, body = Handler.answer
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    yield Handler
    server.shutdown()
    server.server_close()


@pytest.fixture
def black_hole(monkeypatch, fresh_clients):
    """An endpoint that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        yield


def test_importing_every_module_loads_nothing_of_the_sdk():
    script = (
        "import sys, recovery.cloud.permissions, recovery.assignment\n"
        "print([name for name in sys.modules if name.partition('.')[0] in "
        "{'boto3', 'botocore', 'urllib3', 's3transfer', 'msgspec'}])"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_equal_handles_share_a_client_and_a_single_attempt_has_its_own(region):
    assert region.client("rds") is client.Region("us-west-2").client("rds")
    assert region.client("rds") is not client.Region("us-west-2", once=True).client("rds")
    assert region.client("rds") is not client.Region("us-east-1").client("rds")


def test_many_threads_make_one_client(region):
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(region.client("sns"))) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, made))) == 1


def test_calls_say_on_whose_behalf_they_are_made(answering):
    answering.answer = (200, b"{}")
    client.calling_step.set("rlg-data/promote")

    tables.read(client.Region("us-west-2"), "t", "k")
    contextvars.Context().run(tables.read, client.Region("us-west-2"), "t", "k")

    with_step, without = (headers["User-Agent"] for headers in answering.seen)
    assert " step#rlg-data/promote" in with_step
    assert "step#" not in without


@pytest.fixture
def tally(monkeypatch):
    monkeypatch.setattr(client, "tally", Tally())
    return lambda: client.tally.take_rest()


@pytest.mark.parametrize(
    ("answer", "counted"),
    [
        ((200, b"{}"), "1"),
        ((400, b'{"__type": "ConditionalCheckFailedException", "message": ""}'), "1"),
        ((400, b'{"__type": "AccessDeniedException", "message": ""}'), "1 failed"),
        ((503, b"<html>Service Unavailable</html>"), "1 failed"),
    ],
    ids=["answered", "condition", "denied", "unavailable"],
)
def test_a_call_counts_once_by_operation_and_region(answering, tally, answer, counted):
    answering.answer = answer
    with contextlib.suppress(errors.CloudError):
        tables.read(client.Region("us-west-2", once=True), "t", "k")
    assert tally() == f"dynamodb:GetItem@us-west-2 {counted}"


def test_a_call_without_an_answer_failed(black_hole, tally):
    with pytest.raises(errors.UnreachableError):
        tables.read(client.Region("us-east-1", once=True), "t", "k")
    assert tally() == "dynamodb:GetItem@us-east-1 1 failed"


def test_calls_count_for_the_step_that_made_them_and_are_told_once(answering, tally):
    client.calling_step.set("rlg-data/promote")
    for _ in range(2):
        tables.read(client.Region("us-west-2"), "t", "k")
    tables.read(client.Region("us-east-2"), "t", "k")
    contextvars.Context().run(tables.read, client.Region("us-west-2"), "t", "k")
    told = "dynamodb:GetItem@us-east-2 1, dynamodb:GetItem@us-west-2 2"
    assert client.tally.take("rlg-data/assign") == ""
    assert client.tally.take("rlg-data/promote") == told
    assert client.tally.take("rlg-data/promote") == ""
    assert tally() == "dynamodb:GetItem@us-west-2 1"


def test_what_is_left_of_a_product_is_told_in_sum_and_reads_back():
    counted = Tally()
    for step, failed in (("a/open", False), ("a/close", False), ("a/open", True), ("ab/x", False)):
        counted.add(step, "us-west-2", "dynamodb:PutItem", failed=failed)
    told = counted.take_rest("a")
    assert told == "dynamodb:PutItem@us-west-2 2, dynamodb:PutItem@us-west-2 1 failed"
    assert [(each.times, each.failed) for each in parse(told)] == [(2, False), (1, True)]
    assert parse("") == parse("nonsense, x@y many") == ()


def test_a_possibly_dead_region_is_given_one_attempt_of_two_seconds(black_hole):
    began = time.monotonic()
    with pytest.raises(errors.UnreachableError) as caught:
        tables.read(client.Region("us-east-1", once=True), "t", "k")
    assert 1.9 < time.monotonic() - began < 2.6
    assert str(caught.value).startswith("dynamodb:GetItem in us-east-1: ReadTimeoutError: ")


def test_a_server_error_is_tried_three_times_and_then_unreachable(answering):
    answering.answer = (503, b"<html>Service Unavailable</html>")
    with pytest.raises(errors.UnreachableError):
        databases.describe(client.Region("us-west-2"), "db")
    assert len(answering.seen) == client.ATTEMPTS


def test_what_is_no_answer_of_aws_is_unreachable(answering):
    answering.answer = (200, b"<html>captive portal")
    with pytest.raises(errors.UnreachableError, match="rds:DescribeDBInstances in us-west-2"):
        databases.describe(client.Region("us-west-2"), "db")


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "ExpiredTokenException", errors.CredentialsExpiredError),
        (400, "UnrecognizedClientException", errors.DeniedError),
        (400, "AccessDeniedException", errors.DeniedError),
        (400, "ResourceNotFoundException", errors.NotFoundError),
        (400, "ConditionalCheckFailedException", errors.ConflictError),
        (400, "ValidationException", errors.RejectedError),
        (500, "InternalServerError", errors.UnreachableError),
        (501, "NotImplemented", errors.RejectedError),
    ],
)
def test_an_error_of_aws_becomes_ours_with_operation_region_code_and_words(
    answering, status, code, kind
):
    answering.answer = (status, f'{{"__type": "{code}", "message": "the\\nwords"}}'.encode())
    with pytest.raises(kind) as caught:
        tables.read(client.Region("us-west-2", once=True), "t", "k")
    said = f"dynamodb:GetItem in us-west-2: {code}: the words"
    assert str(caught.value) == said + kind.advice


def test_throttling_that_does_not_end_is_an_error_of_its_own(answering):
    body = b'{"__type": "ProvisionedThroughputExceededException", "message": "slow"}'
    answering.answer = (400, body)
    with pytest.raises(errors.ThrottledError):
        tables.read(client.Region("us-west-2"), "t", "k")
    assert len(answering.seen) > 1


def test_no_credentials_at_all_is_denied(answering, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(errors.DeniedError, match="NoCredentialsError"):
        identity.caller(client.Region("us-west-2"))


def test_a_region_that_is_no_name_is_rejected(fresh_clients):
    with pytest.raises(errors.RejectedError, match="us west"):
        identity.caller(client.Region("us west"))


def test_known_regions_are_regions(fresh_clients):
    known = client.known_regions()
    assert {"us-east-1", "us-west-2", "us-east-2"} <= known
    assert "us-wast-2" not in known


def test_a_client_can_do_nothing_that_is_not_listed(region):
    assert hasattr(region.client("rds"), "promote_read_replica")
    assert not hasattr(region.client("rds"), "delete_db_instance")


@pytest.mark.parametrize("service", sorted(models.OPERATIONS))
def test_every_operation_that_is_listed_exists(region, service):
    found = region.client(service).meta.service_model.operation_names
    assert (
        set(found) == models.OPERATIONS[service] - {"DescribeEndpoints"}
        or set(found) == models.OPERATIONS[service]
    )


def test_permissions_change_nothing_in_iam_or_route_53():
    # To hand a role to S3 changes nothing in IAM: it is who may name a role in a rule.
    told = {each for each in permissions.ACTIONS if each.startswith(("iam:", "route53:"))}
    assert told == {"iam:PassRole"}
    assert permissions.GUARD_ACTIONS <= permissions.ACTIONS
