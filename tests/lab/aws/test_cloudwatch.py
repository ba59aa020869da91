"""Metric streams, and alarms that evaluate and tell people."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.lab.aws.asking import WEST, eventually, refusal, unique


def publish(aws, metric, value, **more):
    datum = {"MetricName": metric, "Value": value, **more}
    aws.client("cloudwatch").put_metric_data(Namespace="Test", MetricData=[datum])


def topic(aws):
    arn = aws.client("sns").create_topic(Name=unique("topic"))["TopicArn"]
    aws.client("sns").subscribe(TopicArn=arn, Protocol="email", Endpoint="ops@rlg.example")
    return arn


def alarm(aws, metric, **more):
    aws.client("cloudwatch").put_metric_alarm(
        **{
            "AlarmName": metric,
            "Namespace": "Test",
            "MetricName": metric,
            "Statistic": "Maximum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 1,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "TreatMissingData": "ignore",
            **more,
        }
    )


def state(aws, name):
    return aws.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"][0][
        "StateValue"
    ]


def test_a_new_alarm_has_no_data(aws):
    name = unique("metric")
    alarm(aws, name)
    assert state(aws, name) == "INSUFFICIENT_DATA"


def test_an_alarm_follows_its_metric(aws):
    name = unique("metric")
    alarm(aws, name)
    publish(aws, name, 3)
    eventually(lambda: state(aws, name) == "ALARM", 3)
    publish(aws, name, 0)
    eventually(lambda: state(aws, name) == "OK", 3)


@pytest.mark.parametrize(
    ("treatment", "settles"),
    [
        ("breaching", "ALARM"),
        ("notBreaching", "OK"),
        ("missing", "INSUFFICIENT_DATA"),
        ("ignore", "ALARM"),
    ],
)
def test_missing_data_is_treated_as_the_alarm_says(lab, treatment, settles):
    name = unique("metric")
    alarm(lab, name, TreatMissingData=treatment)
    publish(lab, name, 3)
    eventually(lambda: state(lab, name) == "ALARM", 3)
    time.sleep(0.8)
    assert state(lab, name) == settles


def test_an_alarm_tells_its_topic_and_the_outbox_keeps_what_was_sent(lab):
    name, arn = unique("metric"), topic(lab)
    alarm(lab, name, AlarmActions=[arn])
    publish(lab, name, 3)

    def told():
        return [one for one in lab.control("GET", "outbox") if one["topic"] == arn]

    message = eventually(told, 3)[0]
    assert name in message["subject"]
    assert message["region"] == WEST
    assert message["to"] == [{"protocol": "email", "endpoint": "ops@rlg.example"}]


def test_setting_a_state_by_hand_acts_too(lab):
    name, arn = unique("metric"), topic(lab)
    alarm(lab, name, AlarmActions=[arn])
    lab.client("cloudwatch").set_alarm_state(
        AlarmName=name, StateValue="ALARM", StateReason="by hand"
    )
    assert any(one["topic"] == arn for one in lab.control("GET", "outbox"))


def test_a_value_is_read_back_within_the_second_that_it_was_put(aws):
    name = unique("metric")
    time.sleep((1.1 - time.time() % 1) % 1)  # well inside a second
    publish(aws, name, 7)
    now = datetime.now(UTC)
    found = aws.client("cloudwatch").get_metric_statistics(
        Namespace="Test",
        MetricName=name,
        StartTime=now - timedelta(minutes=2),
        EndTime=now,
        Period=60,
        Statistics=["Maximum"],
    )["Datapoints"]
    assert [one["Maximum"] for one in found] == [7]


def test_periods_begin_at_whole_minutes(aws):
    name = unique("metric")
    publish(aws, name, 1)
    now = datetime.now(UTC)
    start = (now - timedelta(minutes=3)).replace(second=30)
    found = aws.client("cloudwatch").get_metric_data(
        MetricDataQueries=[
            {
                "Id": "one",
                "MetricStat": {
                    "Metric": {"Namespace": "Test", "MetricName": name},
                    "Period": 60,
                    "Stat": "Maximum",
                },
            }
        ],
        StartTime=start,
        EndTime=now + timedelta(seconds=1),
    )["MetricDataResults"][0]
    assert found["Values"] == [1]
    assert [at.second for at in found["Timestamps"]] == [0]


@pytest.mark.parametrize(
    ("unfit", "code"),
    [
        ({"Period": 61}, "InvalidParameterValue"),
        ({"DatapointsToAlarm": 2}, "ValidationError"),
        ({"AlarmActions": ["not-an-arn"]}, "ValidationError"),
    ],
)
def test_an_alarm_that_cannot_be_is_refused(aws, unfit, code):
    assert refusal(alarm, aws, unique("metric"), **unfit) == code


def test_the_namespaces_of_aws_are_its_own(aws):
    act = aws.client("cloudwatch").put_metric_data
    datum = {"MetricName": "ReplicaLag", "Value": 0}
    code = refusal(act, Namespace="AWS/RDS", MetricData=[datum])
    assert code == "InvalidParameterValue"
