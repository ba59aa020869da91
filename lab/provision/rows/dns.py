"""Route 53 records and health checks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lab.provision.rows import tags
from lab.provision.rows.row import Change, Row, props, update

if TYPE_CHECKING:
    from lab.provision.values import Properties


# Record


def _full_name(change: Change) -> str:
    """Return the record's name; a name without the zone's is relative to it."""
    name: str = change.new["name"].rstrip(".")
    zone = change.aws.get_hosted_zone(Id=change.new["zoneId"])["HostedZone"]["Name"].rstrip(".")
    if not name:
        return zone
    return name if name == zone or name.endswith(f".{zone}") else f"{name}.{zone}"


def _record(change: Change) -> Properties:
    new = change.new
    record: Properties = {
        "Name": _full_name(change),
        **change.pick("type", "setIdentifier", "healthCheckId", TTL="ttl"),
    }
    if "records" in new:
        quoted = new["type"] in {"TXT", "SPF"}
        record["ResourceRecords"] = [
            {"Value": f'"{v}"' if quoted and not v.startswith('"') else v} for v in new["records"]
        ]
    if aliases := new.get("aliases"):
        record["AliasTarget"] = {
            "DNSName": aliases[0]["name"],
            "HostedZoneId": aliases[0]["zoneId"],
            "EvaluateTargetHealth": aliases[0]["evaluateTargetHealth"],
        }
    if failover := new.get("failoverRoutingPolicies"):
        record["Failover"] = failover[0]["type"]
    if weighted := new.get("weightedRoutingPolicies"):
        record["Weight"] = weighted[0]["weight"]
    return record


def _submit(change: Change, *batch: tuple[str, Properties]) -> None:
    changes = [{"Action": action, "ResourceRecordSet": record} for action, record in batch]
    change.aws.change_resource_record_sets(
        HostedZoneId=change.new["zoneId"], ChangeBatch={"Changes": changes}
    )


def _id_of(change: Change, record: Properties) -> str:
    name = record["Name"].rstrip(".")
    parts = (change.new["zoneId"], name, record["Type"], record.get("SetIdentifier"))
    return "_".join(part for part in parts if part)


def _create_record(change: Change) -> str:
    record = _record(change)
    _submit(change, ("UPSERT" if change.new.get("allowOverwrite") else "CREATE", record))
    return _id_of(change, record)


def _update_record(change: Change) -> str:
    """Change the record in place; under another type or identifier it is another record to AWS."""
    record = _record(change)
    before = _live(replace(change, new=change.old)) if change.old else None
    if before and change.changed & {"setIdentifier", "type"}:
        _submit(change, ("DELETE", before), ("CREATE", record))
    else:
        _submit(change, ("UPSERT", record))
    return _id_of(change, record)


def _find_record(change: Change) -> str | None:
    found = _live(change)
    return _id_of(change, found) if found else None


def _read_record(change: Change) -> Properties | None:
    """Return the full name, which is what the id holds between zone and type."""
    new = change.new
    start = len(new["zoneId"]) + 1
    return {"fqdn": change.id[start:].removesuffix(_suffix(new)), "allowOverwrite": False}


def _suffix(new: Properties) -> str:
    identifier = new.get("setIdentifier")
    return f"_{new['type']}_{identifier}" if identifier else f"_{new['type']}"


def _live(change: Change) -> Any:
    name = _full_name(change)
    found = change.aws.list_resource_record_sets(
        HostedZoneId=change.new["zoneId"],
        StartRecordName=name,
        StartRecordType=change.new["type"],
    )["ResourceRecordSets"]
    return next(
        (
            r
            for r in found
            if r["Name"].rstrip(".") == name
            and r["Type"] == change.new["type"]
            and r.get("SetIdentifier") == change.new.get("setIdentifier")
        ),
        None,
    )


def _delete_record(change: Change) -> None:
    """Delete the live record as it is: AWS deletes nothing that differs in a detail."""
    if found := _live(change):
        _submit(change, ("DELETE", found))


RECORD = Row(
    type="aws:route53/record:Record",
    service="route53",
    source="internal/service/route53/record.go",
    replace=props("name zoneId"),
    local=props("allowOverwrite"),
    updates=(
        update(
            "aliases failoverRoutingPolicies healthCheckId records setIdentifier ttl type "
            "weightedRoutingPolicies",
            _update_record,
            renews=True,
        ),
    ),
    create=_create_record,
    read=_read_record,
    delete=_delete_record,
    find=_find_record,
    regional=False,
)


# Health check

_CHECK = {
    "childHealthThreshold": "HealthThreshold",
    "childHealthchecks": "ChildHealthChecks",
    "disabled": "Disabled",
    "enableSni": "EnableSNI",
    "failureThreshold": "FailureThreshold",
    "fqdn": "FullyQualifiedDomainName",
    "insufficientDataHealthStatus": "InsufficientDataHealthStatus",
    "invertHealthcheck": "Inverted",
    "ipAddress": "IPAddress",
    "measureLatency": "MeasureLatency",
    "port": "Port",
    "regions": "Regions",
    "requestInterval": "RequestInterval",
    "resourcePath": "ResourcePath",
    "searchString": "SearchString",
    "type": "Type",
}
_FIXED_AT_CREATION = {"Type", "RequestInterval", "MeasureLatency"}


def _check(change: Change) -> Properties:
    check = {aws: change.new[name] for name, aws in _CHECK.items() if name in change.new}
    if "cloudwatchAlarmName" in change.new:
        check["AlarmIdentifier"] = {
            "Name": change.new["cloudwatchAlarmName"],
            "Region": change.new["cloudwatchAlarmRegion"],
        }
    return check


def _update_check(change: Change) -> None:
    check = {k: v for k, v in _check(change).items() if k not in _FIXED_AT_CREATION}
    change.aws.update_health_check(HealthCheckId=change.id, **check)


def _tag_check(change: Change) -> None:
    added = {"AddTags": tags.listed(change.tags)} if change.tags else {}
    removed = {"RemoveTagKeys": change.tags_removed} if change.tags_removed else {}
    if added or removed:
        change.aws.change_tags_for_resource(
            ResourceType="healthcheck", ResourceId=change.id, **added, **removed
        )


def _find_check(change: Change) -> str | None:
    pages = change.aws.get_paginator("list_health_checks").paginate()
    found = (check for page in pages for check in page["HealthChecks"])
    return change.one((c["Id"], c["CallerReference"] == change.token) for c in found)


HEALTH_CHECK = Row(
    type="aws:route53/healthCheck:HealthCheck",
    service="route53",
    source="internal/service/route53/health_check.go",
    replace=props("measureLatency referenceName requestInterval type"),
    updates=(
        update(
            "childHealthThreshold childHealthchecks cloudwatchAlarmName cloudwatchAlarmRegion "
            "disabled enableSni failureThreshold fqdn insufficientDataHealthStatus "
            "invertHealthcheck ipAddress port regions resourcePath searchString triggers",
            _update_check,
        ),
        update("tags", _tag_check, at_creation=True),
    ),
    create=lambda c: c.aws.create_health_check(
        CallerReference=c.token, HealthCheckConfig=_check(c)
    )["HealthCheck"]["Id"],
    read=lambda c: {"arn": f"arn:aws:route53:::healthcheck/{c.id}"},
    delete=lambda c: c.aws.delete_health_check(HealthCheckId=c.id),
    find=_find_check,
    regional=False,
)

ROWS = (RECORD, HEALTH_CHECK)
