"""boto3 clients of the lab's AWS, one per service and region, shared by all threads."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from lab.provision.errors import ProvisionError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

ACCESS_KEY = "LABPROVISION00000000"
"""Whose calls these are, in the lab's record of calls."""


class Clients(Protocol):
    """Where rows get their clients."""

    def __call__(self, service: str, region: str) -> Any:
        """Return the client of `service` in `region`."""
        ...


class LabClients:
    """Clients of the AWS at `AWS_ENDPOINT_URL`; raise UsageError where it is not set.

    Without that variable boto3 would talk to AWS itself, and a lab provision never does.
    """

    def __init__(self) -> None:
        if not os.environ.get("AWS_ENDPOINT_URL"):
            msg = "AWS_ENDPOINT_URL is not set; a lab provision needs the lab's (lab env prints it)"
            raise UsageError(msg)
        self._session: Any = boto3.Session(
            aws_access_key_id=ACCESS_KEY, aws_secret_access_key="lab"
        )
        self._config = Config(
            connect_timeout=2,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": 5},
            max_pool_connections=32,
        )
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str], Any] = {}

    def __call__(self, service: str, region: str) -> Any:
        """Return the client; sessions are not thread-safe, so clients are made under a lock."""
        with self._lock:
            key = (service, region)
            if key not in self._clients:
                self._clients[key] = self._session.client(
                    service, region_name=region, config=self._config
                )
            return self._clients[key]


def until(
    holds: Callable[[], bool], what: str, *, seconds: float = 600, pause: float = 0.1
) -> None:
    """Return once `holds()`; raise ProvisionError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            msg = f"waited {seconds:.0f} s for {what}; look at the lab's logs"
            raise ProvisionError(msg)
        time.sleep(pause)


# AWS's ways to say that something is not there.
_ABSENT = ("NotFound", "NoSuch", "DoesNotExist", "404")


def is_absence(error: ClientError) -> bool:
    """Return whether AWS says that what was asked for does not exist."""
    code: str = error.response.get("Error", {}).get("Code", "")
    return any(word in code for word in _ABSENT)


def existing(ask: Callable[[], Any]) -> Any:
    """Return what AWS answers, or None where it says that there is no such thing."""
    try:
        return ask()
    except ClientError as error:
        if is_absence(error):
            return None
        raise
