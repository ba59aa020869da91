"""The control API under `/_lab/`: what the other processes of the lab and its tests ask for."""

from __future__ import annotations

import json
from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs

import msgspec

from lab.aws.errors import Reply
from lab.aws.faults import Fault, Kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from wsgiref.types import WSGIEnvironment

    from lab.aws.context import Context
    from lab.aws.faults import FaultPlane
    from lab.aws.quotas import Quotas
    from lab.aws.record import Record
    from lab.aws.world import World


class _RegionOrder(msgspec.Struct, forbid_unknown_fields=True):
    region: str
    state: Literal["dead", "up"]
    api: Literal["hang", "refuse"] = "hang"


class _LinkOrder(
    msgspec.Struct, forbid_unknown_fields=True, rename={"source": "from", "target": "to"}
):
    source: str
    target: str
    state: Literal["up", "cut", "slow"]
    delay_ms: int = 0


class _FaultOrder(msgspec.Struct, forbid_unknown_fields=True):
    fault: Kind
    id: str = ""
    region: str | None = None
    service: str | None = None
    action: str | None = None
    access_key_prefix: str | None = None
    share: float = 1.0
    times: int | None = None
    seconds: float | None = None


class _QuotaOrder(msgspec.Struct, forbid_unknown_fields=True):
    region: str
    vcpus: float


class _SpeedOrder(msgspec.Struct, forbid_unknown_fields=True):
    speed: float


_LONG_POLL_SECONDS = 1.0


class Control:
    """Answers requests under `/_lab/`; everything is JSON."""

    def __init__(
        self,
        *,
        context: Context,
        faults: FaultPlane,
        record: Record,
        world: World,
        report_health: Callable[[dict[str, dict[str, str]]], None],
        outbox: Callable[[], list[dict[str, Any]]],
        quotas: Quotas,
    ) -> None:
        self._context = context
        self._faults = faults
        self._record = record
        self._world = world
        self._report_health = report_health
        self._outbox = outbox
        self._quotas = quotas

    def __call__(self, environ: WSGIEnvironment, body: bytes) -> Reply:
        """Return the answer to a request; 404 and 400 name what was asked for wrongly."""
        method = environ["REQUEST_METHOD"]
        place, _, rest = environ["PATH_INFO"].removeprefix("/_lab/").partition("/")
        query = {
            name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()
        }
        act = getattr(self, f"_{method.lower()}_{place}", None)
        if act is None:
            return _json({"error": f"no {method} {place}"}, HTTPStatus.NOT_FOUND)
        try:
            answer = act(query, body, rest)
        except (msgspec.DecodeError, ValueError) as error:
            return _json({"error": str(error)}, HTTPStatus.BAD_REQUEST)
        if isinstance(answer, bytes):
            return Reply(status=HTTPStatus.OK, headers=_JSON_HEADERS, body=answer)
        return _json(answer, HTTPStatus.OK)

    def _get_ready(self, *_: Any) -> dict[str, Any]:
        return {"ready": True, "failures": self._context.failures[-20:]}

    def _get_world(self, query: dict[str, str], *_: Any) -> bytes:
        return self._world.after(int(query.get("after", 0)), _LONG_POLL_SECONDS)

    def _post_health(self, _query: dict[str, str], body: bytes, _rest: str) -> dict[str, Any]:
        self._report_health(msgspec.json.decode(body, type=dict[str, dict[str, str]]))
        return {}

    def _post_regions(self, _query: dict[str, str], body: bytes, _rest: str) -> dict[str, Any]:
        order = msgspec.json.decode(body, type=_RegionOrder)
        if order.region not in self._context.regions:
            msg = f"region {order.region} is none of {sorted(self._context.regions)}"
            raise ValueError(msg)
        if order.state == "dead":
            self._context.kill_region(order.region, order.api)
        else:
            self._context.heal_region(order.region)
        return {}

    def _post_links(self, _query: dict[str, str], body: bytes, _rest: str) -> dict[str, Any]:
        order = msgspec.json.decode(body, type=_LinkOrder)
        self._context.set_link(order.source, order.target, order.state, order.delay_ms)
        return {}

    def _post_speed(self, _query: dict[str, str], body: bytes, _rest: str) -> dict[str, Any]:
        self._context.pace.speed = msgspec.json.decode(body, type=_SpeedOrder).speed
        self._context.changed.set()
        return {}

    def _post_quotas(self, _query: dict[str, str], body: bytes, _rest: str) -> dict[str, Any]:
        order = msgspec.json.decode(body, type=_QuotaOrder)
        self._quotas.set(order.region, order.vcpus)
        return {}

    def _post_faults(self, _query: dict[str, str], body: bytes, _rest: str) -> dict[str, Any]:
        order = msgspec.json.decode(body, type=_FaultOrder)
        return {"id": self._faults.add(Fault(**msgspec.structs.asdict(order)))}

    def _delete_faults(self, _query: dict[str, str], _body: bytes, rest: str) -> dict[str, Any]:
        self._faults.remove(rest or None)
        return {}

    def _get_calls(self, query: dict[str, str], *_: Any) -> dict[str, Any]:
        calls, last = self._record.after(int(query.get("after", 0)))
        return {"calls": [asdict(call) for call in calls], "next": last}

    def _get_waits(self, *_: Any) -> list[dict[str, Any]]:
        return [asdict(wait) for wait in self._context.pace.taken()]

    def _get_outbox(self, *_: Any) -> list[dict[str, Any]]:
        return self._outbox()


_JSON_HEADERS = (("Content-Type", "application/json"),)


def _json(document: Any, status: HTTPStatus) -> Reply:
    body = json.dumps(document, default=str).encode()
    return Reply(status=status, headers=_JSON_HEADERS, body=body)
