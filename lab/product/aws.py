"""The two AWS services that the sample product uses, signed by hand.

A secret and files are all it needs; botocore would triple the memory of each host and quadruple
the time it takes to start.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMEOUT_SECONDS = 5.0


class RequestFailedError(Exception):
    """AWS refused a request or could not be reached; the message carries status and text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An object of a bucket."""

    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """An access key; a session token where it is a temporary one."""

    access_key: str
    secret_key: str
    token: str | None = None


class Client:
    """AWS in one region, as the environment's endpoint and credentials give it."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._endpoint = environment["AWS_ENDPOINT_URL"]
        self._region = environment["AWS_REGION"]
        self._credentials = Credentials(
            access_key=environment["AWS_ACCESS_KEY_ID"],
            secret_key=environment["AWS_SECRET_ACCESS_KEY"],
            token=environment.get("AWS_SESSION_TOKEN"),
        )

    def secret(self, name: str) -> dict[str, str]:
        """Return the JSON object in the current version of the secret `name`."""
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "secretsmanager.GetSecretValue",
        }
        body = json.dumps({"SecretId": name}).encode()
        status, answer, _ = self._request("secretsmanager", "POST", "/", headers, body)
        if status != http.HTTPStatus.OK:
            msg = f"GetSecretValue {name} in {self._region}: {status} {answer[:200]!r}"
            raise RequestFailedError(msg)
        return json.loads(json.loads(answer)["SecretString"])

    def read(self, bucket: str, key: str) -> Stored | None:
        """Return the object, or None when the bucket has none of that key."""
        status, body, kind = self._request("s3", "GET", _path(bucket, key), {}, b"")
        if status == http.HTTPStatus.NOT_FOUND:
            return None
        if status != http.HTTPStatus.OK:
            msg = f"GetObject {bucket}/{key} in {self._region}: {status} {body[:200]!r}"
            raise RequestFailedError(msg)
        return Stored(body=body, content_type=kind)

    def write(self, bucket: str, key: str, stored: Stored) -> None:
        """Put the object; afterwards `read` returns it."""
        headers = {"Content-Type": stored.content_type}
        path = _path(bucket, key)
        status, answer, _ = self._request("s3", "PUT", path, headers, stored.body)
        if status != http.HTTPStatus.OK:
            msg = f"PutObject {bucket}/{key} in {self._region}: {status} {answer[:200]!r}"
            raise RequestFailedError(msg)

    def _request(
        self, service: str, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, bytes, str]:
        endpoint = urlsplit(self._endpoint)
        host = endpoint.netloc
        signed = sign(
            method,
            host,
            path,
            headers,
            body,
            credentials=self._credentials,
            scope=(self._region, service),
            now=datetime.now(UTC),
        )
        kind = (
            http.client.HTTPSConnection
            if endpoint.scheme == "https"
            else http.client.HTTPConnection
        )
        connection = kind(host, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request(method, path, body, signed)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.getheader("Content-Type", "")
        except (OSError, http.client.HTTPException) as error:
            msg = f"{service} in {self._region} at {host}: {error}"
            raise RequestFailedError(msg) from error
        finally:
            connection.close()


def sign(  # a signature covers all of these
    method: str,
    host: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    credentials: Credentials,
    scope: tuple[str, str],
    now: datetime,
) -> dict[str, str]:
    """Return `headers` with a signature over them and the request (Signature Version 4).

    `scope` is region and service. `path` must be quoted already and have no query.
    """
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    complete = {
        **headers,
        "Host": host,
        "X-Amz-Content-SHA256": digest,
        "X-Amz-Date": stamp,
        **({"X-Amz-Security-Token": credentials.token} if credentials.token else {}),
    }
    lowered = sorted((name.lower(), value.strip()) for name, value in complete.items())
    names = ";".join(name for name, _ in lowered)
    lines = "".join(f"{name}:{value}\n" for name, value in lowered)
    canonical = f"{method}\n{path}\n\n{lines}\n{names}\n{digest}"
    region, service = scope
    place = f"{stamp[:8]}/{region}/{service}/aws4_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    key = b"AWS4" + credentials.secret_key.encode()
    for part in (*place.split("/"), f"AWS4-HMAC-SHA256\n{stamp}\n{place}\n{hashed}"):
        key = hmac.digest(key, part.encode(), "sha256")
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{place}, "
        f"SignedHeaders={names}, Signature={key.hex()}"
    )
    return {**complete, "Authorization": authorization}


def _path(bucket: str, key: str) -> str:
    return f"/{bucket}/{quote(key, safe='/~')}"
