import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from recovery import assignment, naming
from recovery.assignment import Assignment
from recovery.cloud import client, metrics
from recovery.cloud.client import Region
from recovery.database import heartbeat
from recovery.duties import Guard
from recovery.host import Host
from recovery.paging import Pager
from recovery.tenure import Tenure
from recovery.topology import Guard as GoesBy
from recovery.topology import Service, encode
from tests.recovery.cases import topology
from tests.recovery.conftest import PASSWORD
from tests.recovery.outside import Website

TABLE = "rlg-standby-control"
REGIONS = ("us-east-1", "us-west-2", "us-east-2")
FAST = GoesBy(ttl_seconds=1.5, heartbeat_seconds=0.1, switch_seconds=0.2)

HEALTH = {"status": 200}
RUNS: Any = object()
"""In place of a command's run, where it is enough that there is one."""


@pytest.fixture
def world(aws, monkeypatch, tmp_path):
    """The control tables of three regions and the secret of the product."""
    monkeypatch.setenv("STANDBY_STATE", str(tmp_path))
    for name in REGIONS:
        aws("dynamodb", name).create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    secret = {"username": "master", "password": PASSWORD}
    aws("secretsmanager").create_secret(Name="rlg-data/database", SecretString=json.dumps(secret))


@pytest.fixture
def services():
    """The host's own services, which answer what HEALTH says."""
    site = Website(None, lambda *_: (HEALTH["status"], {}))
    yield site
    site.close()
    HEALTH["status"] = 200


@pytest.fixture
def host(door, target, resolver, services):
    resolver.names["db.test"] = ["127.0.0.1"]
    return Host(
        product="rlg-data",
        site="dr",
        region="us-west-2",
        address="127.0.0.1",
        command=("sleep", "60"),
        is_worker=False,
        database_host="db.test",
        database_port=door.port,
        database_name=target.name,
        resolver=resolver.address,
    )


@pytest.fixture
def made(host, services):
    """A guard of the host whose services are those of the fixture."""
    facts = topology(guard=FAST)
    product = replace(
        facts.products[0], services=(Service(name="api", port=services.port, path="/api/*"),)
    )
    facts = replace(facts, products=(product,))
    made = Guard(
        host=host,
        topology=facts,
        product=product,
        site=facts.sites["dr"],
        peer=facts.sites["primary"],
        tenure=Tenure("dr", FAST.ttl_seconds),
    )
    made.governor._run = RUNS
    yield made
    made._let_go()


def assign(site="dr", epoch=3, *, claim=False, regions=REGIONS):
    written = Assignment(site=site, epoch=epoch, claim=claim, settled=True, execution="x")
    for name in regions:
        assignment.write(Region(name), TABLE, "rlg-data", written)


def listen(made, regions=REGIONS):
    for name in regions:
        made.listen(name, TABLE)


def latest(region, metric, site):
    dimensions = naming.switch_dimensions("rlg-data", site)
    found = metrics.latest(Region(region), naming.SWITCH_NAMESPACE, metric, dimensions)
    return None if found is None else found[1]


def said(capsys):
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [(line["topic"], line["state"]) for line in lines]


def test_without_an_assignment_nothing_is_written_or_published(world, made, session, capsys):
    listen(made)
    made.beat()
    made.look()
    made.publish(made.site)
    made.publish(made.peer)

    assert heartbeat.read(session) is None
    assert latest("us-west-2", naming.CLAIM_METRIC, "dr") is None
    assert ("assignment", "not held") in said(capsys)


def test_no_port_answers_before_every_table_was_asked(world, made, services):
    services.close()
    made.governor._run = None
    assign("primary")
    listen(made, REGIONS[:2])
    made.governor._rest()
    with socket.create_server(("127.0.0.1", services.port)):
        listen(made, REGIONS[2:])
    made.governor._rest()
    assert urllib.request.urlopen(f"http://127.0.0.1:{services.port}/health").status == 200
    made.governor.idle.close()
    with socket.create_server(("127.0.0.1", services.port)):
        pass


def test_the_assigned_site_beats_in_its_own_database(world, made, session):
    assign()
    listen(made)
    made.beat()
    made.beat()

    found = heartbeat.read(session)
    assert found is not None
    assert (found.site, found.epoch, found.beats) == ("dr", 3, 2)


def test_the_peer_of_the_assigned_site_stays_silent(world, made, session):
    assign("primary")
    listen(made)
    made.beat()
    assert heartbeat.read(session) is None


def test_a_missing_item_in_two_tables_refuses(world, made, session):
    assign(regions=["us-west-2"])
    listen(made)
    made.beat()
    assert heartbeat.read(session) is None


def test_traffic_follows_the_database_no_claim_before_it_takes_writes(world, made):
    assign(claim=True)
    listen(made)
    made.publish(made.site)
    made.publish(made.peer)

    assert latest("us-west-2", naming.CLAIM_METRIC, "dr") is None
    assert latest("us-east-1", naming.CLAIM_METRIC, "primary") is None


def test_the_claim_is_published_here_and_taken_back_at_the_peer(world, made):
    assign(claim=True)
    listen(made)
    made.beat()
    made.publish(made.site)
    made.publish(made.peer)

    assert latest("us-west-2", naming.CLAIM_METRIC, "dr") == 1.0
    assert latest("us-east-1", naming.CLAIM_METRIC, "primary") == 0.0
    assert latest("us-east-1", naming.CLAIM_METRIC, "dr") is None


def test_being_well_is_published_in_both_regions(world, made):
    assign()
    listen(made)
    made.beat()
    made.look()
    made.publish(made.site)
    made.publish(made.peer)

    for region in ("us-west-2", "us-east-1"):
        at = latest(region, naming.HEALTHY_METRIC, "dr")
        assert at is not None
        assert abs(time.time() - at) < 60


def test_a_host_whose_services_are_ill_was_never_well(world, made):
    HEALTH["status"] = 500
    assign()
    listen(made)
    made.beat()
    made.look()
    made.publish(made.site)
    assert latest("us-west-2", naming.HEALTHY_METRIC, "dr") is None
    assert latest("us-west-2", naming.CLAIM_METRIC, "dr") == 0.0


def test_a_host_whose_command_does_not_run_was_never_well(world, made):
    made.governor._run = None
    assign()
    listen(made)
    made.beat()
    made.look()
    made.publish(made.site)
    assert latest("us-west-2", naming.HEALTHY_METRIC, "dr") is None


def test_a_host_without_a_heartbeat_was_never_well(world, made, door):
    door.shut()
    assign()
    listen(made)
    made.beat()
    made.look()
    made.publish(made.site)
    assert latest("us-west-2", naming.HEALTHY_METRIC, "dr") is None


def test_a_database_that_was_away_is_written_to_again(world, made, door, session, capsys):
    assign()
    listen(made)
    made.beat()
    door.shut()
    made.beat()
    door.open()
    made.beat()

    found = heartbeat.read(session)
    assert found is not None
    assert found.beats == 2
    beats = [state for topic, state in said(capsys) if topic == "heartbeat"]
    assert beats == ["written", "not written", "written"]


def test_a_changed_password_is_read_anew_and_appears_in_no_line(world, made, aws, session, capsys):
    change = {"username": "master", "password": "no longer this one"}
    aws("secretsmanager").put_secret_value(
        SecretId="rlg-data/database", SecretString=json.dumps(change)
    )
    assign()
    listen(made)
    made.beat()
    aws("secretsmanager").put_secret_value(
        SecretId="rlg-data/database",
        SecretString=json.dumps(change | {"password": PASSWORD}),
    )
    made.beat()

    assert heartbeat.read(session) is not None
    printed = capsys.readouterr().out
    assert "no longer this one" not in printed
    assert PASSWORD not in printed


def test_the_tenure_ends_when_the_tables_fall_silent(world, made, session, monkeypatch):
    assign()
    listen(made)
    made.beat()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(client, "_pool", client._Pool())
    time.sleep(FAST.ttl_seconds)
    listen(made)
    made.beat()

    found = heartbeat.read(session)
    assert found is not None
    assert found.beats == 1


def test_the_same_state_is_said_once(world, made, capsys):
    assign()
    listen(made)
    listen(made)
    topics = [topic for topic, _ in said(capsys)]
    assert len(topics) == len(set(topics)) + 1  # one vote is no tenure yet, two are


def test_a_full_disk_under_the_log_stops_no_guard(world, made, monkeypatch):
    class Full(io.StringIO):
        def write(self, _):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    assign()
    listen(made)
    made.beat()


def environment(host, **changes):
    """Return what a host's units read, as the user data wrote it."""
    return os.environ | {
        "STANDBY_PRODUCT": host.product,
        "STANDBY_SITE": host.site,
        "AWS_REGION": host.region,
        "STANDBY_ADDRESS": host.address,
        "STANDBY_DATABASE_HOST": f"{host.database_host}:{host.database_port}",
        "STANDBY_DATABASE_NAME": host.database_name,
        "STANDBY_RESOLVER": host.resolver,
        **changes,
    }


@contextmanager
def running(*arguments, env):
    """Start a guard; it is gone afterwards, whatever the test found."""
    with subprocess.Popen(
        [sys.executable, "-m", "recovery.guard", *arguments],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield process, process.stdout, process.stderr
        finally:
            process.kill()


def until(stream, topic, state):
    """Read lines until one says so; return all that were said."""
    seen = set()
    while (topic, state) not in seen:
        line = json.loads(stream.readline())
        seen.add((line["topic"], line["state"]))
    return seen


def test_a_process_waits_for_the_topology_then_beats_and_calls_as_a_guard(
    world, made, aws, session, tmp_path
):
    env = environment(made.host, STANDBY_STATE=str(tmp_path), STANDBY_COMMAND="sleep '60'")
    with running(env=env) as (_, output, _):
        first = json.loads(output.readline())
        assert (first["topic"], first["state"]) == ("topology", "waiting")
        assign()
        publish(aws, made.topology)
        seen = until(output, "heartbeat", "written")
        seen |= until(output, "services", "healthy")
    assert {("assignment", "held in epoch 3"), ("command", "running")} <= seen
    assert heartbeat.read(session) is not None


def test_an_idle_host_answers_for_its_services_until_it_is_assigned(
    world, made, aws, services, tmp_path
):
    publish(aws, made.topology)
    services.close()
    assign("primary")
    script = "import http.server, sys; print(http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])"
    script += "), http.server.SimpleHTTPRequestHandler).server_port, file=sys.stderr, flush=True)"
    command = ["--", sys.executable, "-c", script, str(services.port)]
    env = environment(made.host, STANDBY_STATE=str(tmp_path))
    with running(*command, env=env) as (process, output, errors):
        until(output, "idle ports", "answer")
        url = f"http://127.0.0.1:{services.port}"
        assert urllib.request.urlopen(f"{url}/health").status == 200
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(f"{url}/api/entries").close()
        assign(epoch=4)
        assert int(errors.readline()) == services.port
        assert process.wait(30) == 0


def test_a_worker_needs_no_database_opens_no_port_and_leaves_standard_output_to_its_command(
    world, made, aws, services, session
):
    publish(aws, made.topology)
    services.close()
    env = environment(made.host)
    env = {name: value for name, value in env.items() if "DATABASE" not in name}
    job = ["--worker", "--", "sh", "-c", "sleep 1; echo done; exit 5"]
    with running(*job, env=env) as (process, output, errors):
        seen = until(errors, "assignment", "not held")
        time.sleep(FAST.ttl_seconds)
        with socket.socket() as free:
            free.bind(("127.0.0.1", services.port))
        assign()
        assert process.wait(30) == 5
        assert output.read() == b"done\n"
        rest = [json.loads(line)["topic"] for line in errors.read().splitlines()]
    assert not {"heartbeat", "services", "idle ports"} & {*rest, *(topic for topic, _ in seen)}
    assert heartbeat.read(session) is None


def publish(aws, facts):
    document = encode(facts)
    bucket = facts.sites["dr"].bucket
    aws("s3").create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-2"}
    )
    aws("s3").put_object(Bucket=bucket, Key=naming.TOPOLOGY_KEY, Body=document)
    pointer = {
        "bucket": bucket,
        "key": naming.TOPOLOGY_KEY,
        "sha256": hashlib.sha256(document).hexdigest(),
    }
    aws("ssm").put_parameter(
        Name=naming.TOPOLOGY_PARAMETER, Value=json.dumps(pointer), Type="String"
    )


def test_what_the_host_is_missing_is_told_by_the_command_line():
    environment = {name: os.environ[name] for name in ("PATH",)}
    done = subprocess.run(
        [sys.executable, "-m", "recovery.guard"],
        env=environment,
        stderr=subprocess.PIPE,
        check=False,
    )
    assert done.returncode == 2
    assert b"--product, --site, --region, --database-host, --database-name" in done.stderr


@pytest.mark.parametrize(
    ("command", "why"),
    [("", b"nothing to run: give -- COMMAND"), ("run 'it", b'"run \'it": No closing quotation')],
)
def test_a_guard_of_nothing_is_wrong_usage(made, command, why):
    env = environment(made.host, STANDBY_COMMAND=command)
    with running(env=env) as (process, _, _):
        _, told = process.communicate(timeout=30)
    assert process.returncode == 2
    assert why in told


def test_people_are_told_once_while_a_third_of_the_ttl_is_left(world, made, aws):
    site, queue = told_to(aws, made.site)
    tenure = Tenure("dr", 60.0)
    pager = Pager(product=made.product, site=site, tenure=tenure, tables=3, ttl=60.0)
    written = Assignment(site="dr", epoch=3, claim=False, settled=True, execution="x")
    assert pager.look(0.0) is None
    for table, asked in (("a", 0.0), ("b", 10.0), ("c", 30.0)):
        tenure.hear(table, written, asked=asked)

    assert pager.look(49.0) is None
    assert pager.look(51.0) == "people were told"
    assert pager.look(52.0) is None

    (message,) = received(aws, queue)
    assert "rlg-data" in message["Subject"] + message["Message"]
    assert socket.gethostname() in message["Message"]
    assert "hears 1 of 3 control tables" in message["Message"]
    assert "In 19 s it stops the product here" in message["Message"]
    tenure.hear("a", written, asked=52.0)
    assert pager.look(53.0) is None
    assert pager.look(75.0) == "people were told"


def test_people_are_not_told_of_an_orderly_end(world, made, aws):
    site, queue = told_to(aws, made.site)
    tenure = Tenure("dr", 60.0)
    pager = Pager(product=made.product, site=site, tenure=tenure, tables=3, ttl=60.0)
    for epoch, name in ((3, "dr"), (4, "primary")):
        written = Assignment(site=name, epoch=epoch, claim=False, settled=True, execution="x")
        for table in ("a", "b"):
            tenure.hear(table, written, asked=0.0)
    assert pager.look(51.0) is None
    assert received(aws, queue) == []


def test_a_topic_that_does_not_answer_is_told(world, made):
    tenure = Tenure("dr", 60.0)
    site = replace(made.site, topic="arn:aws:sns:us-west-2:123456789012:nowhere")
    pager = Pager(product=made.product, site=site, tenure=tenure, tables=3, ttl=60.0)
    written = Assignment(site="dr", epoch=3, claim=False, settled=True, execution="x")
    for table in ("a", "b"):
        tenure.hear(table, written, asked=0.0)
    assert (pager.look(51.0) or "").startswith("people were not told: sns:Publish")


def told_to(aws, site):
    """Return the site with a topic that exists, and the queue that gets what it is told."""
    topic = aws("sns").create_topic(Name="alerts")["TopicArn"]
    queue = aws("sqs").create_queue(QueueName="oncall")["QueueUrl"]
    wanted = {"QueueUrl": queue, "AttributeNames": ["QueueArn"]}
    arn = aws("sqs").get_queue_attributes(**wanted)["Attributes"]["QueueArn"]
    aws("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return replace(site, topic=topic), queue


def received(aws, queue):
    found = aws("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
    return [json.loads(each["Body"]) for each in found.get("Messages", ())]


def test_lines_of_many_threads_stay_whole(made, capfd):
    threads = [
        threading.Thread(target=lambda n=n: [made._say(f"t{n}", f"s{i}") for i in range(200)])
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([json.loads(line) for line in capfd.readouterr().out.splitlines()]) == 1600
