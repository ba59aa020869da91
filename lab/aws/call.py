"""Tell from an HTTP request which AWS call it is: who, where, which service and action.

Signature version 4 names the access key, the region and the service; the action is in the form
body, in a header or, for S3 and Route 53, in method and path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote

from lab.aws import rest

if TYPE_CHECKING:
    from collections.abc import Callable
    from wsgiref.types import WSGIEnvironment

GLOBAL_REGION = "us-east-1"
"""Where the control planes of the global services are (AWS Fault Isolation Boundaries)."""

_GLOBAL_SERVICES = frozenset({"route53", "iam", "cloudfront"})
_SERVICE_OF_SIGNATURE = {
    "monitoring": "cloudwatch",
    "elasticloadbalancing": "elbv2",
    "servicequotas": "service-quotas",
}
_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d+/([^/]+)/([^/]+)/aws4_request")
_STEP = re.compile(r"step#(\S+)")
_RPC_PATH = re.compile(r"^/service/[^/]+/operation/([^/]+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One AWS call as its request tells it."""

    caller: str
    agent: str
    """What follows `step#` in the User-Agent; empty when nothing does."""
    region: str
    """Where the call is answered: a bucket's region for S3, us-east-1 for a global service."""
    signed_region: str
    service: str
    action: str
    protocol: str
    """`query`, `ec2`, `json`, `rest-xml`, `s3` or `cbor`: the shape of its errors."""
    bucket: str | None = None
    key: str | None = None


def identify(
    environ: WSGIEnvironment, body: bytes, region_of_bucket: Callable[[str], str | None]
) -> Call:
    """Return the call that a request makes; an unsigned one is taken for S3, as AWS does."""
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    scope = environ.get("HTTP_AUTHORIZATION") or (
        "Credential=" + query.get("X-Amz-Credential", [""])[0]
    )
    match = _CREDENTIAL.search(unquote(scope))
    caller, signed, signature = match.groups() if match else ("anonymous", GLOBAL_REGION, "s3")
    service = _SERVICE_OF_SIGNATURE.get(signature, signature)
    step = _STEP.search(environ.get("HTTP_USER_AGENT", ""))
    path = environ.get("PATH_INFO", "/")
    bucket, key = _bucket_and_key(path) if service == "s3" else (None, None)
    action, protocol = _action(environ, body, service, query)
    return Call(
        caller=caller,
        agent=step.group(1) if step else "",
        region=_home(service, signed, bucket, region_of_bucket),
        signed_region=signed,
        service=service,
        action=action,
        protocol=protocol,
        bucket=bucket,
        key=key,
    )


def _home(
    service: str, signed: str, bucket: str | None, region_of_bucket: Callable[[str], str | None]
) -> str:
    if service in _GLOBAL_SERVICES:
        return GLOBAL_REGION
    if bucket:
        return region_of_bucket(bucket) or signed
    return signed


def _bucket_and_key(path: str) -> tuple[str | None, str | None]:
    bucket, _, key = path.lstrip("/").partition("/")
    return bucket or None, key or None


def _action(
    environ: WSGIEnvironment, body: bytes, service: str, query: dict[str, list[str]]
) -> tuple[str, str]:
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return target.rpartition(".")[2], "json"
    path = environ.get("PATH_INFO", "/")
    if rpc := _RPC_PATH.match(path):
        return rpc.group(1), "cbor"
    method = environ["REQUEST_METHOD"]
    if service == "s3":
        copies = "HTTP_X_AMZ_COPY_SOURCE" in environ
        return rest.s3_action(method, path, query, copies=copies), "s3"
    if service in {"route53", "cloudfront"}:
        return rest.route53_action(method, path), "rest-xml"
    form = parse_qs(body.decode("latin-1")) if b"Action=" in body else query
    if "Action" not in form:
        return f"{method} {path}", "json"
    return form["Action"][0], "ec2" if service == "ec2" else "query"
