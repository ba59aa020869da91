"""What the sample product has on its first day: tables, rows, pages and files."""

from __future__ import annotations

import random
import secrets
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from lab.product import accounts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import connection

_HERE = Path(__file__).parent
_ACCOUNTS = 200
_PAYMENTS = 2000
_CONTENT = 100
_FILES = 20


def fill_database(link: connection, *, title: str, probe: dict[str, str]) -> None:
    """Make the schema and its first rows, among them the probe's account; in one transaction."""
    hashed = accounts.hashed(probe["password"], f"{secrets.token_hex(8)}$")
    with link, link.cursor() as sql:
        sql.execute((_HERE / "schema.sql").read_text())
        sql.execute("SET LOCAL search_path = rlg")
        sql.execute(
            "INSERT INTO accounts (username, password_hash) VALUES (%s, %s)",
            (probe["username"], hashed),
        )
        sql.execute(
            "INSERT INTO accounts (username, password_hash)"
            " SELECT 'customer' || n, 'none$' FROM generate_series(2, %s) n",
            (_ACCOUNTS,),
        )
        sql.execute(
            "INSERT INTO payments (account_id, amount, reference)"
            " SELECT 1 + n %% %s, (1 + n * 7919 %% 50000) / 100.0, 'order ' || n"
            " FROM generate_series(1, %s) n",
            (_ACCOUNTS, _PAYMENTS),
        )
        sql.execute(
            "INSERT INTO content (title, body)"
            " SELECT %s || ' no. ' || n, 'What there is to say on no. ' || n"
            " FROM generate_series(1, %s) n",
            (title, _CONTENT),
        )


def fill_buckets(s3: Any, *, title: str, file_bucket: str, frontend_bucket: str) -> None:
    """Put the frontend's pages and some customers' files; `s3` is a client of the region."""
    for page in sorted((_HERE / "frontend").iterdir()):
        text = Template(page.read_text()).safe_substitute(title=title)
        s3.put_object(
            Bucket=frontend_bucket, Key=page.name, Body=text.encode(), ContentType="text/html"
        )
    for name, body in _files(title):
        s3.put_object(Bucket=file_bucket, Key=name, Body=body, ContentType="text/csv")


def _files(title: str) -> Iterator[tuple[str, bytes]]:
    chosen = random.Random(title)
    for n in range(_FILES):
        rows = "".join(f"{n},{chosen.random()}\n" for n in range(chosen.randint(5, 500)))
        yield f"reports/{n:04}.csv", rows.encode()
