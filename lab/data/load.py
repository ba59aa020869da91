r"""Loads a user's own dump into a product's database, all of it or nothing.

Everything runs as the master user in one transaction, so a dump can do no more than its owner
could do on RDS. What cannot mean anything here is left out and counted: owners and privileges
(everything belongs to the master user), the database itself (the product's is loaded into),
transactions, session settings that this server does not know. What fails is one error that names
statement and line.

psql is not used. Of its commands only those that dumps hold and that mean nothing here are
passed over; any other, such as `\!` or `\i`, is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import psycopg2
from psycopg2 import sql
from psycopg2.errors import UndefinedObject
from psycopg2.extensions import connection as Connection  # noqa: N812  # it is a class
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from lab.data import dumps
from lab.data.programs import BIN_VARIABLE
from lab.data.run import of
from lab.data.statements import Command, Splitter, Statement, copies_in

_SHOWN = 120


class LoadError(Exception):
    """The dump was not loaded, and nothing of it is there; the message is one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What was loaded, and what was left out."""

    tables: int
    rows: int
    left_out: dict[str, int]
    """Why → how many statements."""

    def __str__(self) -> str:
        text = f"{self.tables} tables and {self.rows} rows loaded"
        if self.left_out:
            reasons = (f"{count} {why}" for why, count in sorted(self.left_out.items()))
            text += f"; statements left out: {', '.join(reasons)}"
        return text


def load(path: Path, connection: Connection, *, run_dir: Path) -> Loaded:
    """Load the dump at `path` over the master user's connection, and commit.

    The connection must be fresh, and be closed afterwards: a dump changes its settings. Raise
    LoadError when anything fails; the database is then as it was.
    """
    try:
        with dumps.opened(path, of(run_dir / "pg")) as (source, is_archive):
            loading = _Loading(connection, Splitter(source), path.name, is_archive=is_archive)
            try:
                loaded = loading.run()
                connection.commit()
            except BaseException:
                _roll_back(connection)
                raise
    except dumps.DumpError as error:
        raise LoadError(str(error)) from error
    except psycopg2.Error as error:  # at the commit: deferred constraints
        msg = f"{path.name}: {_said(error)}; nothing was loaded"
        raise LoadError(msg) from error
    return loaded


def _roll_back(connection: Connection) -> None:
    if not connection.closed:
        connection.rollback()


_OWNERS = "of owners, roles and privileges"
_DATABASE = "about the database itself"
_TRANSACTIONS = "of transactions"
_PRESENT = "about what every database has"
_SETTINGS = "of settings unknown to this server"
_COMMANDS = "commands of psql"

_LEFT_OUT = tuple(
    (re.compile(pattern.encode(), re.IGNORECASE | re.DOTALL), why)
    for pattern, why in (
        (r"ALTER\b.*\bOWNER\s+TO\s+\S+$", _OWNERS),
        (r"(GRANT|REVOKE)\b", _OWNERS),
        (r"ALTER\s+DEFAULT\s+PRIVILEGES\b", _OWNERS),
        (r"(CREATE|ALTER|DROP)\s+(ROLE|USER|GROUP)\b(?!\s+MAPPING)", _OWNERS),
        (r"(SET|RESET)\s+(SESSION\s+|LOCAL\s+)?(ROLE|(SESSION\s+)?AUTHORIZATION)\b", _OWNERS),
        (r"(CREATE|ALTER|DROP|COMMENT\s+ON)\s+DATABASE\b", _DATABASE),
        (r"(BEGIN|START\s+TRANSACTION|COMMIT|END)\b(?!\s+PREPARED)", _TRANSACTIONS),
        (r"(VACUUM|CHECKPOINT)\b", "of maintenance"),
        (
            r"(CREATE|DROP)\s+SCHEMA\s+(IF\s+(NOT\s+)?EXISTS\s+)?\"?public\"?\s*(CASCADE)?$",
            _PRESENT,
        ),
        (r"(CREATE|DROP|ALTER|COMMENT\s+ON)\b[\w\s]*\bLANGUAGE\s+\"?plpgsql\"?\b", _PRESENT),
        (r"COMMENT\s+ON\s+EXTENSION\b", _PRESENT),
    )
)

_HARMLESS_COMMANDS = {
    b"\\restrict", b"\\unrestrict", b"\\echo", b"\\qecho", b"\\timing", b"\\pset", b"\\x",
}  # fmt: skip
_CONNECTS = {b"\\connect", b"\\c"}
_STOPS_ON_ERROR = re.compile(rb"\\set\s+(ON_ERROR_STOP|QUIET|VERBOSITY|ECHO|SHOW_CONTEXT)\b")
_MAINTENANCE = {"postgres", "template1", "template0"}

_SETTING = re.compile(rb"(SET|RESET)\s", re.IGNORECASE)
_POLICY = re.compile(rb"(CREATE|ALTER)\s+POLICY\b", re.IGNORECASE)
_TABLE = re.compile(rb"CREATE\s+((UNLOGGED|FOREIGN)\s+)?TABLE\b", re.IGNORECASE)
_ROLE_MISSING = re.compile(r'role "(.+)" does not exist')
_EXTENSION = re.compile(
    r'CREATE\s+EXTENSION\s+(?P<maybe>IF\s+NOT\s+EXISTS\s+)?(?P<name>"[^"]+"|[\w-]+)'
    r"(\s+WITH)?(\s+SCHEMA\s+(?P<schema>\"[^\"]+\"|\w+))?"
    r"(\s+VERSION\s+(?P<version>'[^']+'|\"[^\"]+\"|[\w.]+))?(\s+FROM\s+\S+)?(\s+CASCADE)?$",
    re.IGNORECASE,
)


class _Loading:
    """One dump on its way into one database."""

    def __init__(
        self, connection: Connection, splitter: Splitter, name: str, *, is_archive: bool
    ) -> None:
        self._connection = connection
        self._splitter = splitter
        self._name = name
        self._is_archive = is_archive
        self._left_out: Counter[str] = Counter()
        self._databases: set[str] = set()
        self._tables = 0
        self._rows = 0

    def run(self) -> Loaded:
        """Run every statement, without committing."""
        with self._connection.cursor() as cursor:
            cursor.execute("SET search_path = public; SET client_encoding = 'UTF8'")
            for item in self._splitter:
                if isinstance(item, Command):
                    self._pass_over(item)
                else:
                    self._run(cursor, item)
                standard = self._connection.get_parameter_status("standard_conforming_strings")
                self._splitter.escapes = standard == "off"
        return Loaded(tables=self._tables, rows=self._rows, left_out=dict(self._left_out))

    def _pass_over(self, command: Command) -> None:
        word = command.text.split(maxsplit=1)[0]
        if command.within:
            raise self._error(command.line, command.text, "psql's commands are not run")
        if word in _CONNECTS:
            self._connect(command)
        elif word not in _HARMLESS_COMMANDS and not _STOPS_ON_ERROR.match(command.text):
            raise self._error(
                command.line,
                command.text,
                "of psql's commands only those that pg_dump writes are taken; remove it",
            )
        self._left_out[_COMMANDS] += 1

    def _connect(self, command: Command) -> None:
        """Allow one database: two would be mixed."""
        words = command.text.decode(errors="replace").split()[1:]
        named = next((word for word in words if not word.startswith("-")), "")
        named = re.sub(r"""^["']?dbname='?|["';]""", "", named)
        if named and named not in _MAINTENANCE:
            self._databases.add(named)
        if len(self._databases) > 1:
            raise self._error(
                command.line,
                command.text,
                f"the dump holds several databases ({', '.join(sorted(self._databases))}); "
                "dump the one to rehearse with pg_dump",
            )

    def _run(self, cursor: Cursor, statement: Statement) -> None:
        text = statement.text
        for pattern, why in _LEFT_OUT:
            if pattern.match(text):
                self._left_out[why] += 1
                return
        try:
            if copies_in(text):
                self._copy(cursor, statement)
            elif _SETTING.match(text):
                self._set(cursor, text)
            elif _POLICY.match(text):
                self._run_for_a_role(cursor, text)
            elif extension := _EXTENSION.match(text.decode(errors="replace")):
                self._create_extension(cursor, statement, extension)
            else:
                cursor.execute(text)
                self._tables += _TABLE.match(text) is not None
                if text[:6].upper() == b"INSERT":
                    self._rows += max(0, cursor.rowcount)
        except psycopg2.Error as error:
            raise self._failure(statement, error) from error

    def _copy(self, cursor: Cursor, statement: Statement) -> None:
        data = _Data(self._splitter.data())
        try:
            cursor.copy_expert(statement.text, cast("BinaryIO", data))
        except psycopg2.Error as error:
            if data.is_cut_off:
                raise self._error(
                    statement.line, statement.text, "the file ends before its data do"
                ) from error
            raise
        self._rows += max(0, cursor.rowcount)

    def _set(self, cursor: Cursor, text: bytes) -> None:
        """Set a setting; one that this server does not know is of another version's."""
        cursor.execute("SAVEPOINT lab_load")
        try:
            cursor.execute(text)
        except UndefinedObject:
            cursor.execute("ROLLBACK TO lab_load")
            self._left_out[_SETTINGS] += 1
        cursor.execute("RELEASE lab_load")

    def _run_for_a_role(self, cursor: Cursor, text: bytes) -> None:
        """Run a statement that names roles, making those that do not exist, without login."""
        while True:
            cursor.execute("SAVEPOINT lab_load")
            try:
                cursor.execute(text)
            except UndefinedObject as error:
                missing = _ROLE_MISSING.search(error.diag.message_primary or "")
                if missing is None:
                    raise
                cursor.execute("ROLLBACK TO lab_load")
                cursor.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(missing[1])))
            else:
                return

    def _create_extension(
        self, cursor: Cursor, statement: Statement, parsed: re.Match[str]
    ) -> None:
        name = parsed["name"].strip('"')
        cursor.execute(
            "SELECT installed_version IS NOT NULL, coalesce((SELECT bool_or(v.trusted)"
            " FROM pg_available_extension_versions v WHERE v.name = e.name), false)"
            " FROM pg_available_extensions e WHERE name = %s",
            (name,),
        )
        found = cursor.fetchone()
        if found is None:
            raise self._error(
                statement.line,
                statement.text,
                f'the server has no extension "{name}"; set {BIN_VARIABLE} to the bin folder '
                "of a PostgreSQL that has it",
                statement.entry,
            )
        installed, trusted = found
        if trusted or (installed and parsed["maybe"]):
            cursor.execute(statement.text)
        else:
            schema = (parsed["schema"] or "").strip('"')
            version = (parsed["version"] or "").strip("\"'")
            cursor.execute("SELECT rdsadmin.create_extension(%s, %s, %s)", (name, schema, version))

    def _failure(self, statement: Statement, error: psycopg2.Error) -> LoadError:
        line = statement.line
        if error.diag.statement_position:
            before = statement.text.decode(errors="replace")[: int(error.diag.statement_position)]
            line += before.count("\n")
        return self._error(line, statement.text, _said(error), statement.entry)

    def _error(self, line: int, text: bytes, why: str, entry: str | None = None) -> LoadError:
        shown = " ".join(text.decode(errors="replace").split())
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
        place = f"line {line} of the archive's SQL" if self._is_archive else f"line {line}"
        if entry:
            place += f" ({entry})"
        return LoadError(f"{self._name}: {place}: {shown}: {why}; nothing was loaded")


class _Data:
    """A COPY's data as a file that psycopg2 reads."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self.is_cut_off = False
        self._lines = lines

    def read(self, size: int = 8192) -> bytes:
        """Return about `size` bytes, in whole lines; nothing at the end."""
        pieces: list[bytes] = []
        length = 0
        try:
            for line in self._lines:
                pieces.append(line)
                length += len(line)
                if length >= size:
                    break
        except EOFError:
            self.is_cut_off = True
            raise
        return b"".join(pieces)


def _said(error: psycopg2.Error) -> str:
    """Return what the server said, in one line."""
    if error.diag.message_primary is None:
        return " ".join(str(error).split())
    parts = (error.diag.message_primary, error.diag.message_detail, error.diag.context)
    return "; ".join(" ".join(part.split()) for part in parts if part)
