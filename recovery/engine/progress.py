"""Tells, while a recovery runs, what it is doing: text on a terminal, JSON lines elsewhere."""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import asdict
from typing import TextIO

from recovery.engine.budget import Spending


class Progress:
    """One line an event on standard error, with the seconds since the command began."""

    def __init__(self, stream: TextIO | None = None, *, as_text: bool | None = None) -> None:
        """Write to `stream` (standard error); text where it is a terminal, or as told."""
        self._stream = stream or sys.stderr
        self._as_text = self._stream.isatty() if as_text is None else as_text
        self._began = time.monotonic()
        self._lock = threading.Lock()

    @property
    def seconds(self) -> float:
        """Return the seconds since the command began."""
        return time.monotonic() - self._began

    def say(
        self, product: str, step: str, event: str, text: str, spending: Spending | None = None
    ) -> None:
        """Print one event. A reader that has gone away does not stop a recovery.

        Where the RTO stands is a field of each event; as text, it is in a step's first line.
        """
        if self._as_text:
            if spending and event == "acting":
                text = f"{text} ({spending.text})"
            line = f"{self.seconds:7.1f} s  {product:<12} {step:<22} {event:<8} {text}".rstrip()
        else:
            fields: dict[str, object] = {"seconds": round(self.seconds, 3)}
            fields |= {"product": product, "step": step, "event": event, "text": text}
            if spending:
                fields["budget"] = {name: round(each, 3) for name, each in asdict(spending).items()}
            line = json.dumps(fields)
        with self._lock:
            try:
                print(line, file=self._stream, flush=True)
            except BrokenPipeError:
                return
