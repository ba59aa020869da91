"""Route 53 as AWS has it: records that cannot contradict each other, health checks that evaluate.

A CLOUDWATCH_METRIC health check reads the metric's stream by the condition that its alarm had
when the check was made or updated, never the alarm's state (Amazon Route 53 Developer Guide,
Monitoring CloudWatch alarms).
"""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
from __future__ import annotations

import copy
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.route53 import models, responses

from lab.aws.alarms import Condition, evaluate
from lab.aws.context import ACCOUNT
from lab.aws.errors import RefusedError

if TYPE_CHECKING:
    from moto.route53.models import FakeZone, Route53Backend

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
        """Take the condition of the check's alarm as it is now."""
        identifier = check.lab_alarm
        if not identifier:
            return
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
    """Put the lab's Route 53 in place of moto's."""
    _install_checks(checks)
    backend: Any = models.Route53Backend
    apply_changes = backend.change_resource_record_sets

    def change(self: Route53Backend, zoneid: str, change_list: list[dict[str, Any]]) -> None:
        zone = self.get_hosted_zone(zoneid)
        before = list(zone.rrsets), copy.copy(zone.rr_changes)
        try:
            _check_changes(zone, change_list)
            _apply(self, zone, zoneid, change_list, apply_changes)
            _check_records(zone, self)
        except BaseException:
            zone.rrsets, zone.rr_changes = before
            raise

    backend.change_resource_record_sets = change


def _apply(
    backend: Route53Backend, zone: FakeZone, zoneid: str, changes: list[Any], original: Any
) -> None:
    """Make the changes; a DELETE takes the one record with that name, type and identifier."""
    for change in changes:
        if change["Action"] != "DELETE":
            original(backend, zoneid, [change])
            continue
        wanted = _key(change["ResourceRecordSet"])
        zone.rrsets = [record for record in zone.rrsets if _key_of(record) != wanted]


def _key(record: dict[str, Any]) -> tuple[str, str, str | None]:
    return record["Name"].rstrip(".").lower(), record["Type"], record.get("SetIdentifier") or None


def _key_of(record: Any) -> tuple[str, str, str | None]:
    return record.name.rstrip(".").lower(), record.type, record.set_identifier or None


def _invalid(message: str) -> RefusedError:
    return RefusedError("InvalidChangeBatch", f"[{message}]")


def _check_changes(zone: FakeZone, changes: list[dict[str, Any]]) -> None:
    """Refuse to create what is there, and to delete what is not or is different."""
    present = {_key_of(record): record for record in zone.rrsets}
    for change in changes:
        wanted = change["ResourceRecordSet"]
        key = _key(wanted)
        text = f"name='{key[0]}.', type='{key[1]}'"
        text += f", set-identifier='{key[2]}'" if key[2] else ""
        if change["Action"] == "CREATE":
            if key in present:
                msg = f"Tried to create resource record set [{text}] but it already exists"
                raise _invalid(msg)
            present[key] = None
        elif change["Action"] == "DELETE":
            found = present.pop(key, None)
            if found is None:
                msg = f"Tried to delete resource record set [{text}] but it was not found"
                raise _invalid(msg)
            values = {one["Value"] for one in wanted.get("ResourceRecords") or []}
            if values != {str(value) for value in found.records or []}:
                msg = f"Tried to delete resource record set [{text}] but the values provided "
                raise _invalid(msg + "do not match the current values")
        else:
            present[key] = present.get(key)


def _check_records(zone: FakeZone, backend: Route53Backend) -> None:
    """Refuse record sets of one name and type that contradict each other."""
    groups: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for record in zone.rrsets:
        if record.health_check_id and record.health_check_id not in backend.health_checks:
            msg = f"The specified health check does not exist: {record.health_check_id}"
            raise _invalid(msg)
        name, kind, _ = _key_of(record)
        groups[name, str(kind)].append(record)
    for (name, kind), records in groups.items():
        policies = {_policy(record) for record in records}
        if len(policies) > 1:
            msg = f"RRSet with DNS name {name}., type {kind} cannot be created as other RRSets "
            raise _invalid(msg + "exist with the same name and type and another policy")
        if policies == {"failover"}:
            roles = [record.failover for record in records]
            if len(roles) != len(set(roles)):
                msg = f"RRSet with DNS name {name}., type {kind} cannot be created: more than one "
                raise _invalid(msg + f"{max(roles, key=roles.count)} failover record")
        if len(records) > 1 and policies == {"simple"}:
            msg = f"RRSet with DNS name {name}., type {kind} exists more than once"
            raise _invalid(msg)
    kinds: dict[str, set[str]] = defaultdict(set)
    for name, kind in groups:
        kinds[name].add(kind)
    for name, found in kinds.items():
        if "CNAME" in found and len(found) > 1:
            msg = f"RRSet of type CNAME with DNS name {name}. is not permitted as other RRSets "
            raise _invalid(msg + "exist with the same name")


def _policy(record: Any) -> str:
    if record.failover:
        return "failover"
    if record.weight is not None:
        return "weighted"
    if record.region:
        return "latency"
    if record.geo_location:
        return "geolocation"
    if record.multi_value_answer:
        return "multivalue"
    return "simple"


def _install_checks(checks: HealthChecks) -> None:
    response: Any = responses.Route53
    backend: Any = models.Route53Backend
    check_class: Any = models.HealthCheck
    create, update = response.create_health_check, response.update_health_check
    delete = backend.delete_health_check
    plain_config = check_class.health_check_config.fget

    def config(self: Any) -> dict[str, Any]:
        """Return the whole configuration; moto loses what a metric's check is made of."""
        found = plain_config(self)
        if alarm := getattr(self, "lab_alarm", None):
            for key in ("IPAddress", "Port", "RequestInterval", "FailureThreshold"):
                found.pop(key, None)
            found["AlarmIdentifier"] = alarm
            found["InsufficientDataHealthStatus"] = self.lab_insufficient
        return found

    def create_check(self: Any) -> Any:
        wanted = self._get_param("HealthCheckConfig")
        result = create(self)
        check = result.result["HealthCheck"]
        check.lab_alarm = wanted.get("AlarmIdentifier")
        check.lab_insufficient = wanted.get("InsufficientDataHealthStatus")
        try:
            if check.type_ == "CLOUDWATCH_METRIC" and not check.lab_alarm:
                msg = "AlarmIdentifier is required for a health check of type CLOUDWATCH_METRIC"
                raise RefusedError("InvalidInput", msg)
            checks.watch(check)
        except RefusedError:
            self.backend.health_checks.pop(check.id)
            raise
        return result

    def update_check(self: Any) -> Any:
        result = update(self)
        check = result.result["HealthCheck"]
        check.lab_alarm = self._get_param("AlarmIdentifier") or check.lab_alarm
        wanted = self._get_param("InsufficientDataHealthStatus")
        check.lab_insufficient = wanted or check.lab_insufficient
        check.health_check_version += 1
        checks.watch(check)
        return result

    def delete_check(self: Route53Backend, health_check_id: str) -> None:
        for zone in self.zones.values():
            if any(record.health_check_id == health_check_id for record in zone.rrsets):
                msg = f"Health check {health_check_id} is in use by a record of {zone.name}"
                raise RefusedError("HealthCheckInUse", msg)
        delete(self, health_check_id)
        checks.forget(health_check_id)

    def status(self: Any) -> Any:
        check = self.backend.get_health_check(self._get_param("HealthCheckId"))
        word = "Success" if checks.is_healthy(check) else "Failure"
        report = {"Status": f"{word}: evaluated by the lab", "CheckedTime": utcnow()}
        observation = {"Region": "us-east-1", "IPAddress": "127.0.53.1", "StatusReport": report}
        return ActionResult({"HealthCheckObservations": [observation]})

    check_class.health_check_config = property(config)
    check_class.lab_alarm = None
    check_class.lab_insufficient = None
    response.create_health_check = create_check
    response.update_health_check = update_check
    response.get_health_check_status = status
    backend.delete_health_check = delete_check
