"""What talking to a database can end in.

    DatabaseError (an OutsideError)
    ├── DatabaseUnreachableError   no connection, or it broke; try again
    ├── DatabaseDeniedError        wrong password, unknown database, or not allowed
    ├── DatabaseReadOnlyError      a standby, or told to be read-only
    └── QueryFailedError           any other answer of the database; `code` is its SQLSTATE

Each message is one line and names the database; none carries a password.
"""

from __future__ import annotations

from recovery.engine.errors import OutsideError, PassingError


class DatabaseError(OutsideError):
    """The database did not do what was asked."""

    def __init__(self, where: str, message: str, code: str = "") -> None:
        self.where = where
        self.code = code
        self.message = " ".join(message.split())
        super().__init__(f"database {where}: {f'{code} ' if code else ''}{self.message}")


class DatabaseUnreachableError(DatabaseError, PassingError):
    """No connection could be made in time, or it broke."""


class DatabaseDeniedError(DatabaseError):
    """The credentials are wrong or do not allow it."""


class DatabaseReadOnlyError(DatabaseError):
    """It takes no writes now."""


class QueryFailedError(DatabaseError):
    """The database refused the statement."""
