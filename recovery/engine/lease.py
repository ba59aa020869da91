"""The execution lease: who may run recovery for a product.

Who may *serve* the product is the active assignment, another thing.

One item in the target's table and one in the witness's. The target's keeps two operators with the
same target apart, the witness's those with different ones; a dark witness is said and passed
over. A holder counts `renewals` up, in the background and right before each act, on the condition
that its token is still the item's; whoever sees the count stand still for a whole TTL on its own
clock may take the item over with the next token. No two clocks are ever compared.
"""

from __future__ import annotations

import contextvars
import os
import platform
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from recovery.engine.errors import OutsideError, RefusedError, StepFailedError
from recovery.engine.parallel import answers

TTL_SECONDS = 15.0
_RENEWALS_PER_TTL = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The lease item of one table. An empty holder means that it is free."""

    holder: str
    execution: str
    token: int
    renewals: int


class Conflict(Exception):  # noqa: N818 - an answer, not a fault
    """The table's entry is not the one that was expected; nothing was written."""


class Table(Protocol):
    """One control table's lease item; both methods raise OutsideError where it is dark."""

    name: str

    def read(self) -> Entry | None:
        """Return the entry, strongly consistent; None if there is none."""
        ...

    def replace(self, expected: Entry | None, entry: Entry) -> None:
        """Write `entry` if the item's token and renewals are `expected`'s, else raise Conflict."""
        ...


class Lease:
    """A held lease; `renew` right before each act."""

    def __init__(
        self, *, holder: str, execution: str, ttl: float, clock: Callable[[], float]
    ) -> None:
        """Describe the holder; nothing is held before `acquire`."""
        self._holder = holder
        self._execution = execution
        self._ttl = ttl
        self._clock = clock
        self._held: dict[str, tuple[Table, Entry]] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._lost: str | None = None

    def take(self, table: Table) -> None:
        """Hold `table`'s item. RefusedError where somebody else holds it and is alive."""
        found = table.read()
        if found is not None and found.holder and not _is_dead_here(found.holder):
            self._wait_until_still(table, found)
        entry = Entry(
            holder=self._holder,
            execution=self._execution,
            token=found.token + 1 if found else 1,
            renewals=0,
        )
        try:
            table.replace(found, entry)
        except Conflict as error:
            now = table.read()
            if now != entry:  # else the write arrived, although its answer did not
                holder = now.holder if now and now.holder else "another operator"
                msg = (
                    f"{holder} took the lease in {table.name} at this moment; follow that "
                    "execution, or run again when it has ended"
                )
                raise RefusedError(msg) from error
        with self._lock:
            self._held[table.name] = (table, entry)

    def _wait_until_still(self, table: Table, found: Entry) -> None:
        began = self._clock()
        while self._clock() - began < self._ttl:
            time.sleep(self._ttl / _RENEWALS_PER_TTL)
            now = table.read()
            if now != found:
                msg = (
                    f"{found.holder} is running execution {found.execution} (lease in "
                    f"{table.name}, renewed just now); follow that one, or stop it and run again"
                )
                raise RefusedError(msg)

    def keep(self) -> None:
        """Renew in the background until `release`; a lost lease shows at the next `renew`."""
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._keep,), name="lease", daemon=True).start()

    def _keep(self) -> None:
        while not self._stop.wait(self._ttl / _RENEWALS_PER_TTL):
            try:
                self.renew()
            except StepFailedError:
                return
            except OutsideError:
                continue

    def renew(self) -> None:
        """Hold the lease still when this returns.

        StepFailedError where somebody took it over. OutsideError where the first table taken, the
        target's, cannot be asked; one that goes dark later is passed over.
        """
        with self._lock:
            if self._lost:
                raise StepFailedError(self._lost)
            renewed = answers([partial(self._renew_one, name) for name in self._held])
            if renewed and isinstance(renewed[0], OutsideError):
                raise renewed[0]

    def _renew_one(self, name: str) -> None:
        table, entry = self._held[name]
        renewed = replace(entry, renewals=entry.renewals + 1)
        try:
            table.replace(entry, renewed)
        except Conflict as error:
            found = table.read()
            if found is None or (found.holder, found.token) != (entry.holder, entry.token):
                self._lost = (
                    f"the execution lease in {name} was taken over by another operator; "
                    "this execution has stopped acting"
                )
                raise StepFailedError(self._lost) from error
            renewed = found  # an earlier renewal arrived although its answer did not
        self._held[name] = (table, renewed)

    def release(self) -> None:
        """Free what is held; where that fails, the TTL frees it."""
        self._stop.set()
        with self._lock:
            for table, entry in self._held.values():
                free = Entry(
                    holder="", execution="", token=entry.token, renewals=entry.renewals + 1
                )
                try:
                    table.replace(entry, free)
                except (Conflict, OutsideError):
                    continue
            self._held.clear()


def this_process(operator: str) -> str:
    """Return the holder's name of this process: operator, host, process id and its start."""
    return f"{operator} on {_machine()} (process {os.getpid()}.{_started(os.getpid())})"


def _is_dead_here(holder: str) -> bool:
    """Say whether `holder` was a process of this host that is gone: then nobody need wait."""
    _, _, place = holder.rpartition(" on ")
    host, _, process = place.partition(" (process ")
    pid, _, started = process.rstrip(")").partition(".")
    return host == _machine() and pid.isdigit() and _started(int(pid)) != started


def _machine() -> str:
    """Name this boot of this machine and its process ids, whatever its host name is."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{platform.node()}/{boot[:8]}/{Path('/proc/self/ns/pid').readlink()}"


def _started(pid: int) -> str:
    """Return when a process started, in ticks since boot; empty if there is none (proc(5))."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]
