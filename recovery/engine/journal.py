"""Append-only record of one execution: what it was about to do, and what it then saw.

JSON Lines, chained by hashes (`chain`), so an edit shows. A record is on disk (fsync) before
`write` returns. A mirror, where another operator finds it, follows a quarter of a second behind;
one that fails shows in `mirror_fault` and does not stop the recovery.

It begins with `opened`, and ends with `closed` if the execution came to its end. Facts are flat,
and only what the engine and the verbs name: no answer of AWS or of a database gets in whole.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from recovery.engine import chain
from recovery.engine.chain import GENESIS, Fact, Record
from recovery.engine.errors import RefusedError

EXECUTION = "execution"
"""The step of records that no step makes: `opened`, `ended` (of a product), `closed`."""

Mirror = Callable[[bytes], str | None]
"""Takes the whole journal; returns None, or why it could not be kept."""

_MIRROR_SECONDS = 2.0
_MIRROR_PAUSE_SECONDS = 0.25


def folder(state: Path) -> Path:
    """Return where the journals of a machine with this state folder are."""
    return state / "journals"


class Journal:
    """The journal of one execution; any of its products' threads may write."""

    def __init__(
        self,
        state: Path,
        execution: str,
        mirror: Mirror | None = None,
        opening: Mapping[str, Fact] | None = None,
    ) -> None:
        """Open a new journal in the state folder; its first record has the facts of `opening`.

        Raise RefusedError where it cannot be written.
        """
        self.path = folder(state) / f"{execution}.jsonl"
        self.execution = execution
        self._changed = threading.Condition()
        self._closed = False
        self._copier: threading.Thread | None = None
        self._number = 0
        self._size = 0
        self._previous = GENESIS
        self.mirror_fault: str | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(
                self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600
            )
            self._append("", EXECUTION, "opened", opening or {})
        except OSError as error:
            raise RefusedError(self._refusal(error)) from error
        if mirror is not None:
            self._copier = threading.Thread(target=self._copy_out, args=(mirror,), daemon=True)
            self._copier.start()

    def write(self, product: str, step: str, event: str, facts: Mapping[str, Fact]) -> None:
        """Append a record; it is on disk when this returns.

        OSError where the disk takes no more: the caller must not act.
        """
        with self._changed:
            try:
                self._append(product, step, event, facts)
            except OSError as error:
                raise OSError(self._refusal(error)) from error
            self._changed.notify_all()

    def _refusal(self, error: OSError) -> str:
        return (
            f"the journal {self.path} cannot be written ({error.strerror}); an execution "
            "must leave a record: free space, or point STANDBY_STATE at another disk"
        )

    def _append(self, product: str, step: str, event: str, facts: Mapping[str, Fact]) -> None:
        line = chain.sealed(
            Record(
                number=self._number + 1,
                at=datetime.now(UTC).isoformat(timespec="milliseconds"),
                product=product,
                step=step,
                event=event,
                facts=facts,
                execution=self.execution,
                previous=self._previous,
            )
        )
        try:
            _write_all(self._file, line + b"\n")
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._number += 1
        self._size += len(line) + 1
        self._previous = chain.digest(line)

    def _copy_out(self, mirror: Mirror) -> None:
        """Copy the whole file after each change; what changes meanwhile goes with the next."""
        copied = 0
        while True:
            with self._changed:
                while self._number == copied:
                    if self._closed:
                        return
                    self._changed.wait()
                copied = self._number
            self.mirror_fault = mirror(self.path.read_bytes())
            with self._changed:
                self._changed.wait_for(lambda: self._closed, _MIRROR_PAUSE_SECONDS)

    def close(self) -> None:
        """Close the file, and give the mirror two seconds to take the end of it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._copier:
            self._copier.join(_MIRROR_SECONDS)
            if self._copier.is_alive():
                self.mirror_fault = "the end was not copied in time"
        os.close(self._file)


def read(content: bytes) -> list[Record]:
    """Return the records of a journal; ValueError names the first line that was tampered with.

    A last line without its end is what a kill leaves, and is passed over.
    """
    found = chain.examine(content)
    for line in found.misfits:
        said = "; ".join(fault.text for fault in line.faults)
        raise ValueError(f"the journal was changed: line {line.number} {said}")
    return found.records


def _write_all(file: int, content: bytes) -> None:
    """Write `content` whole: a full disk first writes a part of it without an error."""
    while content:
        content = content[os.write(file, content) :]
