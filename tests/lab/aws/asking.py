"""How the tests ask an AWS endpoint, whichever it is."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
import uuid
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
from botocore.parsers import ResponseParserError

EAST, WEST = "us-east-1", "us-west-2"
ONCE = Config(
    retries={"total_max_attempts": 1, "mode": "standard"}, connect_timeout=5, read_timeout=15
)


class OrderRefusedError(Exception):
    """The control API refused an order."""


class Aws:
    """An AWS endpoint; `kind` is `lab` or `moto`."""

    def __init__(self, kind: str, endpoint: str) -> None:
        self.kind = kind
        self.endpoint = endpoint
        self._session: Any = boto3.Session()
        self._clients = {}

    def client(self, service: str, region: str = WEST, caller: str = "LABPROVISION"):
        key = (service, region, caller)
        if key not in self._clients:
            self._clients[key] = self._session.client(
                service,
                region_name=region,
                endpoint_url=self.endpoint,
                aws_access_key_id=caller.ljust(20, "0"),
                aws_secret_access_key="x",
                config=ONCE if service != "s3" else ONCE.merge(Config(signature_version="s3v4")),
            )
        return self._clients[key]

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def control(self, method: str, path: str, body: object = None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.endpoint}/_lab/{path}", data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise OrderRefusedError(error.read().decode()) from None


def refusal(act, *arguments, **named) -> str:
    """Return the AWS error code that a call is refused with; fail when it is not refused."""
    try:
        act(*arguments, **named)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code.isdigit():
            pytest.fail(f"not an AWS error: {error}")
        return code
    except (ResponseParserError, HTTPClientError) as error:
        pytest.fail(f"not an AWS error: {error}")
    pytest.fail("the call was accepted")


def eventually(condition, seconds: float = 10.0):
    """Return the first true value of `condition`; fail when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    pytest.fail(f"not so after {seconds} s: {condition}")


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:10]}"
