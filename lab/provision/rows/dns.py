"""Route 53 records and health checks, and the certificates that are proven by records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.provision.clients import until
from lab.provision.errors import ProvisionError
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


def _set(change: Change, action: str) -> None:
    batch = {"Changes": [{"Action": action, "ResourceRecordSet": _record(change)}]}
    change.aws.change_resource_record_sets(HostedZoneId=change.new["zoneId"], ChangeBatch=batch)


def _record_id(change: Change) -> str:
    parts = (change.new["zoneId"], _full_name(change), change.new["type"])
    identifier = change.new.get("setIdentifier")
    return "_".join([*parts, identifier] if identifier else parts)


def _create_record(change: Change) -> str:
    _set(change, "UPSERT" if change.new.get("allowOverwrite") else "CREATE")
    return _record_id(change)


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
        batch = {"Changes": [{"Action": "DELETE", "ResourceRecordSet": found}]}
        change.aws.change_resource_record_sets(HostedZoneId=change.new["zoneId"], ChangeBatch=batch)


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
            lambda c: _set(c, "UPSERT"),
        ),
    ),
    create=_create_record,
    read=lambda c: {"fqdn": _full_name(c)},
    delete=_delete_record,
    find=lambda c: _record_id(c) if _live(c) else None,
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
    local=props("triggers"),
    updates=(
        update(
            "childHealthThreshold childHealthchecks cloudwatchAlarmName cloudwatchAlarmRegion "
            "disabled enableSni failureThreshold fqdn insufficientDataHealthStatus "
            "invertHealthcheck ipAddress port regions resourcePath searchString",
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


# Certificate


def _certificate(change: Change) -> Any:
    return change.aws.describe_certificate(CertificateArn=change.id)["Certificate"]


def _request(change: Change) -> str:
    made = change.aws.request_certificate(
        **change.pick("domainName", "subjectAlternativeNames", "validationMethod", "keyAlgorithm"),
        **tags.given(change),
        IdempotencyToken=change.token,
    )
    arn = made["CertificateArn"]
    # The records to prove it by appear a moment after the request.
    until(lambda: bool(_proofs(_certificate(change.of(arn)))), f"the records of {arn}")
    return arn


def _proofs(certificate: Any) -> list[Properties]:
    return [
        {
            "domainName": option["DomainName"],
            "resourceRecordName": option["ResourceRecord"]["Name"],
            "resourceRecordType": option["ResourceRecord"]["Type"],
            "resourceRecordValue": option["ResourceRecord"]["Value"],
        }
        for option in certificate.get("DomainValidationOptions", [])
        if "ResourceRecord" in option
    ]


def _read_certificate(change: Change) -> Properties | None:
    found = _certificate(change)
    return {
        "arn": change.id,
        "domainName": found["DomainName"],
        "domainValidationOptions": _proofs(found),
        "subjectAlternativeNames": found.get("SubjectAlternativeNames", []),
        "keyAlgorithm": found.get("KeyAlgorithm"),
        "status": found["Status"],
        "type": found["Type"],
        "validationEmails": [],
    }


def _find_certificate(change: Change) -> str | None:
    found = change.aws.list_certificates()["CertificateSummaryList"]
    wanted = change.new["domainName"]
    return change.one((c["CertificateArn"], c["DomainName"] == wanted) for c in found)


CERTIFICATE = Row(
    type="aws:acm/certificate:Certificate",
    service="acm",
    source="internal/service/acm/certificate.go",
    replace=props("domainName keyAlgorithm subjectAlternativeNames validationMethod"),
    updates=(
        tags.tagging(
            lambda c: {"CertificateArn": c.id},
            tag="add_tags_to_certificate",
            untag="remove_tags_from_certificate",
        ),
    ),
    create=_request,
    read=_read_certificate,
    delete=lambda c: c.aws.delete_certificate(CertificateArn=c.id),
    find=_find_certificate,
)


def _validate(change: Change) -> str:
    arn = change.new["certificateArn"]
    until(lambda: _issued(change.of(arn)), f"{arn} to be issued")
    return arn


def _issued(change: Change) -> bool:
    found = _certificate(change)
    if found["Status"] in {"FAILED", "VALIDATION_TIMED_OUT", "REVOKED"}:
        msg = f"{change.id} is {found['Status']}; look at its validation records"
        raise ProvisionError(msg)
    return found["Status"] == "ISSUED"


CERTIFICATE_VALIDATION = Row(
    type="aws:acm/certificateValidation:CertificateValidation",
    service="acm",
    source="internal/service/acm/certificate_validation.go",
    replace=props("certificateArn validationRecordFqdns"),
    create=_validate,
    # It is a wait, not a thing.
    delete=lambda _c: None,
    find=_validate,
)

ROWS = (RECORD, HEALTH_CHECK, CERTIFICATE, CERTIFICATE_VALIDATION)
