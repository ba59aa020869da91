"""Who a customer of the sample product is: passwords, and the tokens that stand for them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

_TOKEN_SECONDS = 3600
_PASSWORD_ROUNDS = 10_000


def hashed(password: str, salted: str) -> str:
    """Return the hash of `password` with the salt of `salted` ("salt$…")."""
    salt = salted.partition("$")[0]
    digest = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), _PASSWORD_ROUNDS)
    return f"{salt}${digest.hex()}"


def token_for(sql: cursor, username: str, password: str) -> str | None:
    """Return a token for the account with this password, or None.

    It is sealed with the account's password hash, so it holds at both sites and needs no write:
    customers can log in while the database is read-only.
    """
    sql.execute("SELECT id, password_hash FROM accounts WHERE username = %s", (username,))
    found = sql.fetchone()
    if found is None or not hmac.compare_digest(found[1], hashed(password, found[1])):
        return None
    claim = f"{found[0]}.{int(time.time()) + _TOKEN_SECONDS}"
    return f"{claim}.{_seal(found[1], claim)}"


def account_of(sql: cursor, token: str | None) -> int | None:
    """Return the account that `token` stands for, or None when it is missing, forged or old."""
    match (token or "").split("."):
        case [account, expiry, seal] if account.isdecimal() and expiry.isdecimal():
            pass
        case _:
            return None
    sql.execute("SELECT password_hash FROM accounts WHERE id = %s", (account,))
    found = sql.fetchone()
    if found is None or not hmac.compare_digest(seal, _seal(found[0], f"{account}.{expiry}")):
        return None
    return int(account) if int(expiry) >= time.time() else None


def _seal(password_hash: str, claim: str) -> str:
    digest = hmac.digest(password_hash.encode(), claim.encode(), "sha256")
    return base64.urlsafe_b64encode(digest).decode()
