"""Certificates, and the wait for their proof."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.provision.clients import until
from lab.provision.errors import ProvisionError
from lab.provision.rows import tags
from lab.provision.rows.row import Change, Row, props

if TYPE_CHECKING:
    from lab.provision.values import Properties


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

ROWS = (CERTIFICATE, CERTIFICATE_VALIDATION)
