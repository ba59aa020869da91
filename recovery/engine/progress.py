"""Tells, while a recovery runs, what it is doing: text on a terminal, JSON lines elsewhere."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import TextIO


class Progress:
    """One line an event on standard error, with the seconds since the command began."""

    def __init__(self, stream: TextIO | None = None, *, as_text: bool | None = None) -> None:
        """Write to `stream` (standard error); text where it is a terminal, or as told."""
        self._stream = stream or sys.stderr
        self._as_text = self._stream.isatty() if as_text is None else as_text
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def say(self, product: str, step: str, event: str, text: str) -> None:
        """Print one event. A reader that has gone away does not stop a recovery."""
        seconds = time.monotonic() - self._began
        if self._as_text:
            line = f"{seconds:7.1f} s  {product:<12} {step:<22} {event:<8} {text}".rstrip()
        else:
            fields = {"product": product, "step": step, "event": event, "text": text}
            line = json.dumps({"seconds": round(seconds, 3), **fields})
        with self._lock:
            try:
                print(line, file=self._stream, flush=True)
            except BrokenPipeError:
                return
