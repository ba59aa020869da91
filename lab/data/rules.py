"""What of a dump means nothing in the lab, and what must not be run."""

from __future__ import annotations

import re

SETTINGS = "of settings unknown to this server"
COMMANDS = "commands of psql"
_OWNERS = "of owners, roles and privileges"
_DATABASE = "about the database itself"
_TRANSACTIONS = "of transactions"
_PRESENT = "about what every database has"
_MAINTENANCE = "of maintenance"

# Only whole statements: ALTER TABLE may do other things beside OWNER TO, after a comma.
_OWNED = (
    r"TABLE|FOREIGN\s+TABLE|(MATERIALIZED\s+)?VIEW|SEQUENCE|TYPE|DOMAIN|SCHEMA|COLLATION|CONVERSION"
    r"|EVENT\s+TRIGGER|FOREIGN\s+DATA\s+WRAPPER|(PROCEDURAL\s+)?LANGUAGE|LARGE\s+OBJECT|PUBLICATION"
    r"|SUBSCRIPTION|SERVER|STATISTICS|TEXT\s+SEARCH\s+(CONFIGURATION|DICTIONARY)"
    r"|OPERATOR\s+(CLASS|FAMILY)"
)
_OWNED_WITH_ARGUMENTS = r"FUNCTION|PROCEDURE|ROUTINE|AGGREGATE|OPERATOR"
_NAME = r"(\"[^\"]+\"|[^\s(,\"])+"
_ROLE = r"(\"[^\"]+\"|\w+)"
_TO = rf"\s+OWNER\s+TO\s+{_ROLE}$"
_OWNER = rf"ALTER\s+({_OWNED})\s+(IF\s+EXISTS\s+)?(ONLY\s+)?{_NAME}(\s+USING\s+\w+)?{_TO}"
_OWNER_WITH_ARGUMENTS = rf"ALTER\s+({_OWNED_WITH_ARGUMENTS})\s+{_NAME}\s*(\(.*\))?{_TO}"

LEFT_OUT = tuple(
    (re.compile(pattern.encode(), re.IGNORECASE | re.DOTALL), why)
    for pattern, why in (
        (_OWNER, _OWNERS),
        (_OWNER_WITH_ARGUMENTS, _OWNERS),
        (r"(GRANT|REVOKE)\b", _OWNERS),
        (r"ALTER\s+DEFAULT\s+PRIVILEGES\b", _OWNERS),
        (r"(CREATE|ALTER|DROP|COMMENT\s+ON)\s+(ROLE|USER|GROUP)\b(?!\s+MAPPING)", _OWNERS),
        (r"(SET|RESET)\s+(SESSION\s+|LOCAL\s+)?(ROLE|(SESSION\s+)?AUTHORIZATION)\b", _OWNERS),
        (r"(CREATE|ALTER|DROP|COMMENT\s+ON)\s+DATABASE\b", _DATABASE),
        (r"(BEGIN|START\s+TRANSACTION|COMMIT|END)\b(?!\s+PREPARED)", _TRANSACTIONS),
        (r"(VACUUM|CHECKPOINT)\b", _MAINTENANCE),
        (
            r"(CREATE|DROP)\s+SCHEMA\s+(IF\s+(NOT\s+)?EXISTS\s+)?\"?public\"?\s*(CASCADE)?$",
            _PRESENT,
        ),
        (
            r"(CREATE|DROP|ALTER|COMMENT\s+ON)\b[\w\s]*\bLANGUAGE\s+\"?plpgsql\"?\s*(;|$|IS)",
            _PRESENT,
        ),
        (r"COMMENT\s+ON\s+EXTENSION\b", _PRESENT),
    )
)

_UNDOES = re.compile(
    rb"(ROLLBACK|ABORT)\b(?!.*\bTO\b)|PREPARE\s+TRANSACTION\b", re.IGNORECASE | re.DOTALL
)

_HARMLESS = {
    b"\\restrict", b"\\unrestrict", b"\\echo", b"\\qecho", b"\\timing", b"\\pset", b"\\x",
}  # fmt: skip
_CONNECTS = {b"\\connect", b"\\c"}
_STOPS_ON_ERROR = re.compile(rb"\\set\s+(ON_ERROR_STOP|QUIET|VERBOSITY|ECHO|SHOW_CONTEXT)\b")
_MAINTENANCE_DATABASES = {"postgres", "template0", "template1"}


def undoes(statement: bytes) -> bool:
    """Whether a statement ends the transaction that everything is loaded in."""
    return _UNDOES.match(statement) is not None


def means_nothing(command: bytes) -> bool:
    """Whether a command of psql's can be passed over."""
    word = command.split(maxsplit=1)[0].rstrip(b";")
    return word in _HARMLESS | _CONNECTS or _STOPS_ON_ERROR.match(command) is not None


def connects(command: bytes) -> bool:
    """Whether a command of psql's goes to a database."""
    return command.split(maxsplit=1)[0] in _CONNECTS


def database_of(command: bytes) -> str | None:
    r"""Return the database that a `\connect` goes to; None for one that is not a user's."""
    words = command.decode(errors="replace").split()[1:]
    named = next((word for word in words if not word.startswith("-")), "")
    named = re.sub(r"""^["']?dbname='?|["';]""", "", named)
    return named if named and named not in _MAINTENANCE_DATABASES else None
