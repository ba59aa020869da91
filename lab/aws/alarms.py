"""Alarms that evaluate and act, as CloudWatch does once a period has ended."""

# moto and the documents of AWS are untyped.
# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from moto.cloudwatch import models
from moto.cloudwatch.models import cloudwatch_backends
from moto.sns.models import sns_backends

from lab.aws.cloudwatch import name_of_alarm
from lab.aws.context import ACCOUNT

if TYPE_CHECKING:
    from lab.aws.context import Context
    from lab.aws.metrics import Metrics, Name

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
_SHORTEST_PERIOD = 0.1
"""Wall seconds: with waits at zero a period is still time in which a metric is published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What an alarm asks of a stream; a health check keeps the one of the time it was made."""

    name: Name
    statistic: str
    operator: str
    threshold: float
    period: float
    periods: int
    enough: int
    missing: str

    @classmethod
    def of(cls, alarm: Any) -> Condition:
        """Return the condition of an alarm on a single metric."""
        return cls(
            name=name_of_alarm(alarm),
            statistic=alarm.statistic,
            operator=alarm.comparison_operator,
            threshold=float(alarm.threshold),
            period=float(alarm.period),
            periods=int(alarm.evaluation_periods),
            enough=int(alarm.datapoints_to_alarm or alarm.evaluation_periods),
            missing=alarm.treat_missing_data or "missing",
        )

    def breaches(self, value: float) -> bool:
        """Return whether a value is on the wrong side of the threshold."""
        match self.operator:
            case "GreaterThanOrEqualToThreshold":
                return value >= self.threshold
            case "GreaterThanThreshold":
                return value > self.threshold
            case "LessThanThreshold":
                return value < self.threshold
            case _:
                return value <= self.threshold


def evaluate(condition: Condition, metrics: Metrics, period: float, now: float) -> State | None:
    """Return what the last whole periods say; None when they say to leave things as they are."""
    period = max(period, _SHORTEST_PERIOD)
    end = now // period * period
    values: list[float | None] = []
    for index in range(condition.periods):
        points = metrics.window(condition.name, end - (index + 1) * period, end - index * period)
        values.append(points.statistic(condition.statistic) if points else None)
    present = [value for value in values if value is not None]
    if not present:
        untold: dict[str, State | None] = {
            "ignore": None,
            "breaching": "ALARM",
            "notBreaching": "OK",
        }
        return untold.get(condition.missing, "INSUFFICIENT_DATA")
    breaching = sum(condition.breaches(value) for value in present)
    if condition.missing == "breaching":
        breaching += len(values) - len(present)
    return "ALARM" if breaching >= condition.enough else "OK"


class Alarms:
    """Evaluates every alarm of the living regions and publishes to the topics they name."""

    def __init__(self, context: Context, metrics: Metrics) -> None:
        self._context = context
        self._metrics = metrics
        alarm: Any = models.Alarm
        update = alarm.update_state

        def update_and_act(self: Any, reason: str, reason_data: str, state_value: str) -> None:
            before = self.state_value
            update(self, reason, reason_data, state_value)
            if before != state_value:
                _act(self, before)

        alarm.update_state = update_and_act

    def evaluate(self) -> None:
        """Evaluate every alarm once."""
        now = time.time()
        for region in self._context.regions:
            if not self._context.is_alive(region):
                continue
            for alarm in list(cloudwatch_backends[ACCOUNT][region].alarms.values()):
                if alarm.rule or alarm.metric_data_queries or alarm.extended_statistic:
                    continue
                condition = Condition.of(alarm)
                period = self._context.pace.compress(condition.period)
                state = evaluate(condition, self._metrics, period, now)
                if state and state != alarm.state_value:
                    reason = f"Threshold Crossed: {condition.statistic} of {alarm.metric_name}"
                    with self._context.lock:
                        alarm.update_state(reason, "{}", state)


def _act(alarm: Any, before: str) -> None:
    if not alarm.actions_enabled:
        return
    actions = {
        "ALARM": alarm.alarm_actions,
        "OK": alarm.ok_actions,
        "INSUFFICIENT_DATA": alarm.insufficient_data_actions,
    }[alarm.state_value]
    for action in actions or []:
        if not action.startswith("arn:aws:sns:"):
            continue
        topic = sns_backends[ACCOUNT][action.split(":")[3]].topics.get(action)
        if topic:
            subject = f'{alarm.state_value}: "{alarm.name}" in {alarm.region_name}'
            topic.publish(f"{before} -> {alarm.state_value}: {alarm.state_reason}", subject)
