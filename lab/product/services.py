"""What the sample product's services answer: one function per request, and the table of them."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from lab.product import accounts
from lab.product.aws import Stored

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg2.extensions import cursor

    from lab.product.aws import Client
    from lab.product.database import Database

_FRONTEND_SECONDS = 30.0
_PREFIX_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as a service sees it; `captured` is what the route's pattern caught."""

    captured: tuple[str, ...]
    query: dict[str, str]
    body: bytes
    content_type: str
    token: str | None

    def fields(self, *names: str) -> tuple[Any, ...]:
        """Return the named values of the JSON object in the body; raise RefusedError without."""
        try:
            given: Any = json.loads(self.body or b"{}")
            return tuple(given[name] for name in names)
        except (ValueError, KeyError, TypeError) as error:
            msg = f"the body must be a JSON object with {', '.join(names)}"
            raise RefusedError(HTTPStatus.BAD_REQUEST, msg) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a service says."""

    status: int = HTTPStatus.OK
    body: bytes
    content_type: str = "application/json"


class RefusedError(Exception):
    """A request that gets no more than a status and a reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the services of a host stand on."""

    product: str
    site: str
    database: Database
    aws: Client
    file_bucket: str
    frontend_bucket: str
    pages: dict[str, tuple[float, Stored]]
    """Pages of the frontend that were read already, and when."""


def say(value: object, status: int = HTTPStatus.OK) -> Answer:
    """Return `value` as a JSON answer."""
    return Answer(status=status, body=json.dumps(value, default=str).encode())


def deep_health(place: Place, _: Request) -> Answer:
    """Answer 200 while the database takes writes, and 503 with the reason while it does not."""
    place.database.run(lambda sql: sql.execute("CREATE TEMP TABLE probe () ON COMMIT DROP"))
    return say({"status": "ok", "product": place.product, "site": place.site})


def login(place: Place, request: Request) -> Answer:
    """Answer a bearer token for the right username and password; works on a standby too."""
    username, password = request.fields("username", "password")
    token = place.database.run(lambda sql: accounts.token_for(sql, username, password))
    if token is None:
        raise RefusedError(HTTPStatus.UNAUTHORIZED, "unknown username or wrong password")
    return say({"token": token})


def pay(place: Place, request: Request) -> Answer:
    """Take a payment; the same reference of the same account is taken once."""
    amount, reference = request.fields("amount", "reference")

    def work(sql: cursor) -> tuple[int, object]:
        account = _account(sql, request)
        new = _row(
            sql,
            "INSERT INTO payments (account_id, amount, reference) VALUES (%s, %s, %s)"
            " ON CONFLICT (account_id, reference) DO NOTHING RETURNING id",
            *(account, amount, reference),
        )
        known = new or _row(
            sql,
            "SELECT id FROM payments WHERE account_id = %s AND reference = %s",
            *(account, reference),
        )
        assert known is not None
        return known[0], new

    number, created = place.database.run(work)
    return say({"id": number, "reference": reference}, _created(created))


def payment(place: Place, request: Request) -> Answer:
    """Answer a payment of the caller's own."""
    found = place.database.run(
        lambda sql: _row(
            sql,
            "SELECT id, amount, reference, created_at FROM payments"
            " WHERE id = %s AND account_id = %s",
            *(int(request.captured[0]), _account(sql, request)),
        )
    )
    if found is None:
        raise RefusedError(HTTPStatus.NOT_FOUND, f"no payment {request.captured[0]}")
    return say(dict(zip(("id", "amount", "reference", "created_at"), found, strict=True)))


def content(place: Place, _: Request) -> Answer:
    """Answer the newest published items."""

    def work(sql: cursor) -> list[tuple[Any, ...]]:
        sql.execute("SELECT id, title, body FROM content ORDER BY id DESC LIMIT 20")
        return sql.fetchall()

    keys = ("id", "title", "body")
    return say({"items": [dict(zip(keys, row, strict=True)) for row in place.database.run(work)]})


def write_entry(place: Place, request: Request) -> Answer:
    """Keep an entry under the id the customer chose: 201 when it is new, 200 when it is known.

    The answer says which site kept it, as the ledger must know where a write was acknowledged.
    """
    entry, text = request.fields("id", "text")
    new = place.database.run(
        lambda sql: _row(
            sql,
            "INSERT INTO entries (id, text) VALUES (%s, %s)"
            " ON CONFLICT (id) DO NOTHING RETURNING number",
            *(entry, text),
        )
    )
    return say({"id": entry, "site": place.site}, _created(new))


def entry(place: Place, request: Request) -> Answer:
    """Answer one entry."""
    found = place.database.run(
        lambda sql: _row(sql, "SELECT id, text FROM entries WHERE id = %s", request.captured[0])
    )
    if found is None:
        raise RefusedError(HTTPStatus.NOT_FOUND, f"no entry {request.captured[0]}")
    return say({"id": found[0], "text": found[1]})


def entries(place: Place, request: Request) -> Answer:
    """Answer the ids of all entries that start with the query's `prefix`, as often as they are."""

    def work(sql: cursor) -> list[str]:
        prefix = request.query.get("prefix", "")
        sql.execute(
            "SELECT id FROM entries WHERE starts_with(id, %s) ORDER BY number LIMIT %s",
            (prefix, _PREFIX_LIMIT),
        )
        return [row[0] for row in sql.fetchall()]

    return say({"ids": place.database.run(work)})


def store_file(place: Place, request: Request) -> Answer:
    """Put a file into the product's bucket."""
    stored = Stored(body=request.body, content_type=request.content_type)
    place.aws.write(place.file_bucket, request.captured[0], stored)
    return say({"name": request.captured[0]}, HTTPStatus.CREATED)


def read_file(place: Place, request: Request) -> Answer:
    """Answer a file of the product's bucket."""
    stored = place.aws.read(place.file_bucket, request.captured[0])
    if stored is None:
        raise RefusedError(HTTPStatus.NOT_FOUND, f"no file {request.captured[0]}")
    return Answer(body=stored.body, content_type=stored.content_type)


def record_event(place: Place, request: Request) -> Answer:
    """Keep an event for analysis."""
    return _keep(place, request, "INSERT INTO events (body) VALUES (%s) RETURNING id")


def queue_notification(place: Place, request: Request) -> Answer:
    """Queue a notification."""
    return _keep(place, request, "INSERT INTO notifications (body) VALUES (%s) RETURNING id")


def page(place: Place, request: Request) -> Answer:
    """Answer a page of the frontend from its bucket, kept for half a minute."""
    key = request.captured[0] or "index.html"
    read, kept = place.pages.get(key, (0.0, None))
    if kept is None or read + _FRONTEND_SECONDS < time.monotonic():
        kept = place.aws.read(place.frontend_bucket, key)
        if kept is None:
            raise RefusedError(HTTPStatus.NOT_FOUND, f"no page {key}")
        place.pages[key] = (time.monotonic(), kept)
    return Answer(body=kept.body, content_type=kept.content_type)


ROUTES: dict[str, tuple[tuple[str, str, Callable[[Place, Request], Answer]], ...]] = {
    "api": (
        ("GET", r"/api/health", deep_health),
        ("POST", r"/api/payments", pay),
        ("GET", r"/api/payments/(\d+)", payment),
        ("GET", r"/api/content", content),
        ("POST", r"/api/entries", write_entry),
        ("GET", r"/api/entries", entries),
        ("GET", r"/api/entries/([^/]+)", entry),
        ("POST", r"/api/files/(.+)", store_file),
        ("GET", r"/api/files/(.+)", read_file),
    ),
    "auth": (
        ("GET", r"/auth/health", deep_health),
        ("POST", r"/auth/login", login),
    ),
    "analytics": (
        ("GET", r"/analytics/health", deep_health),
        ("POST", r"/analytics/events", record_event),
    ),
    "notifications": (
        ("GET", r"/notifications/health", deep_health),
        ("POST", r"/notifications(?:/.*)?", queue_notification),
    ),
    "frontend": (("GET", r"/(.*)", page),),
}
"""Service → method, pattern of the path, what answers. Any service also answers /health."""
_ROUTES = {
    service: tuple((method, re.compile(pattern), answer) for method, pattern, answer in routes)
    for service, routes in ROUTES.items()
}


def find(
    service: str, method: str, path: str
) -> tuple[Callable[[Place, Request], Answer], tuple[str, ...]]:
    """Return what answers the request, and what the pattern caught; raise RefusedError if none."""
    for known, pattern, answer in _ROUTES.get(service, ()):
        if known == method and (caught := pattern.fullmatch(path)):
            return answer, caught.groups()
    raise RefusedError(HTTPStatus.NOT_FOUND, f"{service} has no {method} {path}")


def _keep(place: Place, request: Request, statement: str) -> Answer:
    try:
        body = json.dumps(json.loads(request.body))
    except ValueError as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the body must be JSON") from error
    kept = place.database.run(lambda sql: _row(sql, statement, body))
    assert kept is not None
    return say({"id": kept[0]}, HTTPStatus.CREATED)


def _row(sql: cursor, statement: str, *values: object) -> tuple[Any, ...] | None:
    sql.execute(statement, values)
    return sql.fetchone()


def _created(new: object) -> int:
    return HTTPStatus.CREATED if new else HTTPStatus.OK


def _account(sql: cursor, request: Request) -> int:
    account = accounts.account_of(sql, request.token)
    if account is None:
        raise RefusedError(HTTPStatus.UNAUTHORIZED, "no valid bearer token; log in at /auth/login")
    return account
