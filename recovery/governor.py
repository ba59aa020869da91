"""Runs a product's command while its site is assigned, and never beyond: the guard's main thread.

It decides when the command is to start, to stop and to be dead; a ward (recovery.ward) sees to it,
also when the guard cannot. A command that ends by itself ends the guard with its exit status, so
that whoever started the guard decides what comes next: that is the only way back from a failure.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from recovery import ward
from recovery.tenure import Held, Tenure
from recovery.ward import boot_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from recovery.idle import Idle

WARD_LOST = 125
"""Exit status of a guard whose ward was killed or did not answer; the command is dead then."""
LONGEST_GRACE_SECONDS = 5.0
_TICK_SECONDS = 1.0
_LEFTOVERS_SECONDS = 10.0
_STARTED_BY = ("-I", "-S")
"""Options of the ward's Python: nothing of the product's environment, no site-packages."""


class Say(Protocol):
    """Tells a change: topic, state, and why."""

    def __call__(self, topic: str, state: str, why: str = "", /) -> None:
        """Tell it."""
        ...


@dataclass(slots=True, kw_only=True)
class Governor:
    """One command under one tenure."""

    command: tuple[str, ...]
    site: str
    tenure: Tenure
    ttl: float
    idle: Idle | None
    """What answers while the command does not run; None: nothing does."""
    decided: Callable[[], bool]
    """Whether every table was asked once: before, nobody knows what this host is to be."""
    say: Say
    _run: _Run | None = None
    _told_to_end: int = 0
    """The signal that this process was told to end with."""
    _waker: int | None = None

    @property
    def grace(self) -> float:
        """Return the seconds between SIGTERM and SIGKILL, at most."""
        return min(self.ttl / 6, LONGEST_GRACE_SECONDS)

    @property
    def is_running(self) -> bool:
        """Whether the command runs; it may be about to stop."""
        return self._run is not None

    def govern(self) -> int:
        """Run the command whenever the tenure lets it; return the exit status of the guard.

        To be called in the main thread, which alone gets signals.
        """
        ward.adopt_orphans()
        woken, waker = os.pipe()
        for end in (woken, waker):
            os.set_blocking(end, False)
        self._waker = waker
        with self._signals(waker):
            while (status := self._turn()) is None:
                self._wait(woken)
        return status

    def wake(self) -> None:
        """Look at the tenure now: something was heard. Any thread may call it, at any time."""
        if self._waker is not None:
            with contextlib.suppress(BlockingIOError):
                os.write(self._waker, b"\0")

    def _turn(self) -> int | None:
        """Do what is to be done now; return the exit status when it is over."""
        if (run := self._run) and (answer := run.answer()):
            status = self._end(run, *answer)
            return self._rest() if status is None else status
        if run is None:
            return self._rest()
        now = boot_clock()
        held = self.tenure.at(now)
        if self._told_to_end:
            run.stop(now + self.grace)
        elif self._is_superseded(run):
            run.stop(now + self.grace)
            self.say("command", "stopping", "another site is assigned")
        elif isinstance(held, Held) and held.until > run.until:
            run.prolong(held.until)
        if now >= run.until - self.grace and not run.is_stopping:
            run.stop(run.until)
            self.say("command", "stopping", "the tenure ends; too few tables answer")
        if now >= run.until + _LEFTOVERS_SECONDS:
            return self._lose(run, "it did not answer at the deadline")
        return None

    def _rest(self) -> int | None:
        """Start the command if the site is assigned; else let the ports answer.

        Nothing is started that would have to stop at once.
        """
        if self._told_to_end:
            if self.idle:
                self.idle.close()
            return 128 + self._told_to_end
        now = boot_clock()
        held = self.tenure.at(now)
        if isinstance(held, Held) and held.until - now > 2 * self.grace:
            if self.idle:
                self.idle.close()
                self.say("idle ports", "given up")
            self._run = _Run(self.command, held.until, epoch=held.epoch)
            self.say("command", "running")
        elif self.idle and self.decided():
            try:
                self.idle.open()
            except OSError as error:
                self.say("idle ports", "taken", str(error))
            else:
                self.say("idle ports", "answer")
        return None

    def _is_superseded(self, run: _Run) -> bool:
        newest = self.tenure.newest
        return newest is not None and newest.epoch > run.epoch and newest.site != self.site

    def _end(self, run: _Run, how: str, status: int) -> int | None:
        """Take in that nothing of the command is left; return the exit status if that is final."""
        if how == _LOST:
            return self._lose(run, "it was killed")
        run.close()
        self._run = None
        self.say("command", "stopped" if run.is_stopping else how, f"exit status {status}")
        by_itself = how == _ENDED and not run.is_stopping
        return status if by_itself or self._told_to_end else None

    def _lose(self, run: _Run, why: str) -> int:
        """End what a lost ward left, which came to this process, and give up."""
        run.kill()
        gone = ward.end_descendants(_LEFTOVERS_SECONDS)
        self.say("command", "killed" if gone else "not dead", f"the ward was lost: {why}")
        return WARD_LOST

    def _wait(self, woken: int) -> None:
        """Return when something was heard, the ward answered, or a moment has come."""
        events = select.poll()
        events.register(woken, select.POLLIN)
        seconds = _TICK_SECONDS
        if run := self._run:
            events.register(run.channel, select.POLLIN)
            if not run.is_stopping:
                due = run.until - self.grace - boot_clock()
                seconds = min(seconds, max(0.0, due))
        events.poll(seconds * 1000 + 1)
        with contextlib.suppress(BlockingIOError):
            os.read(woken, 4096)

    @contextlib.contextmanager
    def _signals(self, waker: int) -> Generator[None]:
        """Take SIGTERM and SIGINT as the order to stop the command and end."""

        def told(number: int, _frame: object) -> None:
            self._told_to_end = number

        numbers = (signal.SIGTERM, signal.SIGINT)
        before = [signal.signal(number, told) for number in numbers]
        writes_to = signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(writes_to)
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)


_ENDED, _LOST = "ended", "lost"


class _Run:
    """One run of the command, behind a ward of its own."""

    def __init__(self, command: tuple[str, ...], until: float, *, epoch: int) -> None:
        self.until = until
        """When everything is dead at the latest, by the boot clock."""
        self.epoch = epoch
        self.is_stopping = False
        self._channel, theirs = socket.socketpair()
        self._channel.setblocking(False)
        with theirs:
            self._ward = subprocess.Popen(
                [
                    *(sys.executable, *_STARTED_BY, ward.__file__),
                    *(str(theirs.fileno()), repr(until), *command),
                ],
                pass_fds=[theirs.fileno()],
            )

    @property
    def channel(self) -> int:
        """The descriptor on which the ward answers."""
        return self._channel.fileno()

    def prolong(self, until: float) -> None:
        """Let the command live until then."""
        if not self.is_stopping:
            self.until = until
            self._order("until", until)

    def stop(self, until: float) -> None:
        """Ask the command to end, and end it by then, or by the deadline that holds already."""
        if not self.is_stopping:
            self.is_stopping = True
            self.until = min(self.until, until)
            self._order("stop", self.until)

    def answer(self) -> tuple[str, int] | None:
        """Return how the run ended, with what exit status; None: it goes on."""
        try:
            said = self._channel.recv(4096)
        except BlockingIOError:
            return None
        except OSError:
            said = b""
        how, _, status = said.decode().strip().partition(" ")
        return (how, int(status)) if status else (_LOST, WARD_LOST)

    def close(self) -> None:
        """Let go of a ward that has answered."""
        self._channel.close()
        self._ward.wait()

    def kill(self) -> None:
        """Kill the ward, and with it the command itself."""
        self._ward.kill()
        self.close()

    def _order(self, what: str, until: float) -> None:
        # A ward that is too frozen to read, or gone, keeps the deadline that it has.
        with contextlib.suppress(OSError):
            self._channel.send(f"{what} {until!r}\n".encode())
