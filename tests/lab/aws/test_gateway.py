"""Faults, the record, dead regions, and errors in AWS's own shape."""

import threading
import time
from contextlib import suppress

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
)

from tests.lab.aws.asking import EAST, WEST, OrderRefusedError, eventually, refusal, unique

FAILURES = (ConnectionClosedError, EndpointConnectionError, HTTPClientError)


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("rds", "describe_db_recommendations", {}),
        ("ec2", "describe_fast_launch_images", {}),
        ("cloudwatch", "describe_alarm_history", {}),
        ("secretsmanager", "stop_replication_to_replica", {"SecretId": "x"}),
    ],
)
def test_what_is_not_modelled_is_an_aws_error(aws, service, operation, arguments):
    assert refusal(getattr(aws.client(service), operation), **arguments) == "NotImplemented"


def test_a_service_that_is_not_there_at_all_is_an_aws_error(aws):
    act = aws.client("route53-recovery-control-config").list_clusters
    assert refusal(act) == "NotImplemented"


@pytest.mark.parametrize(
    ("fault", "codes"),
    [
        ("503", {"rds": "ServiceUnavailable", "dynamodb": "ServiceUnavailable"}),
        ("throttle", {"rds": "Throttling", "dynamodb": "ThrottlingException"}),
        ("expired", {"rds": "ExpiredToken", "dynamodb": "ExpiredTokenException"}),
        ("denied", {"rds": "AccessDenied", "dynamodb": "AccessDeniedException"}),
    ],
)
def test_a_fault_is_the_services_own_error_for_as_many_calls_as_it_says(lab, fault, codes):
    for service, operation in (("rds", "describe_db_instances"), ("dynamodb", "list_tables")):
        lab.control("POST", "faults", {"fault": fault, "service": service, "times": 1})
        act = getattr(lab.client(service), operation)
        assert refusal(act) == codes[service]
        act()


def test_a_fault_strikes_only_the_region_service_action_and_caller_it_names(lab):
    fault = {
        "fault": "503",
        "region": WEST,
        "service": "sts",
        "action": "GetCallerIdentity",
        "access_key_prefix": "LABOPERATOR",
    }
    lab.control("POST", "faults", fault)
    lab.client("sts", WEST).get_caller_identity()
    lab.client("sts", EAST, "LABOPERATOR").get_caller_identity()
    lab.client("dynamodb", WEST, "LABSELF").list_tables()
    act = lab.client("sts", WEST, "LABOPERATOR").get_caller_identity
    assert refusal(act) == "ServiceUnavailable"


def test_a_fault_ends_when_its_time_is_over_or_it_is_taken_away(lab):
    act = lab.client("sts").get_caller_identity
    lab.control("POST", "faults", {"fault": "503", "service": "sts", "seconds": 0.3})
    assert refusal(act) == "ServiceUnavailable"
    eventually(lambda: not _fails(act), 2)
    name = lab.control("POST", "faults", {"fault": "503", "service": "sts"})["id"]
    assert refusal(act) == "ServiceUnavailable"
    lab.control("DELETE", f"faults/{name}")
    act()


def _fails(act) -> bool:
    try:
        act()
    except ClientError:
        return True
    return False


@pytest.mark.parametrize("fault", ["refuse", "reset"])
def test_a_cut_connection_is_cut_at_once(lab, fault):
    lab.control("POST", "faults", {"fault": fault, "service": "sts"})
    began = time.monotonic()
    with pytest.raises(FAILURES):
        lab.client("sts").get_caller_identity()
    assert time.monotonic() - began < 1


def test_a_reply_is_lost_after_the_effect(lab):
    name = unique("topic")
    lab.control("POST", "faults", {"fault": "lost-reply", "service": "sns", "times": 1})
    sns = lab.client("sns")
    with pytest.raises(FAILURES):
        sns.create_topic(Name=name)
    assert any(topic["TopicArn"].endswith(name) for topic in sns.list_topics()["Topics"])


def test_a_hanging_call_holds_up_no_other(lab):
    lab.control("POST", "faults", {"fault": "hang", "service": "sts", "region": WEST})
    hanging = threading.Thread(target=_swallow(lab.client("sts", WEST).get_caller_identity))
    hanging.start()
    began = time.monotonic()
    lab.client("sts", EAST).get_caller_identity()
    assert time.monotonic() - began < 2
    lab.control("DELETE", "faults")
    hanging.join(5)
    assert not hanging.is_alive()


def _swallow(act):
    def run():
        with suppress(HTTPClientError, ClientError):
            act()

    return run


def test_a_dead_region_answers_nothing_and_takes_the_global_services_with_it(lab):
    lab.control("POST", "regions", {"region": EAST, "state": "dead", "api": "refuse"})
    for service, operation in (
        ("rds", "describe_db_instances"),
        ("route53", "list_hosted_zones"),
        ("iam", "list_roles"),
        ("sts", "get_caller_identity"),
    ):
        with pytest.raises(FAILURES):
            getattr(lab.client(service, EAST), operation)()
    lab.client("sts", WEST).get_caller_identity()
    lab.client("rds", WEST).describe_db_instances()
    lab.control("POST", "regions", {"region": EAST, "state": "up"})
    lab.client("route53", EAST).list_hosted_zones()


def test_a_region_that_dies_while_it_hangs_lets_go_when_it_heals(lab):
    lab.control("POST", "regions", {"region": EAST, "state": "dead", "api": "hang"})
    outcome = []

    def ask():
        try:
            lab.client("dynamodb", EAST).list_tables()
        except (HTTPClientError, ReadTimeoutError) as error:
            outcome.append(type(error).__name__)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.5)
    assert asking.is_alive()
    lab.control("POST", "regions", {"region": EAST, "state": "up"})
    asking.join(5)
    assert outcome == ["ConnectionClosedError"]


def test_a_bucket_dies_with_its_own_region(lab):
    name = unique("bucket")
    lab.client("s3", EAST).create_bucket(Bucket=name)
    lab.control("POST", "regions", {"region": EAST, "state": "dead", "api": "refuse"})
    with pytest.raises(FAILURES):
        lab.client("s3", WEST).head_bucket(Bucket=name)


def test_every_call_is_on_record_with_caller_step_and_outcome(lab):
    before = lab.control("GET", "calls")["next"]
    client = lab.client("ssm", WEST, "LABOPERATOR")

    def add_step(request, **_):
        request.headers["User-Agent"] = "Boto3/1 step#rlg-data/promote-database"

    client.meta.events.register("before-sign.ssm.GetParameter", add_step)
    assert refusal(client.get_parameter, Name="/none") == "ParameterNotFound"
    found = lab.control("GET", f"calls?after={before}")
    call = found["calls"][-1]
    assert call["n"] == found["next"]
    assert (call["service"], call["action"], call["region"]) == ("ssm", "GetParameter", WEST)
    assert call["caller"].startswith("LABOPERATOR")
    assert call["agent"] == "rlg-data/promote-database"
    assert call["outcome"] == "400"


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "action"),
    [
        ("route53", "list_hosted_zones", {}, "ListHostedZones"),
        ("cloudwatch", "describe_alarms", {}, "DescribeAlarms"),
        ("s3", "list_buckets", {}, "ListBuckets"),
        ("elbv2", "describe_load_balancers", {}, "DescribeLoadBalancers"),
        ("service-quotas", "list_services", {}, "ListServices"),
    ],
)
def test_the_record_names_service_and_action_as_boto3_does(
    lab, service, operation, arguments, action
):
    before = lab.control("GET", "calls")["next"]
    with suppress(ClientError):
        getattr(lab.client(service), operation)(**arguments)
    call = lab.control("GET", f"calls?after={before}")["calls"][-1]
    assert (call["service"], call["action"]) == (service, action)


def test_the_world_is_waited_for_by_version(lab):
    world = lab.control("GET", "world")
    assert {zone["name"] for zone in world["zones"]} >= {"rlg.example."}
    began = time.monotonic()
    same = lab.control("GET", f"world?after={world['version']}")
    assert same["version"] == world["version"] or time.monotonic() - began < 1
    lab.control("POST", "links", {"from": EAST, "to": WEST, "state": "slow", "delay_ms": 70})
    changed = eventually(lambda: _link(lab.control("GET", f"world?after={world['version']}")), 3)
    assert changed == {"state": "slow", "delay_ms": 70}


def _link(world):
    link = world["links"][f"{EAST}>{WEST}"]
    return link if link["state"] == "slow" else None


def test_an_order_that_makes_no_sense_is_refused(lab):
    for path, body in (
        ("regions", {"region": "mars", "state": "dead"}),
        ("regions", {"region": EAST, "state": "ill"}),
        ("faults", {"fault": "nonsense"}),
    ):
        with pytest.raises(OrderRefusedError):
            lab.control("POST", path, body)
