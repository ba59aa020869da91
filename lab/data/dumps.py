"""Recognises a dump and gives its SQL.

An archive of pg_dump's is turned into SQL by `pg_restore --file`, which connects to nothing, and
then loaded like any other SQL. So one set of rules holds for both, a failure names a statement
and a line, and no client program that runs commands is ever connected to a server: crafted dumps
have made psql and pg_restore run code (CVE-2025-8714, CVE-2026-18408, CVE-2026-116314). As root,
pg_restore runs as the servers' unprivileged user.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lab.data.programs import ProgramError
from lab.data.run import Run

_CUSTOM = b"PGDMP"
_TAR = (257, b"ustar")
_TABLE_OF_CONTENTS = "toc.dat"
_START = 4096

_ELSEWHERE = (
    (b"\x1f\x8b", "is compressed with gzip; unpack it first"),
    (b"PK\x03\x04", "is a zip file; unpack it first"),
    (b"BZh", "is compressed with bzip2; unpack it first"),
    (b"\xfd7zXZ", "is compressed with xz; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd; unpack it first"),
    (b"SQLite format 3", "is an SQLite database, no dump"),
    (b"\xff\xfe", "is UTF-16; save it as UTF-8 first"),
    (b"\xfe\xff", "is UTF-16; save it as UTF-8 first"),
)
_MYSQL = (b"-- MySQL dump", b"-- MariaDB dump", b"/*M!")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class DumpError(Exception):
    """The file is no dump that can be loaded; the message says why."""


@contextmanager
def opened(path: Path, run: Run) -> Generator[tuple[BinaryIO, bool]]:
    """Yield a dump's SQL, and whether it was made from an archive.

    Raise DumpError when it is neither SQL nor an archive that pg_restore reads.
    """
    if _is_archive(path):
        with tempfile.TemporaryDirectory(prefix=".load-", dir=run.folder) as scratch:
            converted = _convert(path, Path(scratch), run)
            with converted.open("rb") as file:
                yield file, True
    else:
        with path.open("rb") as file:
            if file.read(len(_BYTE_ORDER_MARK)) != _BYTE_ORDER_MARK:
                file.seek(0)
            yield file, False


def _is_archive(path: Path) -> bool:
    if path.is_dir():
        if (path / _TABLE_OF_CONTENTS).is_file():
            return True
        msg = f"{path} is a folder without {_TABLE_OF_CONTENTS}: no directory archive of pg_dump"
        raise DumpError(msg)
    try:
        with path.open("rb") as file:
            start = file.read(_START)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise DumpError(msg) from error
    place, magic = _TAR
    if start.startswith(_CUSTOM) or start[place:].startswith(magic):
        return True
    for beginning, why in _ELSEWHERE:
        if start.startswith(beginning):
            msg = f"{path} {why}"
            raise DumpError(msg)
    if start.lstrip().startswith(_MYSQL):
        msg = f"{path} is a dump of MySQL or MariaDB; a dump of PostgreSQL is needed"
        raise DumpError(msg)
    if not start.strip() or b"\0" in start:
        msg = f"{path} holds no SQL, nor is it an archive of pg_dump"
        raise DumpError(msg)
    return False


def _convert(path: Path, scratch: Path, run: Run) -> Path:
    """Write an archive's SQL to a file in `scratch`, without owners, privileges, tablespaces."""
    run.programs.give(scratch)
    converted = scratch / "archive.sql"
    command = run.programs.command(
        "pg_restore", "--no-owner", "--no-privileges", "--no-tablespaces", f"--file={converted}"
    )
    try:
        if path.is_dir():
            # Copied, because the servers' user may not be able to enter the user's folder.
            copy = scratch / "archive"
            shutil.copytree(path, copy)
            for part in [copy, *copy.rglob("*")]:
                run.programs.give(part)
            run.programs.run([*command, str(copy)])
        else:
            with path.open("rb") as file:
                run.programs.run(command, stdin=file)
    except ProgramError as error:
        msg = f"{path} cannot be read as an archive of pg_dump: {error}"
        raise DumpError(msg) from error
    return converted
