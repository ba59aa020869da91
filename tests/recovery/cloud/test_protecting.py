"""The calls that make a site a standby again, as moto answers them."""

import pytest

from recovery.cloud import balancers, databases, errors, metrics, objects, replication
from recovery.cloud.client import Region
from tests.recovery.cloud.test_services import DATABASE, listener  # noqa: F401 - a fixture

EAST = Region("us-east-1")
RULE = {
    "ID": "everything",
    "Status": "Enabled",
    "Priority": 1,
    "Filter": {"Prefix": ""},
    "DeleteMarkerReplication": {"Status": "Enabled"},
    "Destination": {"Bucket": "arn:aws:s3:::there", "StorageClass": "STANDARD"},
}
ROLE = "arn:aws:iam::123456789012:role/rlg-data-files-replication-1"


def test_a_renamed_database_is_found_by_its_new_name_only_and_can_be_protected(region, aws):
    aws("rds").create_db_instance(**DATABASE)
    databases.rename(region, "rlg-data-dr-1", "aside")
    assert databases.describe(region, "rlg-data-dr-1") is None
    found = databases.describe(region, "aside")
    assert found is not None
    assert not databases.placement(region, "aside").deletion_protection
    databases.protect(region, "aside")
    assert databases.placement(region, "aside").deletion_protection
    with pytest.raises(errors.NotFoundError):
        databases.placement(region, "nothing")


@pytest.fixture
def buckets(aws):
    for name, place in (("here", "us-west-2"), ("there", "us-east-1")):
        s3 = aws("s3", place)
        where = {"CreateBucketConfiguration": {"LocationConstraint": place}}
        s3.create_bucket(Bucket=name, **({} if place == "us-east-1" else where))
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})


def test_a_rule_is_turned_round_whole_and_taken_away(region, aws, buckets):
    assert replication.rules(region, "here") == ()
    aws("s3").put_bucket_replication(
        Bucket="here", ReplicationConfiguration={"Role": ROLE, "Rules": [RULE]}
    )
    (rule,) = replication.rules(region, "here")
    assert (rule.destination, rule.role, rule.enabled) == ("there", ROLE, True)

    replication.put(EAST, "there", (replication.turned(rule, "here", "arn:key"),))
    replication.put(region, "here", ())

    (turned,) = replication.rules(EAST, "there")
    assert (turned.destination, turned.role) == ("here", ROLE)
    kept = {name: turned.document[name] for name in ("ID", "Priority", "Filter")}
    assert kept == {name: RULE[name] for name in kept}
    assert replication.rules(region, "here") == ()
    assert rule.document["Destination"]["Bucket"] == "arn:aws:s3:::there"


def test_an_object_is_copied_between_regions_with_what_it_carries(region, aws, buckets):
    aws("s3").put_object(
        Bucket="here", Key="a/b c+é%", Body=b"x", Metadata={"who": "ada"}, Tagging="kind=report"
    )
    objects.copy(EAST, "here", "there", "a/b c+é%")
    s3 = aws("s3", "us-east-1")
    found = s3.get_object(Bucket="there", Key="a/b c+é%")
    assert (found["Body"].read(), found["Metadata"]) == (b"x", {"who": "ada"})
    assert s3.get_object_tagging(Bucket="there", Key="a/b c+é%")["TagSet"] == [
        {"Key": "kind", "Value": "report"}
    ]
    assert objects.version(EAST, "there", "a/b c+é%") == found["VersionId"]


def test_a_balancer_that_refused_forwards_again_rule_by_rule(region, aws, listener):  # noqa: F811
    arn, group = listener
    balancers.refuse(region, arn)
    assert balancers.is_refusing(region, arn)
    balancers.forward(region, arn, {"/api/*": group, "/auth/*": group, "/*": group})
    assert not balancers.is_refusing(region, arn)
    rules = aws("elbv2").describe_rules(ListenerArn=arn)["Rules"]
    assert [rule["Actions"][0]["TargetGroupArn"] for rule in rules] == [group] * 3


def test_without_a_service_for_all_paths_what_no_rule_names_is_not_found(
    region,
    aws,
    listener,  # noqa: F811
):
    arn, group = listener
    balancers.refuse(region, arn)
    balancers.forward(region, arn, {"/api/*": group, "/auth/*": group})
    (default,) = aws("elbv2").describe_listeners(ListenerArns=[arn])["Listeners"][0][
        "DefaultActions"
    ]
    assert default["FixedResponseConfig"]["StatusCode"] == "404"


def test_an_alarm_alarms_or_does_not_or_is_missing(region, aws):
    cloudwatch = aws("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="claim", ComparisonOperator="GreaterThanOrEqualToThreshold", Threshold=1,
        EvaluationPeriods=1, Period=60, Statistic="Maximum", Namespace="Standby",
        MetricName="TrafficClaim",
    )  # fmt: skip
    for state, alarms in (("OK", False), ("ALARM", True), ("INSUFFICIENT_DATA", False)):
        cloudwatch.set_alarm_state(AlarmName="claim", StateValue=state, StateReason="a test")
        assert metrics.is_alarming(region, "claim") is alarms
    with pytest.raises(errors.NotFoundError, match="no other"):
        metrics.is_alarming(region, "other")
