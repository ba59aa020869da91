"""What was made, per stack: one JSON file, written through after each resource.

It lives and dies with the lab. It holds no secret: those are recorded by their digest, and
write-only properties not at all.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec

from lab.provision.errors import ProvisionError
from lab.provision.values import Properties

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One resource as it was last made."""

    urn: str
    type: str
    name: str
    region: str
    inputs: Properties
    outputs: Properties = field(default_factory=dict[str, Any])
    id: str = ""
    attempt: str = ""
    """Unlike any other creation's, also of the same URN: AWS never forgets a token."""
    pending: bool = False
    """It was about to be created: whether it was, only AWS knows."""
    dependencies: tuple[str, ...] = ()
    parent: str = ""
    provider: str = ""
    """URN."""
    protect: bool = False
    retain: bool = False
    deleted_with: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    finished: bool
    outputs: Properties
    resources: tuple[Entry, ...]


class State:
    """The entries and outputs of one stack; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._lines: dict[str, bytes] = {}
        self.outputs: Properties = {}
        self.finished = False
        """Whether a run of the stack ever went through to its end."""
        if path.exists():
            self._load()

    def _load(self) -> None:
        try:
            document = msgspec.json.decode(self._path.read_bytes(), type=_Document)
        except msgspec.DecodeError as error:
            msg = f"{self._path} is not a state of this lab ({error}); start a new lab"
            raise ProvisionError(msg) from error
        self.outputs = document.outputs
        self.finished = document.finished
        for entry in document.resources:
            self._keep(entry)

    def get(self, urn: str) -> Entry | None:
        """Return the entry of `urn`."""
        return self._entries.get(urn)

    def entries(self) -> list[Entry]:
        """Return all entries, in the order in which they were made."""
        with self._lock:
            return list(self._entries.values())

    def record(self, entry: Entry) -> None:
        """Keep `entry`; it is in the file when this returns."""
        with self._lock:
            self._keep(entry)
            self._write()

    def rename(self, old: str, new: str) -> None:
        """Let the entry of `old` be that of `new`, and whatever refers to it follow."""
        with self._lock:
            entries = list(self._entries.values())
            self._entries.clear()
            self._lines.clear()
            for entry in entries:
                self._keep(
                    replace(
                        entry,
                        urn=new if entry.urn == old else entry.urn,
                        parent=new if entry.parent == old else entry.parent,
                        dependencies=tuple(new if u == old else u for u in entry.dependencies),
                    )
                )
            self._write()

    def forget(self, urn: str) -> None:
        """Drop the entry of `urn`."""
        with self._lock:
            self._entries.pop(urn, None)
            self._lines.pop(urn, None)
            self._write()

    def restore(self, entries: Iterable[Entry]) -> None:
        """Make these the entries, and no others."""
        with self._lock:
            self._entries.clear()
            self._lines.clear()
            for entry in entries:
                self._keep(entry)
            self._write()

    def finish(self, outputs: Properties) -> None:
        """Keep the stack's outputs and mark that the run went through."""
        with self._lock:
            self.outputs = outputs
            self.finished = True
            self._write()

    def ids(self, type_token: str) -> frozenset[str]:
        """Return the ids of everything of this type that the stack has made."""
        return frozenset(e.id for e in self.entries() if e.type == type_token and e.id)

    def _keep(self, entry: Entry) -> None:
        self._entries[entry.urn] = entry
        self._lines[entry.urn] = msgspec.json.encode(entry, order="sorted")

    def _write(self) -> None:
        """Replace the file whole; each entry was serialised once, when it was kept."""
        empty = _Document(finished=self.finished, outputs=self.outputs, resources=())
        opening = msgspec.json.encode(empty).removesuffix(b"]}")
        text = opening + b"\n" + b",\n".join(self._lines.values()) + b"\n]}\n"
        temporary = self._path.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
        temporary.replace(self._path)
