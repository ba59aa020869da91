"""The sample product's connections to its database: kept, and remade when they break."""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING, TypeVar

import psycopg2
import psycopg2.errors

from lab.names import UnresolvedError
from lab.product.aws import RequestFailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg2.extensions import connection, cursor

    from lab.names import Resolver

Result = TypeVar("Result")

_CONNECTIONS = 4
_WAIT_SECONDS = 4.0
_OPTIONS = "-c statement_timeout=4s -c search_path=rlg,public"


class UnavailableError(Exception):
    """The database cannot do what was asked now: it is away, full of work, or read-only."""


class Database:
    """A few connections through the database's name, verified against the CA of the environment.

    `credentials` is asked again for each new connection, so a changed password is picked up.
    """

    def __init__(
        self,
        *,
        host: str,
        name: str,
        resolver: Resolver,
        credentials: Callable[[], dict[str, str]],
    ) -> None:
        self._host = host
        self._name = name
        self._resolver = resolver
        self._credentials = credentials
        self._idle: queue.LifoQueue[connection] = queue.LifoQueue()
        self._free = threading.Semaphore(_CONNECTIONS)

    def run(self, work: Callable[[cursor], Result]) -> Result:
        """Return what `work` returns, committed.

        Work that fails on a connection that had been kept is done again on a new one, unless it
        failed in the commit: then nobody knows whether it holds. Raise UnavailableError where
        trying later may help; what `work` itself raises undoes what it did.
        """
        if not self._free.acquire(timeout=_WAIT_SECONDS):
            msg = f"all {_CONNECTIONS} database connections are busy"
            raise UnavailableError(msg)
        try:
            with contextlib.suppress(queue.Empty):
                kept = self._idle.get_nowait()
                try:
                    return self._finish(kept, self._begin(kept, work))
                except _BrokenError:
                    self._drop_idle()
            fresh = self._connect()
            try:
                return self._finish(fresh, self._begin(fresh, work))
            except _BrokenError as error:
                raise UnavailableError(str(error)) from error
        finally:
            self._free.release()

    def _begin(self, link: connection, work: Callable[[cursor], Result]) -> Result:
        try:
            with link.cursor() as commands:
                return work(commands)
        except psycopg2.errors.ReadOnlySqlTransaction as error:
            link.rollback()
            self._idle.put(link)
            msg = "the database is read-only here: this site is the standby"
            raise UnavailableError(msg) from error
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            link.close()
            raise _BrokenError(str(error).strip()) from error
        except BaseException:
            link.rollback()
            self._idle.put(link)
            raise

    def _finish(self, link: connection, result: Result) -> Result:
        try:
            link.commit()
        except psycopg2.Error as error:
            link.close()
            msg = f"the outcome of the commit is unknown: {str(error).strip()}"
            raise UnavailableError(msg) from error
        self._idle.put(link)
        return result

    def _connect(self) -> connection:
        try:
            credentials = self._credentials()
            return psycopg2.connect(
                host=self._host,
                hostaddr=self._resolver.address(self._host),
                port=5432,
                dbname=self._name,
                user=credentials["username"],
                password=credentials["password"],
                sslmode="verify-full",
                connect_timeout=2,
                options=_OPTIONS,
                application_name="product",
            )
        except (UnresolvedError, RequestFailedError, psycopg2.OperationalError) as error:
            raise UnavailableError(str(error).strip()) from error

    def _drop_idle(self) -> None:
        """Close what was kept: what broke one connection most likely broke all."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()


class _BrokenError(Exception):
    """A connection broke before its work was committed."""
