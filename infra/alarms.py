"""Who is told, and of what: the topic of a site and the alarms on its databases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pulumi
import pulumi_aws as aws

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.settings import Role

_GIB = 1024**3
_PERIOD_SECONDS = 60
_SLOT_SHARE = 0.1
_WAL_SHARE = 0.2
_FREE_SHARE = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsArgs:
    """The topic's name, its key, and the people who read it."""

    topic: str
    key_arn: pulumi.Input[str]
    contacts: Sequence[str]


class Alerts(pulumi.ComponentResource):
    """The topic that tells people; each confirms the subscription once by email."""

    topic_arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: AlertsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("standby:infra:Alerts", name, None, opts)
        own = pulumi.ResourceOptions(parent=self)
        topic = aws.sns.Topic(name, name=args.topic, kms_master_key_id=args.key_arn, opts=own)
        self.topic_arn = topic.arn
        for contact in args.contacts:
            aws.sns.TopicSubscription(
                f"{name}-{contact}", topic=topic.arn, protocol="email", endpoint=contact, opts=own
            )
        self.register_outputs({"topic_arn": self.topic_arn})


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseAlarmsArgs:
    """A database, what it may hold and how late it may be."""

    database: str
    engine: str
    role: Role
    storage_gib: int
    rpo_seconds: int
    topic_arn: pulumi.Input[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limit:
    metric: str
    statistic: Literal["Maximum", "Minimum"]
    comparison: Literal["GreaterThanThreshold", "LessThanThreshold"]
    threshold: float
    silent: Literal["breaching", "notBreaching"]
    """What it means that the metric says nothing."""
    meaning: str


class DatabaseAlarms(pulumi.ComponentResource):
    """The same alarms in both roles, on the site's own database, so that a role change adds none.

    Only a replica has a lag: its silence is an alarm there, and means nothing on the writer. Only
    a writer has a slot that can fall behind.
    """

    def __init__(
        self, name: str, args: DatabaseAlarmsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("standby:infra:DatabaseAlarms", name, None, opts)
        for alarm, limit in _limits(args).items():
            aws.cloudwatch.MetricAlarm(
                f"{name}-{alarm}",
                name=f"{args.database}-{alarm}",
                alarm_description=f"{args.database}: {limit.meaning}",
                namespace="AWS/RDS",
                metric_name=limit.metric,
                dimensions={"DBInstanceIdentifier": args.database},
                statistic=limit.statistic,
                comparison_operator=limit.comparison,
                threshold=limit.threshold,
                period=_PERIOD_SECONDS,
                evaluation_periods=5,
                treat_missing_data=limit.silent,
                alarm_actions=[args.topic_arn],
                ok_actions=[args.topic_arn],
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})


def _limits(args: DatabaseAlarmsArgs) -> dict[str, _Limit]:
    storage = args.storage_gib * _GIB
    limits = {
        "replica-lag": _Limit(
            metric="ReplicaLag",
            statistic="Maximum",
            comparison="GreaterThanThreshold",
            threshold=args.rpo_seconds / 2,
            silent="breaching" if args.role == "standby" else "notBreaching",
            meaning="the replica is later than half of the RPO, or says nothing",
        ),
        # ReplicaLag is -1 while replication is not active (Amazon RDS User Guide, monitoring
        # read replication): without this alarm a broken replica would look like a prompt one.
        "replication-stopped": _Limit(
            metric="ReplicaLag",
            statistic="Minimum",
            comparison="LessThanThreshold",
            threshold=0,
            silent="notBreaching",
            meaning="the replica no longer replicates",
        ),
        "free-storage": _Limit(
            metric="FreeStorageSpace",
            statistic="Minimum",
            comparison="LessThanThreshold",
            threshold=_FREE_SHARE * storage,
            silent="breaching",
            meaning=f"less than {_FREE_SHARE:.0%} of the storage is free",
        ),
    }
    if args.engine != "postgres":
        return limits | {"log-growth": _growth("BinLogDiskUsage", _WAL_SHARE * storage)}
    return limits | {
        "slot-growth": _growth("OldestReplicationSlotLag", _SLOT_SHARE * storage),
        "log-growth": _growth("TransactionLogsDiskUsage", _WAL_SHARE * storage),
    }


def _growth(metric: str, threshold: float) -> _Limit:
    return _Limit(
        metric=metric,
        statistic="Maximum",
        comparison="GreaterThanThreshold",
        threshold=threshold,
        silent="notBreaching",
        meaning="the log that the replica has not taken yet grows; it will fill the disk",
    )
