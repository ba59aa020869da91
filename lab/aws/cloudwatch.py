"""CloudWatch's calls on the lab's metric streams, and the alarms that AWS would refuse."""

# moto and the documents of AWS are untyped.
# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from moto.cloudwatch import models

from lab.aws.errors import RefusedError
from lab.aws.metrics import MINUTE, STATISTICS, Aggregate, Metrics, Name

if TYPE_CHECKING:
    from moto.cloudwatch.models import CloudWatchBackend

_PERIODS = frozenset({1, 5, 10, 20, 30})
_TREATMENTS = frozenset({None, "breaching", "notBreaching", "ignore", "missing"})


def install(metrics: Metrics) -> None:
    """Put the lab's metric streams in place of moto's."""
    backend: Any = models.CloudWatchBackend
    put_alarm = backend.put_metric_alarm

    def put(self: CloudWatchBackend, namespace: str, metric_data: list[dict[str, Any]]) -> None:
        if namespace.startswith("AWS/"):
            msg = f"The value {namespace} for parameter Namespace is invalid: AWS/ is reserved."
            raise RefusedError("InvalidParameterValue", msg)
        for number, datum in enumerate(metric_data, 1):
            self._validate_parameters_put_metric_data(datum, number)
        for datum in metric_data:
            name = _name(self.region_name, namespace, datum["MetricName"], datum)
            at = _unix(datum.get("Timestamp") or datetime.now(UTC))
            metrics.put(name, at, _points(datum))

    def statistics(
        self: CloudWatchBackend,
        namespace: str,
        metric_name: str,
        *rest: Any,
        dimensions: list[dict[str, str]],
        **_: Any,
    ) -> list[dict[str, Any]]:
        start_time, end_time, period, stats = rest
        _check_period(period)
        name = _name(self.region_name, namespace, metric_name, {"Dimensions": dimensions})
        return [
            {
                "Timestamp": datetime.fromtimestamp(at, UTC),
                "Unit": "None",
                **{stat: points.statistic(stat) for stat in stats},
            }
            for at, points in metrics.periods(name, _unix(start_time), _unix(end_time), period)
        ]

    def data(
        self: CloudWatchBackend,
        queries: list[dict[str, Any]],
        start_time: datetime,
        end_time: datetime,
        scan_by: str = "TimestampDescending",
    ) -> list[dict[str, Any]]:
        return [
            _answer(metrics, self.region_name, query, (start_time, end_time), scan_by)
            for query in queries
            if query.get("ReturnData", True)
        ]

    def names(
        self: CloudWatchBackend,
        next_token: str | None,  # noqa: ARG001 - moto's signature
        namespace: str | None,
        metric_name: str | None,
        dimensions: list[dict[str, str]],
    ) -> tuple[None, list[dict[str, Any]]]:
        wanted = {(one["Name"], one.get("Value")) for one in dimensions}
        found = [
            {
                "Namespace": name.namespace,
                "MetricName": name.metric,
                "Dimensions": [{"Name": k, "Value": v} for k, v in sorted(name.dimensions)],
            }
            for name in metrics.names(self.region_name)
            if namespace in {None, name.namespace}
            and metric_name in {None, name.metric}
            and all(_has(name, key, value) for key, value in wanted)
        ]
        return None, found

    def alarm(self: CloudWatchBackend, **wanted: Any) -> Any:
        _check_alarm(wanted)
        old = self.alarms.get(wanted["name"])
        made = put_alarm(self, **wanted)
        if old is None:
            made.state_value = "INSUFFICIENT_DATA"
        else:
            made.state_value = old.state_value
            made.state_reason = old.state_reason
        return made

    backend.put_metric_data = put
    backend.get_metric_statistics = statistics
    backend.get_metric_data = data
    backend.list_metrics = names
    backend.put_metric_alarm = alarm


def _has(name: Name, key: str, value: str | None) -> bool:
    return any(key == other and value in {None, found} for other, found in name.dimensions)


def _name(region: str, namespace: str, metric: str, datum: dict[str, Any]) -> Name:
    dimensions = datum.get("Dimensions") or []
    return Name(
        region=region,
        namespace=namespace,
        metric=metric,
        dimensions=frozenset((one["Name"], one["Value"]) for one in dimensions),
    )


def name_of_alarm(alarm: Any) -> Name:
    """Return the stream that an alarm watches."""
    return Name(
        region=alarm.region_name,
        namespace=alarm.namespace,
        metric=alarm.metric_name,
        dimensions=frozenset((one.name, one.value) for one in alarm.dimensions),
    )


def _unix(time: datetime) -> float:
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _points(datum: dict[str, Any]) -> Aggregate:
    if values := datum.get("Values"):
        counts = [float(count) for count in datum.get("Counts") or [1] * len(values)]
        numbers = [float(value) for value in values]
        total = sum(value * count for value, count in zip(numbers, counts, strict=True))
        return Aggregate(minimum=min(numbers), maximum=max(numbers), total=total, count=sum(counts))
    if given := datum.get("StatisticValues"):
        return Aggregate(
            minimum=float(given["Minimum"]),
            maximum=float(given["Maximum"]),
            total=float(given["Sum"]),
            count=float(given["SampleCount"]),
        )
    value = float(datum.get("Value", 0))
    return Aggregate(minimum=value, maximum=value, total=value, count=1)


def _check_period(period: int) -> None:
    if period % MINUTE and period not in _PERIODS:
        msg = f"The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60; it is {period}"
        raise RefusedError("InvalidParameterValue", msg)


def _answer(
    metrics: Metrics,
    region: str,
    query: dict[str, Any],
    between: tuple[datetime, datetime],
    scan_by: str,
) -> dict[str, Any]:
    if "MetricStat" not in query:
        msg = "metric math and Metrics Insights"
        raise NotImplementedError(msg)
    stat = query["MetricStat"]
    metric, period = stat["Metric"], int(stat["Period"])
    _check_period(period)
    name = _name(region, metric["Namespace"], metric["MetricName"], metric)
    found = metrics.periods(name, _unix(between[0]), _unix(between[1]), period)
    if scan_by == "TimestampDescending":
        found.reverse()
    return {
        "id": query["Id"],
        "label": query.get("Label") or metric["MetricName"],
        "values": [points.statistic(stat["Stat"]) for _, points in found],
        "timestamps": [datetime.fromtimestamp(at, UTC) + timedelta(0) for at, _ in found],
        "status_code": "Complete",
    }


def _check_alarm(wanted: dict[str, Any]) -> None:
    if wanted.get("rule") or wanted.get("metric_data_queries"):
        return
    period = int(wanted.get("period") or 0)
    _check_period(period)
    if not wanted.get("statistic") and not wanted.get("extended_statistic"):
        msg = "Statistic or ExtendedStatistic must be given"
        raise RefusedError("ValidationError", msg)
    if wanted.get("statistic") and wanted["statistic"] not in STATISTICS:
        msg = f"Statistic {wanted['statistic']} is none of {sorted(STATISTICS)}"
        raise RefusedError("ValidationError", msg)
    if wanted.get("treat_missing_data") not in _TREATMENTS:
        msg = f"TreatMissingData {wanted['treat_missing_data']} is not known"
        raise RefusedError("ValidationError", msg)
    periods = int(wanted.get("evaluation_periods") or 0)
    enough = int(wanted.get("datapoints_to_alarm") or periods)
    if not 1 <= enough <= periods:
        msg = f"DatapointsToAlarm {enough} must be between 1 and EvaluationPeriods {periods}"
        raise RefusedError("ValidationError", msg)
    _check_actions(wanted)


_ACTIONS_LIMIT = 5


def _check_actions(wanted: dict[str, Any]) -> None:
    for kind in ("alarm_actions", "ok_actions", "insufficient_data_actions"):
        actions = wanted.get(kind) or []
        if len(actions) > _ACTIONS_LIMIT:
            msg = f"{len(actions)} actions in {kind}; at most {_ACTIONS_LIMIT} are allowed"
            raise RefusedError("ValidationError", msg)
        for action in actions:
            if not str(action).startswith("arn:aws:"):
                msg = f"Invalid arn syntax: {action}"
                raise RefusedError("ValidationError", msg)
