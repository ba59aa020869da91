"""What one run of one stack works with, and how it tells what it does."""

from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from lab.provision.errors import ProvisionError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from lab.provision.clients import Clients
    from lab.provision.providers import Provider
    from lab.provision.rows.row import Change, Row
    from lab.provision.sdk import Invocation
    from lab.provision.state import State
    from lab.provision.values import Properties
    from lab.provision.wheel import Schema

Action = Literal["create", "adopt", "update", "replace", "delete", "retain", "same"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What was done, or in a preview would be done, with one resource."""

    action: Action
    type: str
    name: str
    urn: str
    properties: tuple[str, ...] = ()
    position: str = ""


class References(Protocol):
    """Where a StackReference is answered from."""

    def __call__(self, stack: str) -> Properties | None:
        """Return the outputs of `stack`; None: they are not known yet."""
        ...


class Claims:
    """What was found again after a crash, so that of two alike each resource gets its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: dict[str, set[str]] = {}

    def find(self, row: Row, change: Change) -> str | None:
        """Return the id of what an interrupted creation has made, once."""
        with self._lock:
            claimed = self._ids.setdefault(row.type, set())
            found = row.find(replace(change, taken=change.taken | claimed))
            if found:
                claimed.add(found)
            return found


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What an engine works with."""

    rows: Mapping[str, Row]
    clients: Clients
    state: State
    schema: Callable[[str], Schema]
    references: References
    invoke: Callable[[Invocation, Provider, Clients], Properties]
    report: Callable[[Step], None]
    preview: bool = False
    claims: Claims = field(default_factory=Claims)


def token(urn: str, attempt: str = "") -> str:
    """Return what idempotent calls for one attempt to create the resource `urn` carry."""
    return hashlib.sha256(f"{urn} {attempt}".encode()).hexdigest()[:32]


@contextmanager
def translated() -> Generator[None]:
    """Turn what boto3 raises into one error that names operation, code and message."""
    try:
        yield
    except ClientError as error:
        fault: Any = error.response.get("Error", {})
        msg = f"{error.operation_name} was refused: {fault.get('Code')}: {fault.get('Message')}"
        raise ProvisionError(msg) from error
    except BotoCoreError as error:
        msg = f"AWS did not answer as expected: {error}"
        raise ProvisionError(msg) from error
