"""CloudWatch metrics: publish values, read the latest one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from recovery.cloud.call import uses
from recovery.cloud.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_cloudwatch.type_defs import DimensionTypeDef

    from recovery.cloud.client import Region

PERIOD = timedelta(seconds=60)
"""Standard resolution; Route 53 supports no other (its developer guide, health checks)."""
LOOK_BACK = timedelta(hours=3)
"""Values of 60 s periods are kept for 15 days, so three hours are always there."""


@uses("cloudwatch:PutMetricData")
def publish(
    region: Region,
    namespace: str,
    values: Sequence[tuple[str, Mapping[str, str], float]],
) -> None:
    """Publish (metric, dimensions, value) triples in one call, at this moment."""
    region.client("cloudwatch").put_metric_data(
        Namespace=namespace,
        MetricData=[
            {"MetricName": metric, "Dimensions": _dimensions(dimensions), "Value": value}
            for metric, dimensions, value in values
        ],
    )


@uses("cloudwatch:GetMetricStatistics")
def latest(
    region: Region, namespace: str, metric: str, dimensions: Mapping[str, str]
) -> tuple[datetime, float] | None:
    """Return the maximum of the latest 60 s period that has a value, and when it began.

    None when nothing was published within LOOK_BACK.
    """
    now = datetime.now(UTC)
    answer = region.client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=metric,
        Dimensions=_dimensions(dimensions),
        StartTime=now - LOOK_BACK,
        EndTime=now + PERIOD,
        Period=int(PERIOD.total_seconds()),
        Statistics=["Maximum"],
    )
    points = [
        (point["Timestamp"], point["Maximum"])
        for point in answer["Datapoints"]
        if "Timestamp" in point and "Maximum" in point
    ]
    return max(points, default=None)


@uses("cloudwatch:DescribeAlarms")
def is_alarming(region: Region, alarm: str) -> bool:
    """Say whether CloudWatch sees the alarm's condition met; NotFoundError when there is none."""
    found = region.client("cloudwatch").describe_alarms(
        AlarmNames=[alarm], AlarmTypes=["MetricAlarm"]
    )["MetricAlarms"]
    if not found:
        raise NotFoundError("cloudwatch:DescribeAlarms", region.name, "NotFound", f"no {alarm}")
    return found[0].get("StateValue") == "ALARM"


def _dimensions(dimensions: Mapping[str, str]) -> list[DimensionTypeDef]:
    return [{"Name": name, "Value": value} for name, value in sorted(dimensions.items())]
