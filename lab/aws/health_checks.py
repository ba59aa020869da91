"""Route 53's health checks, evaluated.

A CLOUDWATCH_METRIC health check reads the metric's stream by the condition that its alarm had
when the check was made or updated, never the alarm's state (Amazon Route 53 Developer Guide,
Monitoring CloudWatch alarms).
"""

# moto and the documents of AWS are untyped.
# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.route53 import models, responses

from lab.aws.alarms import Condition, evaluate
from lab.aws.context import ACCOUNT
from lab.aws.errors import RefusedError
from lab.aws.patch import replace, wrap

if TYPE_CHECKING:
    from moto.route53.models import Route53Backend

    from lab.aws.context import Context
    from lab.aws.metrics import Metrics


class HealthChecks:
    """The health of every health check, by id."""

    def __init__(self, context: Context, metrics: Metrics) -> None:
        self._context = context
        self._metrics = metrics
        self._conditions: dict[str, Condition] = {}
        self._healthy: dict[str, bool] = {}

    def watch(self, check: Any) -> None:
        """Take the condition of the check's alarm as it is now; other types watch no alarm."""
        identifier = check.lab_alarm
        if check.type_ != "CLOUDWATCH_METRIC":
            return
        if not identifier:
            msg = "AlarmIdentifier is required for a health check of type CLOUDWATCH_METRIC"
            raise RefusedError("InvalidInput", msg)
        backend = cloudwatch_backends[ACCOUNT][identifier["Region"]]
        alarm = backend.alarms.get(identifier["Name"])
        if alarm is None:
            msg = f"The specified alarm {identifier['Name']} does not exist in region "
            raise RefusedError("InvalidInput", msg + identifier["Region"])
        if alarm.extended_statistic or alarm.metric_data_queries or int(alarm.period) < _STANDARD:
            msg = f"Alarm {alarm.name}: only alarms on one metric of standard resolution and "
            raise RefusedError("InvalidInput", msg + "without extended statistics are allowed")
        self._conditions[check.id] = Condition.of(alarm)

    def forget(self, check: str) -> None:
        """Drop a deleted check."""
        self._conditions.pop(check, None)
        self._healthy.pop(check, None)

    def evaluate(self) -> None:
        """Evaluate every check once, and tell the world when one turned."""
        before = dict(self._healthy)
        backend: Any = models.route53_backends[ACCOUNT]["aws"]
        for check in list(backend.health_checks.values()):
            if check.id in self._conditions:
                self._healthy[check.id] = self._measure(check)
        if self._healthy != before:
            self._context.changed.set()

    def _measure(self, check: Any) -> bool:
        condition = self._conditions[check.id]
        state = None
        if self._context.is_alive(condition.name.region):
            period = self._context.pace.compress(condition.period)
            state = evaluate(condition, self._metrics, period, time.time())
        if state in {None, "INSUFFICIENT_DATA"}:
            last = self._healthy.get(check.id, True)
            return {"Healthy": True, "Unhealthy": False}.get(check.lab_insufficient or "", last)
        return (state == "OK") != bool(check.inverted)

    def is_healthy(self, check: Any) -> bool:
        """Return whether Route 53 takes a check for healthy; a disabled one always is."""
        if str(check.disabled).lower() == "true":
            return True
        if check.type_ == "CALCULATED":
            backend: Any = models.route53_backends[ACCOUNT]["aws"]
            found = [backend.health_checks.get(name) for name in check.children or []]
            healthy = sum(self.is_healthy(child) for child in found if child)
            return healthy >= int(check.health_threshold or 0)
        return self._healthy.get(check.id, True)

    def states(self) -> dict[str, dict[str, Any]]:
        """Return every check's type and health."""
        backend: Any = models.route53_backends[ACCOUNT]["aws"]
        return {
            check.id: {"type": check.type_, "healthy": self.is_healthy(check)}
            for check in backend.health_checks.values()
        }


_STANDARD = 60


def install(checks: HealthChecks) -> None:
    """Put the lab's health checks in place of moto's."""
    check_class: Any = models.HealthCheck
    plain = check_class.health_check_config.fget

    def config(check: Any) -> dict[str, Any]:
        """Return the whole configuration; moto loses what a metric's check is made of."""
        found = plain(check)
        if check.lab_alarm:
            for key in ("IPAddress", "Port", "RequestInterval", "FailureThreshold"):
                found.pop(key, None)
            found["AlarmIdentifier"] = check.lab_alarm
            found["InsufficientDataHealthStatus"] = check.lab_insufficient
        return found

    check_class.health_check_config = property(config)
    check_class.lab_alarm = None
    check_class.lab_insufficient = None
    operations = _Operations(checks)
    wrap(responses.Route53, "create_health_check", operations.create)
    wrap(responses.Route53, "update_health_check", operations.update)
    wrap(models.Route53Backend, "delete_health_check", operations.delete)
    replace(responses.Route53, "get_health_check_status", operations.status)


class _Operations:
    def __init__(self, checks: HealthChecks) -> None:
        self._checks = checks

    def create(self, original: Any, response: Any) -> Any:
        wanted = response._get_param("HealthCheckConfig")
        result = original(response)
        check = result.result["HealthCheck"]
        check.lab_alarm = wanted.get("AlarmIdentifier")
        check.lab_insufficient = wanted.get("InsufficientDataHealthStatus")
        try:
            self._checks.watch(check)
        except RefusedError:
            response.backend.health_checks.pop(check.id)
            raise
        return result

    def update(self, original: Any, response: Any) -> Any:
        result = original(response)
        check = result.result["HealthCheck"]
        check.lab_alarm = response._get_param("AlarmIdentifier") or check.lab_alarm
        wanted = response._get_param("InsufficientDataHealthStatus")
        check.lab_insufficient = wanted or check.lab_insufficient
        check.health_check_version += 1
        self._checks.watch(check)
        return result

    def delete(self, original: Any, backend: Route53Backend, name: str) -> None:
        for zone in backend.zones.values():
            if any(record.health_check_id == name for record in zone.rrsets):
                msg = f"Health check {name} is in use by a record of {zone.name}"
                raise RefusedError("HealthCheckInUse", msg)
        original(backend, name)
        self._checks.forget(name)

    def status(self, response: Any) -> ActionResult:
        check = response.backend.get_health_check(response._get_param("HealthCheckId"))
        word = "Success" if self._checks.is_healthy(check) else "Failure"
        report = {"Status": f"{word}: evaluated by the lab", "CheckedTime": utcnow()}
        observation = {"Region": "us-east-1", "IPAddress": "127.0.53.1", "StatusReport": report}
        return ActionResult({"HealthCheckObservations": [observation]})
