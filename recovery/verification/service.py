"""The service as its customers see it: name, balancer, every service, and a customer's journey."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from recovery import names, web
from recovery.cloud import secrets
from recovery.engine.errors import OutsideError
from recovery.engine.parallel import answers
from recovery.verification.findings import Finding, failed, ok, unverified

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from recovery.steps.case import Case
    from recovery.topology import Request, Service

_OK = 200
_EXCERPT = 120
_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


def name_leads_here(case: Case) -> Finding:
    """Look whether the public name leads to this site's balancer and nowhere else."""
    try:
        ours = set(names.resolve(case.deployment.load_balancer_dns, case.resolver))
        found = set(names.resolve(case.product.domain, case.resolver))
    except names.UnresolvedError as error:
        return failed("name", str(error))
    where = f"{case.product.domain} leads to {', '.join(sorted(found))}"
    if found <= ours:
        return ok("name", f"{where}, the balancer in {case.site.region}")
    return failed("name", f"{where}; the balancer in {case.site.region} has {sorted(ours)}")


def services(case: Case) -> list[Finding]:
    """Ask every service for its health through the public name and the balancer, all at once."""
    asked = answers([_health(case, service) for service in case.product.services])
    return [
        _judged(service, answer)
        for service, answer in zip(case.product.services, asked, strict=True)
    ]


def health_path(service: Service) -> str:
    """Return where the balancer sends a request for the service's health."""
    return service.path.removesuffix("/*") + service.health_path


def journey(case: Case) -> list[Finding]:
    """Do what a customer does, step by step; what follows a failure stays unverified."""
    try:
        known = secrets.read_json(case.here, case.deployment.probe_secret)
    except OutsideError as error:
        return [unverified("journey", f"the probe cannot sign in: {error}")]
    values = {**known, "nonce": uuid.uuid4().hex}
    found: list[Finding] = []
    for step in case.product.journey:
        what = f"journey {step.name}"
        if found and found[-1].outcome != "ok":
            found.append(unverified(what, "an earlier step failed"))
            continue
        found.append(_taken(case, step, values))
    return found


def _health(case: Case, service: Service) -> Callable[[], web.Answer]:
    return lambda: web.get(
        case.product.domain,
        case.topology.https_port,
        health_path(service),
        resolver=case.resolver,
    )


def _judged(service: Service, answer: web.Answer | OutsideError) -> Finding:
    what = f"service {service.name}"
    if isinstance(answer, OutsideError):
        return failed(what, str(answer))
    if answer.status != _OK:
        return failed(what, f"{health_path(service)} answers {answer.status}")
    return ok(what, f"{health_path(service)} answers {answer.status}")


def _taken(case: Case, step: Request, values: dict[str, str]) -> Finding:
    """Take one step; what it captures is added to `values`."""
    what = f"journey {step.name}"
    try:
        path = _filled(step.path, {name: quote(value, safe="") for name, value in values.items()})
        body = step.body and {
            key: _filled(value, values) if isinstance(value, str) else value
            for key, value in step.body.items()
        }
        expected = step.contains and _filled(step.contains, values)
        answer = web.request(
            step.method,
            case.product.domain,
            case.topology.https_port,
            path,
            body=body,
            token=values.get("token"),
            resolver=case.resolver,
        )
    except (KeyError, OutsideError) as error:
        said = f"nothing gave ${{{error.args[0]}}}" if isinstance(error, KeyError) else str(error)
        return failed(what, said)
    said = f"{step.method} {path} answers {answer.status}"
    if answer.status != step.status:
        excerpt = answer.body.decode(errors="replace").replace(values.get("password", "\0"), "…")
        shown = " ".join(excerpt[:_EXCERPT].split())
        return failed(what, f"{said} where {step.status} belongs: {shown}")
    if expected and expected not in answer.body.decode(errors="replace"):
        return failed(what, f"{said} without {expected!r} in it")
    if missing := _captured(step, answer, values):
        return failed(what, f"{said} without the key {missing!r} in it")
    return ok(what, said)


def _captured(step: Request, answer: web.Answer, values: dict[str, str]) -> str | None:
    """Add to `values` what the step captures; return a key that the answer lacks."""
    parsed = answer.json() if step.capture else None
    document = cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {}
    for name, key in (step.capture or {}).items():
        if key not in document:
            return key
        values[name] = str(document[key])
    return None


def _filled(text: str, values: Mapping[str, str]) -> str:
    """Return the text with each `${name}` replaced; KeyError names the one that is unknown."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)
