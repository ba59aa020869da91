"""The way every call takes: record, faults, permission, moto under its lock, an answer in shape."""

# pyright: reportMissingTypeStubs=false
from __future__ import annotations

import io
import json
import time
from typing import TYPE_CHECKING, Any, cast

from flask import Flask, Response
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.exceptions import HTTPException
from werkzeug.test import run_wsgi_app
from werkzeug.wsgi import get_input_stream

from lab.aws import errors, server
from lab.aws.call import Call, identify
from lab.aws.errors import Refusal, RefusedError, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from lab.aws.context import Context
    from lab.aws.faults import Fault, FaultPlane
    from lab.aws.record import Record

    Check = Callable[[Call, WSGIEnvironment, bytes], Refusal | None]


_SERVER_ERROR = 500
_NOT_IMPLEMENTED = 501
_READS = ("Describe", "Get", "List", "Head", "Query", "Scan", "BatchGet")


class Gateway:
    """A WSGI application: `/_lab/` goes to the control API, everything else is an AWS call."""

    def __init__(
        self,
        *,
        context: Context,
        faults: FaultPlane,
        record: Record,
        control: Callable[[WSGIEnvironment, bytes], Reply],
        checks: tuple[Check, ...],
        region_of_bucket: Callable[[str], str | None],
    ) -> None:
        self._context = context
        self._faults = faults
        self._record = record
        self._control = control
        self._checks = checks
        self._region_of_bucket = region_of_bucket
        self._moto = DomainDispatcherApplication(cast("Any", _application))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, or cut its connection."""
        body = get_input_stream(environ).read()
        if environ.get("PATH_INFO", "").startswith("/_lab/"):
            reply = self._control(environ, body)
        else:
            reply = self._recorded(environ, body)
        start_response(f"{reply.status} ", list(reply.headers))
        return [reply.body]

    def _recorded(self, environ: WSGIEnvironment, body: bytes) -> Reply:
        call = identify(environ, body, self._region_of_bucket)
        began = time.monotonic()
        number = self._record.arrive(call, time.time())
        outcome = "cut"
        try:
            reply, outcome = self._answer(call, environ, body)
        except _Dropped as dropped:
            outcome = dropped.outcome
            raise server.cut(environ) from None
        finally:
            self._record.finish(number, outcome, time.monotonic() - began)
        return reply

    def _answer(self, call: Call, environ: WSGIEnvironment, body: bytes) -> tuple[Reply, str]:
        """Return the answer and what the record says of it."""
        self._suffer_region(call, environ)
        fault = self._faults.strike(call)
        if fault and (refusal := self._suffer(fault, call, environ)):
            return errors.shape(call, refusal), fault.fault
        for check in self._checks:
            if refusal := check(call, environ, body):
                return errors.shape(call, refusal), str(refusal.status)
        reply = self._dispatch(call, environ, body)
        self._suffer_region(call, environ)
        if fault and fault.fault == "lost-reply":
            raise _Dropped("lost-reply")
        return reply, str(reply.status)

    def _suffer_region(self, call: Call, environ: WSGIEnvironment) -> None:
        """Fail as the region does that answers the call, or that it was sent to."""
        places = {call.region, call.signed_region if call.service == "s3" else call.region}
        dead = next((name for name in places if not self._context.is_alive(name)), None)
        if dead is None:
            return
        state = self._context.region(dead)
        if state.api == "hang":
            self._hang(environ, lambda: not self._context.is_alive(dead))
        raise _Dropped(f"region {state.api}")

    def _suffer(self, fault: Fault, call: Call, environ: WSGIEnvironment) -> Refusal | None:
        match fault.fault:
            case "refuse" | "reset":
                raise _Dropped(fault.fault)
            case "hang":
                self._hang(environ, lambda: fault.times is not None or self._faults.holds(fault.id))
                raise _Dropped("hang")
            case "delay":
                time.sleep(fault.seconds or 1.0)
                return None
            case "503":
                return errors.unavailable()
            case "throttle":
                return errors.throttled(call)
            case "expired":
                return errors.expired(call)
            case "denied":
                return errors.denied(call, call.caller, f"{call.service}:{call.action}")
            case "lost-reply":
                return None

    def _hang(self, environ: WSGIEnvironment, still: Callable[[], bool]) -> None:
        """Say nothing until the caller goes away or the cause does."""
        while still() and not server.has_gone(environ):
            self._context.wait_for_turn(0.1)

    def _dispatch(self, call: Call, environ: WSGIEnvironment, body: bytes) -> Reply:
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        environ.pop("wsgi.input_terminated", None)
        with self._context.lock:
            parts, status, headers = run_wsgi_app(cast("Any", self._moto), environ, buffered=True)
            answer = b"".join(parts)
        if not call.action.startswith(_READS):
            self._context.changed.set()
        code = int(status.split()[0])
        if answer.startswith(_FAILED):
            return errors.shape(call, _refusal(call, code, answer.removeprefix(_FAILED)))
        kept = tuple((name, value) for name, value in headers if not name.startswith("Access-"))
        return Reply(status=code, headers=kept, body=answer)


class _Dropped(Exception):  # noqa: N818 - no failure: how a connection is made to end
    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


_FAILED = b"lab: "
_SHOWN = 400


def _application(service: str | None) -> Flask:
    """Return moto's application for a service, with failures as JSON instead of HTML.

    For a service that moto does not have, one that has nothing.
    """
    application = create_backend_app(cast("Any", service)) if service else _nothing()
    application.debug = False
    application.config["PROPAGATE_EXCEPTIONS"] = False

    def refused(error: RefusedError) -> Response:
        found = error.refusal
        text = json.dumps({"code": found.code, "message": found.message})
        return Response(_FAILED + text.encode(), status=found.status)

    def not_implemented(error: NotImplementedError) -> Response:
        return Response(_FAILED + json.dumps({"message": str(error)}).encode(), _NOT_IMPLEMENTED)

    def failed(error: Any) -> Response:
        cause = getattr(error, "original_exception", None) or error
        text = json.dumps({"message": f"{type(cause).__name__}: {cause}"[:_SHOWN]})
        return Response(_FAILED + text.encode(), _SERVER_ERROR)

    application.register_error_handler(RefusedError, refused)
    application.register_error_handler(NotImplementedError, not_implemented)
    application.register_error_handler(_SERVER_ERROR, failed)
    return application


def _nothing() -> Flask:
    application = Flask("nothing")

    def answer(_error: HTTPException) -> Response:
        text = json.dumps({"message": "moto does not have this service"})
        return Response(_FAILED + text.encode(), _NOT_IMPLEMENTED)

    application.register_error_handler(HTTPException, answer)
    return application


def _refusal(call: Call, status: int, text: bytes) -> Refusal:
    """Return what a failure below the gateway is told as.

    What the lab does not model, and what moto fails at, are 501: a client repeats a call that is
    answered by 500, and would hide the gap.
    """
    found: dict[str, str] = json.loads(text)
    if code := found.get("code"):
        return Refusal(code=code, message=found["message"], status=status)
    what, message = f"{call.service} {call.action}", found["message"]
    if status == _NOT_IMPLEMENTED:
        message = f"the lab does not model {what}: {message}"
        return Refusal(code="NotImplemented", message=message, status=status)
    code = "InternalError" if call.protocol in {"s3", "ec2"} else "InternalFailure"
    message = f"the lab failed at {what}: {message}"
    return Refusal(code=code, message=message, status=_NOT_IMPLEMENTED)
