"""The operator's keyboard, of which several products' plans may want an answer."""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
import time
from collections.abc import Callable
from typing import Self

_CHUNK = 4096


class Terminal:
    """Lines typed at a terminal; whoever asks keeps the turn until it leaves."""

    def __init__(self, file: int) -> None:
        """Read from the terminal of this file descriptor."""
        self._file = file
        self._lock = threading.Lock()
        self._asker: str | None = None
        self._typed = b""
        self.gone = False
        """Whether nothing more can be typed: it hung up, or the operator typed Ctrl-D."""

    @classmethod
    def of_standard_input(cls) -> Self | None:
        """Return the terminal that standard input is, or None where it is none."""
        # Python has no sys.stdin where the descriptor was closed.
        return cls(sys.stdin.fileno()) if sys.stdin and sys.stdin.isatty() else None

    def line(self, asker: str, seconds: float, ask: Callable[[], None]) -> str | None:
        """Return the line that was typed for this asker, or None after so many seconds.

        `ask` prints the question; it is called when the turn comes. What was typed before that
        answers nothing, and is forgotten.
        """
        with self._lock:
            comes = self._asker is None
            if comes:
                self._asker = asker
            mine = self._asker == asker
        if not mine or self.gone or not self._in_foreground():
            if comes:
                self.leave(asker)
            time.sleep(seconds)
            return None
        if comes:
            termios.tcflush(self._file, termios.TCIFLUSH)
            self._typed = b""
            ask()
        return self._read(seconds)

    def leave(self, asker: str) -> None:
        """Give the turn to the next who asks."""
        with self._lock:
            if self._asker == asker:
                self._asker = None

    def _read(self, seconds: float) -> str | None:
        """Read at most a line, which is all that a terminal gives at once (termios(3))."""
        if not select.select([self._file], [], [], seconds)[0]:
            return None
        try:
            chunk = os.read(self._file, _CHUNK)
        except OSError:
            chunk = b""
        self.gone = not chunk
        self._typed += chunk
        if not self._typed.endswith(b"\n"):
            return None
        typed, self._typed = self._typed, b""
        return typed.decode(errors="replace").strip()

    def _in_foreground(self) -> bool:
        """Say whether this process may read: one in the background is stopped if it does."""
        try:
            return os.tcgetpgrp(self._file) == os.getpgrp()
        except OSError:
            return True  # not the terminal that controls this process
