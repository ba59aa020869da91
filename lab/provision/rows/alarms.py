"""Alarms, topics and subscriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.provision.rows import tags
from lab.provision.rows.row import Change, Naming, Row, pascal_all, props, update

if TYPE_CHECKING:
    from lab.provision.values import Properties

_ALARM = (
    "actionsEnabled alarmActions alarmDescription comparisonOperator datapointsToAlarm "
    "evaluationPeriods extendedStatistic insufficientDataActions metricName namespace period "
    "statistic threshold treatMissingData unit"
)


def _put_alarm(change: Change) -> str:
    change.aws.put_metric_alarm(
        AlarmName=change.new["name"],
        **change.pick(*_ALARM.split(), OKActions="okActions"),
        **_dimensions(change.new),
        **_queries(change),
        **tags.given(change),
    )
    return change.new["name"]


def _dimensions(fields: Properties) -> Properties:
    if "dimensions" not in fields:
        return {}
    items = sorted(fields["dimensions"].items())
    return {"Dimensions": [{"Name": name, "Value": value} for name, value in items]}


def _queries(change: Change) -> Properties:
    if "metricQueries" not in change.new:
        return {}
    return {"Metrics": [_query(query) for query in change.new["metricQueries"]]}


def _query(query: Properties) -> Properties:
    made = pascal_all({k: v for k, v in query.items() if k != "metric"})
    if metric := query.get("metric"):
        named = {"Namespace": metric.get("namespace", ""), "MetricName": metric["metricName"]}
        made["MetricStat"] = {
            "Metric": {**named, **_dimensions(metric)},
            "Period": metric["period"],
            "Stat": metric["stat"],
        }
    return made


def _alarm(change: Change) -> Any:
    found = change.aws.describe_alarms(AlarmNames=[change.new["name"]])["MetricAlarms"]
    return next(iter(found), None)


def _read_alarm(change: Change) -> Properties | None:
    found = _alarm(change)
    return found and {
        "arn": found["AlarmArn"],
        "evaluateLowSampleCountPercentiles": "evaluate",
    }


METRIC_ALARM = Row(
    type="aws:cloudwatch/metricAlarm:MetricAlarm",
    service="cloudwatch",
    source="internal/service/cloudwatch/metric_alarm.go",
    replace=props("name"),
    updates=(
        update(f"{_ALARM} dimensions metricQueries okActions", _put_alarm),
        tags.tagging(lambda c: {"ResourceARN": c.outputs["arn"]}),
    ),
    create=_put_alarm,
    read=_read_alarm,
    delete=lambda c: c.aws.delete_alarms(AlarmNames=[c.id]),
    find=lambda c: _put_alarm(c) if _alarm(c) else None,
    naming=Naming(property="name"),
)


# Topic

_ATTRIBUTES = {
    "displayName": "DisplayName",
    "policy": "Policy",
    "deliveryPolicy": "DeliveryPolicy",
    "kmsMasterKeyId": "KmsMasterKeyId",
}


def _set_attributes(change: Change) -> None:
    for name, attribute in _ATTRIBUTES.items():
        if name in change.changed:
            change.aws.set_topic_attributes(
                TopicArn=change.id,
                AttributeName=attribute,
                AttributeValue=change.new.get(name, ""),
            )


def _read_topic(change: Change) -> Properties | None:
    found = change.aws.get_topic_attributes(TopicArn=change.id)["Attributes"]
    return {
        "arn": change.id,
        "owner": found["Owner"],
        "policy": found.get("Policy", ""),
        "beginningArchiveTime": "",
    }


def _create_topic(change: Change) -> str:
    given = {a: change.new[n] for n, a in _ATTRIBUTES.items() if n in change.new}
    return change.aws.create_topic(Name=change.new["name"], Attributes=given, **tags.given(change))[
        "TopicArn"
    ]


TOPIC = Row(
    type="aws:sns/topic:Topic",
    service="sns",
    source="internal/service/sns/topic.go",
    replace=props("fifoTopic name"),
    updates=(
        update(" ".join(_ATTRIBUTES), _set_attributes),
        tags.tagging(lambda c: {"ResourceArn": c.id}),
    ),
    create=_create_topic,
    read=_read_topic,
    delete=lambda c: c.aws.delete_topic(TopicArn=c.id),
    # Creating a topic of the same name and attributes returns it.
    find=_create_topic,
    naming=Naming(property="name", limit=256),
    json=props("deliveryPolicy policy"),
)


# Subscription


def _subscribe(change: Change) -> str:
    return change.aws.subscribe(
        TopicArn=change.new["topic"],
        Protocol=change.new["protocol"],
        Endpoint=change.new["endpoint"],
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]


def _read_subscription(change: Change) -> Properties | None:
    return {
        "arn": change.id,
        "ownerId": change.id.split(":")[4],
        "confirmationWasAuthenticated": False,
        "pendingConfirmation": False,
        "filterPolicyScope": "MessageAttributes",
    }


TOPIC_SUBSCRIPTION = Row(
    type="aws:sns/topicSubscription:TopicSubscription",
    service="sns",
    source="internal/service/sns/topic_subscription.go",
    replace=props("endpoint protocol topic"),
    local=props("confirmationTimeoutInMinutes endpointAutoConfirms"),
    create=_subscribe,
    read=_read_subscription,
    delete=lambda c: c.aws.unsubscribe(SubscriptionArn=c.id),
    # Subscribing the same endpoint again returns the subscription.
    find=_subscribe,
)

ROWS = (METRIC_ALARM, TOPIC, TOPIC_SUBSCRIPTION)
