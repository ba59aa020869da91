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
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import psycopg2
from psycopg2 import sql
from psycopg2.errors import UndefinedObject
from psycopg2.extensions import connection as Connection  # noqa: N812  # it is a class
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.extensions import make_dsn

from lab.data import dumps, extensions, rules
from lab.data.programs import BIN_VARIABLE
from lab.data.run import ADMIN, Run, of
from lab.data.statements import Command, Data, Splitter, Statement, copies_in

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
    run = of(run_dir / "pg")
    connection.autocommit = False
    try:
        with dumps.opened(path, run) as (source, is_archive):
            loading = _Loading(connection, Splitter(source), path.name, run, is_archive=is_archive)
            try:
                loaded = loading.run()
                connection.commit()
            except BaseException:
                if not connection.closed:
                    connection.rollback()
                raise
            finally:
                loading.close()
    except dumps.DumpError as error:
        raise LoadError(str(error)) from error
    except psycopg2.Error as error:  # at the commit: deferred constraints
        msg = f"{path.name}: {_said(error)}; nothing was loaded"
        raise LoadError(msg) from error
    return loaded


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
        self,
        connection: Connection,
        splitter: Splitter,
        name: str,
        run: Run,
        *,
        is_archive: bool,
    ) -> None:
        self._connection = connection
        self._shared = run
        self._splitter = splitter
        self._name = name
        self._is_archive = is_archive
        self._left_out: Counter[str] = Counter()
        self._databases: set[str] = set()
        self._tables = 0
        self._rows = 0
        self._admin: Connection | None = None

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
        """Count a command that means nothing here; raise LoadError for any other."""
        if command.within or not rules.means_nothing(command.text):
            raise self._error(
                command.line,
                command.text,
                "psql's commands are not run, save those that pg_dump writes; "
                "run the file with psql elsewhere and dump that database with pg_dump",
            )
        if rules.connects(command.text):
            self._connect(command)
        self._left_out[rules.COMMANDS] += 1

    def _connect(self, command: Command) -> None:
        """Allow one database: two would be mixed."""
        if named := rules.database_of(command.text):
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
        for pattern, why in rules.LEFT_OUT:
            if pattern.match(text):
                self._left_out[why] += 1
                return
        if rules.undoes(text):
            raise self._error(statement.line, text, "it would undo what came before; remove it")
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
        data = Data(self._splitter.data())
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
            self._left_out[rules.SETTINGS] += 1
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
            self._allow_extensions()
            cursor.execute("SELECT rdsadmin.create_extension(%s, %s, %s)", (name, schema, version))

    def _allow_extensions(self) -> None:
        """Let the master user create what RDS lets it, until the end of the load."""
        if self._admin is None:
            place = self._connection.info.dsn_parameters
            password = self._shared.password(ADMIN)
            self._admin = psycopg2.connect(
                make_dsn(**(place | {"user": ADMIN, "password": password}))
            )
            self._admin.autocommit = True
            with self._admin.cursor() as cursor:
                cursor.execute(extensions.ALLOW)

    def close(self) -> None:
        """Take back what was allowed; called when the load is committed or rolled back."""
        if self._admin is not None:
            with self._admin.cursor() as cursor:
                cursor.execute(extensions.DISALLOW)
            self._admin.close()

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


def _said(error: psycopg2.Error) -> str:
    """Return what the server said, in one line."""
    if error.diag.message_primary is None:
        return " ".join(str(error).split())
    parts = (error.diag.message_primary, error.diag.message_detail, error.diag.context)
    return "; ".join(" ".join(part.split()) for part in parts if part)
