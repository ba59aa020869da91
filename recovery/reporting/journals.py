"""Where journals are: this machine's state folder, and the bucket of each site."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from recovery import discovery, naming
from recovery.cloud import objects
from recovery.cloud.client import Region
from recovery.cloud.errors import NotFoundError
from recovery.engine import journal, state
from recovery.engine.errors import RefusedError
from recovery.reporting.story import plain

_STAMP = re.compile(r"\d{8}T\d{6}Z")
_SUFFIX = ".jsonl"
_SHOWN = 10


class Shelf(Protocol):
    """A place with journals."""

    @property
    def place(self) -> str:
        """Name it, for messages."""
        ...

    def executions(self) -> list[str]:
        """Return the ids of the executions that have a journal here, the newest last."""
        ...

    def read(self, execution: str) -> bytes | None:
        """Return the journal; None if there is none."""
        ...

    def where(self, execution: str) -> str:
        """Say where that journal is."""
        ...


class Machine:
    """The journals of this machine; RefusedError where they cannot be read."""

    def __init__(self) -> None:
        """Look nowhere yet."""
        self._folder = journal.folder(state.folder())
        self.place = f"this machine ({self._folder})"

    def executions(self) -> list[str]:
        """Return the ids of the executions that have a journal here, the newest last."""
        return _by_age([path.stem for path in self._folder.glob(f"*{_SUFFIX}")])

    def read(self, execution: str) -> bytes | None:
        """Return the journal; None if there is none."""
        path = Path(self.where(execution))
        return content(path) if path.exists() else None

    def where(self, execution: str) -> str:
        """Return the journal's path."""
        return str(self._folder / f"{execution}{_SUFFIX}")


class Bucket:
    """The copies in the bucket of the site in a region; its methods raise OutsideError."""

    def __init__(self, region: str) -> None:
        """Find the bucket by the topology. RefusedError where the region is no site."""
        site = discovery.site_in(discovery.find(region), region)
        self._region, self._bucket = Region(region), site.bucket
        self.place = f"the bucket of {region} (s3://{site.bucket}/{naming.JOURNALS})"

    def executions(self) -> list[str]:
        """Return the ids of the executions that have a journal here, the newest last."""
        found = objects.listing(self._region, self._bucket, naming.JOURNALS)
        keys = [each.key.removeprefix(naming.JOURNALS) for each in found]
        return _by_age([key.removesuffix(_SUFFIX) for key in keys if key.endswith(_SUFFIX)])

    def read(self, execution: str) -> bytes | None:
        """Return the journal; None if there is none."""
        try:
            return objects.read(self._region, self._bucket, naming.journal_key(execution))
        except NotFoundError:
            return None

    def where(self, execution: str) -> str:
        """Return the journal's address."""
        return f"s3://{self._bucket}/{naming.journal_key(execution)}"


def chosen(shelf: Shelf, asked: str | None) -> str:
    """Return the execution that is meant: by its id or the beginning of it, or the newest.

    RefusedError, with the list of those known, where that is none or several.
    """
    known = shelf.executions()
    if not known:
        raise RefusedError(f"{shelf.place} has no journal; look elsewhere with --region or --file")
    if asked is None:
        return known[-1]
    if asked in known:
        return asked
    meant = [each for each in known if each.startswith(asked)]
    if len(meant) == 1:
        return meant[0]
    why = f"several executions begin with {asked}" if meant else f"no execution {asked!r} is known"
    raise RefusedError(f"{why}; {shelf.place} has {_newest_of(meant or known)}")


def _newest_of(known: list[str]) -> str:
    listed = ", ".join(plain(each) for each in known[: -_SHOWN - 1 : -1])
    more = len(known) - _SHOWN
    return listed if more <= 0 else f"{listed} and {more} more (--list)"


def content(path: Path) -> bytes:
    """Return a file's bytes; RefusedError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise RefusedError(f"{path} cannot be read ({error.strerror}); give a journal") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a bucket's copy and this machine's journal say of each other."""

    verdict: str
    """`alone`, `whole`, `prefix` (the copy ends earlier), `ahead` (this machine's does), or
    `differs`."""
    text: str

    @property
    def fits(self) -> bool:
        """Whether one of the two may well have become the other by being written on."""
        return self.verdict not in {"ahead", "differs"}


def compared(copy: bytes, original: bytes | None) -> Comparison:
    """Compare a bucket's copy with this machine's journal, which is always written first."""
    if original is None:
        return Comparison(verdict="alone", text="this machine has no journal of it to compare with")
    if copy == original:
        return Comparison(verdict="whole", text="whole: equal to this machine's journal")
    theirs, ours = copy.split(b"\n"), original.split(b"\n")
    if original.startswith(copy):
        text = f"a prefix: the first {len(theirs) - 1} of this machine's {len(ours) - 1} lines"
        return Comparison(verdict="prefix", text=text)
    if copy.startswith(original):
        text = (
            f"this machine's journal has only the first {len(ours) - 1} of the copy's "
            f"{len(theirs) - 1} lines: its end was removed"
        )
        return Comparison(verdict="ahead", text=text)
    return Comparison(
        verdict="differs",
        text=f"differs from this machine's journal from line {_first_difference(theirs, ours)} on",
    )


def _first_difference(one: Sequence[bytes], other: Sequence[bytes]) -> int:
    pairs = enumerate(zip(one, other, strict=False), start=1)
    shorter = min(len(one), len(other))
    return next((number for number, (a, b) in pairs if a != b), shorter + 1)


def _by_age(executions: list[str]) -> list[str]:
    """Sort by the time in the ids, whatever verb they begin with."""

    def age(execution: str) -> tuple[str, str]:
        stamp = _STAMP.search(execution)
        return stamp[0] if stamp else "", execution

    return sorted(executions, key=age)
