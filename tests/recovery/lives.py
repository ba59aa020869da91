"""Commands whose every process holds one pipe open, so that the last one's end is an event."""

import os
import select
import time

from recovery.ward import boot_clock

PATIENCE_SECONDS = 30


class Life:
    """A command, and whatever it starts."""

    def __init__(self, folder, name="life"):
        self._path = folder / name
        os.mkfifo(self._path)
        self._end = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
        self._events = select.poll()
        self._events.register(self._end, select.POLLIN)
        self._said = b""

    def close(self):
        os.close(self._end)

    def command(self, script):
        """Return a shell's command that holds the pipe as its standard output."""
        return ["sh", "-c", f"exec >'{self._path}'; {script}"]

    def says(self):
        """Wait for a line of the command and return it."""
        while b"\n" not in self._said:
            heard = self._read()
            assert heard, f"it ended, having said {self._said!r}"
            self._said += heard
        line, _, self._said = self._said.partition(b"\n")
        return line.decode()

    def end(self):
        """Wait until no process of it is left and return when that was, by the boot clock."""
        while heard := self._read():
            self._said += heard
        return boot_clock()

    def renew(self):
        """Listen for another run of the command, after the end of one."""
        before = self._end
        self._events.unregister(before)
        self._end = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
        self._events.register(self._end, select.POLLIN)
        os.close(before)
        self._said = b""

    def is_silent(self, seconds):
        """Say whether nothing began, was said or ended in this time."""
        return not self._events.poll(seconds * 1000)

    def _read(self):
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            if self._events.poll(1000):
                return os.read(self._end, 4096)
        raise AssertionError(f"nothing happened; it had said {self._said!r}")
