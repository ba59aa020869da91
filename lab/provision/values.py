"""Property values as the programs give them, and the form in which the state keeps them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

Properties = dict[str, Any]
"""Property name in camelCase → value; numbers that are whole are ints."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that must reach AWS and nothing else."""

    value: Any

    def __repr__(self) -> str:
        return "Secret(…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """Content given as text or as a file."""

    text: str | None = None
    path: str | None = None

    def read(self) -> bytes:
        """Return the content."""
        if self.text is not None:
            return self.text.encode()
        return Path(self.path or "").read_bytes()


class Unknown:
    """A value that is only known once something else has been made."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


def plain(value: Any) -> Any:
    """Return `value` as AWS takes it: secrets unwrapped, assets read."""
    match value:
        case Secret():
            return plain(value.value)
        case Asset():
            return value.read()
        case dict():
            return {key: plain(item) for key, item in cast("Properties", value).items()}
        case list():
            return [plain(item) for item in cast("list[Any]", value)]
        case _:
            return value


def recorded(value: Any, *, salt: str) -> Any:
    """Return `value` as the state keeps it: a secret or an asset by its digest only.

    The digest tells a change from no change; `salt` keeps equal secrets of two resources apart.
    """
    match value:
        case Secret():
            return {"secret": _digest(salt, json.dumps(plain(value.value), sort_keys=True))}
        case Asset():
            return {"asset": hashlib.sha256(value.read()).hexdigest()}
        case Unknown():
            return {"unknown": True}
        case dict():
            items = cast("Properties", value).items()
            return {key: recorded(item, salt=f"{salt}.{key}") for key, item in items}
        case list():
            return [recorded(item, salt=salt) for item in cast("list[Any]", value)]
        case _:
            return value


def unknowns(value: Any, path: str = "") -> list[str]:
    """Return the paths inside `value` that are unknown."""
    match value:
        case Unknown():
            return [path]
        case Secret():
            return unknowns(value.value, path)
        case dict():
            items = cast("Properties", value).items()
            return [found for key, item in items for found in unknowns(item, f"{path}.{key}")]
        case list():
            items = enumerate(cast("list[Any]", value))
            return [found for at, item in items for found in unknowns(item, f"{path}[{at}]")]
        case _:
            return []


def has_secret(value: Any) -> bool:
    """Return whether a secret is anywhere inside `value`."""
    match value:
        case Secret():
            return True
        case dict():
            return any(has_secret(item) for item in cast("Properties", value).values())
        case list():
            return any(has_secret(item) for item in cast("list[Any]", value))
        case _:
            return False


def _digest(salt: str, text: str) -> str:
    return hashlib.sha256(f"{salt}\0{text}".encode()).hexdigest()
