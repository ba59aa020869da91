"""Errors in the shape in which AWS gives them, by the protocol of the call."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from lab.aws.call import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error that a call is answered with instead of taking effect."""

    code: str
    message: str
    status: int = 400
    headers: tuple[tuple[str, str], ...] = ()


class RefusedError(Exception):
    """Raised anywhere below the gateway to have the call answered with an AWS error."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.refusal = Refusal(code=code, message=message, status=status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole HTTP answer."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


_NAMESPACES = {
    "rds": "http://rds.amazonaws.com/doc/2014-10-31/",
    "autoscaling": "http://autoscaling.amazonaws.com/doc/2011-01-01/",
    "elbv2": "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
    "cloudwatch": "http://monitoring.amazonaws.com/doc/2010-08-01/",
    "route53": "https://route53.amazonaws.com/doc/2013-04-01/",
    "iam": "https://iam.amazonaws.com/doc/2010-05-08/",
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
    "sns": "http://sns.amazonaws.com/doc/2010-03-31/",
}
_SERVER_ERROR = 500


def shape(call: Call, refusal: Refusal) -> Reply:
    """Return `refusal` as the service of `call` would send it."""
    request_id = str(uuid4())
    body, content_type = _body(call, refusal, request_id)
    headers = [
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        ("x-amzn-RequestId", request_id),
        ("x-amzn-ErrorType", refusal.code),
        *refusal.headers,
    ]
    if call.protocol == "cbor":
        fault = "Receiver" if refusal.status >= _SERVER_ERROR else "Sender"
        headers.append(("smithy-protocol", "rpc-v2-cbor"))
        headers.append(("x-amzn-query-error", f"{refusal.code};{fault}"))
    return Reply(status=refusal.status, headers=tuple(headers), body=body)


def _body(call: Call, refusal: Refusal, request_id: str) -> tuple[bytes, str]:
    if call.protocol == "json":
        document = {"__type": refusal.code, "message": refusal.message}
        return json.dumps(document).encode(), "application/x-amz-json-1.1"
    if call.protocol == "cbor":
        fields = ("__type", refusal.code, "message", refusal.message)
        return b"\xa2" + b"".join(map(_cbor_text, fields)), "application/cbor"
    code, message = escape(refusal.code), escape(refusal.message)
    error = f"<Code>{code}</Code><Message>{message}</Message>"
    if call.protocol == "ec2":
        inner = f"<Errors><Error>{error}</Error></Errors><RequestID>{request_id}</RequestID>"
        text = f"<Response>{inner}</Response>"
    elif call.protocol == "s3":
        text = f"<Error>{error}<RequestId>{request_id}</RequestId></Error>"
    else:
        fault = "Receiver" if refusal.status >= _SERVER_ERROR else "Sender"
        namespace = _NAMESPACES.get(call.service, "https://aws.amazon.com/")
        text = (
            f'<ErrorResponse xmlns="{namespace}"><Error><Type>{fault}</Type>{error}</Error>'
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode(), "text/xml"


_CBOR_INLINE, _CBOR_ONE_BYTE = 24, 256


def _cbor_text(text: str) -> bytes:
    data = text.encode()
    if len(data) < _CBOR_INLINE:
        return bytes([0x60 + len(data)]) + data
    if len(data) < _CBOR_ONE_BYTE:
        return bytes([0x78, len(data)]) + data
    return b"\x79" + len(data).to_bytes(2, "big") + data


def throttled(call: Call) -> Refusal:
    """Return the error of a caller that asks too often."""
    codes = {"ec2": "RequestLimitExceeded", "s3": "SlowDown", "query": "Throttling"}
    code = codes.get(call.protocol, "ThrottlingException")
    status = 503 if call.protocol in {"ec2", "s3"} else 400
    return Refusal(code=code, message="Rate exceeded", status=status)


def expired(call: Call) -> Refusal:
    """Return the error of credentials that have expired."""
    codes = {"ec2": "RequestExpired", "json": "ExpiredTokenException"}
    status = 400 if call.protocol in {"ec2", "json", "s3"} else 403
    return Refusal(
        code=codes.get(call.protocol, "ExpiredToken"),
        message="The security token included in the request is expired",
        status=status,
    )


def denied(call: Call, identity: str, action: str) -> Refusal:
    """Return the error of an identity that may not do `action`."""
    codes = {"ec2": "UnauthorizedOperation", "json": "AccessDeniedException"}
    return Refusal(
        code=codes.get(call.protocol, "AccessDenied"),
        message=f"User: {identity} is not authorized to perform: {action} because no "
        "identity-based policy allows the action",
        status=400 if call.protocol == "json" else 403,
    )


def unavailable() -> Refusal:
    """Return the error of a service that is failing."""
    return Refusal(code="ServiceUnavailable", message="Service is unavailable", status=503)
