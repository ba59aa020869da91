"""The files of a loss ledger, in the active's site bucket; the manifest is the last of them."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO

from recovery import naming
from recovery.cloud import objects
from recovery.cloud.errors import ConflictError
from recovery.steps.case import Case

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of the ledger."""

    name: str
    sha256: str


class Writer:
    """Puts the files into the bucket."""

    def __init__(self, case: Case, epoch: int) -> None:
        self._case = case
        self._epoch = epoch

    @contextmanager
    def file(self, name: str) -> Generator[Lines]:
        """Write a file line by line; it is put into the bucket at the end, if it is wanted."""
        with TemporaryFile() as body:
            file = Lines(body)
            yield file
            if file.wanted:
                body.seek(0)
                objects.write(self._case.here, self._case.site.bucket, self._key(name), body)
                file.made = File(name=name, sha256=file.digest())

    def finish(self, document: bytes) -> None:
        """Write the manifest, which says that everything else is there."""
        try:
            objects.write(
                self._case.here,
                self._case.site.bucket,
                self._key(MANIFEST),
                document,
                only_new=True,
            )
        except ConflictError:
            return  # our own write, whose answer was lost, or that of an execution before

    def _key(self, name: str) -> str:
        return naming.ledger_key(self._case.product.name, self._epoch, name)


class Lines:
    """A file on this machine's disk that has no name there, so that a kill leaves nothing."""

    def __init__(self, body: IO[bytes]) -> None:
        self._body = body
        self._digest = hashlib.sha256()
        self.wanted = False
        self.made: File | None = None

    def line(self, text: str) -> None:
        """Add a line."""
        content = f"{text}\n".encode()
        self._body.write(content)
        self._digest.update(content)

    def digest(self) -> str:
        """Return the digest of all lines."""
        return self._digest.hexdigest()
