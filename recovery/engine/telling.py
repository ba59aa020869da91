"""What happens to one product, told to the operator and to the journal in the same words."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from recovery.engine.budget import Spending
from recovery.engine.journal import Fact, Journal
from recovery.engine.progress import Progress

Account = Callable[[str], Mapping[str, Fact]]
"""Given a step, tells what else the journal shall say of its end, such as the calls it made."""

_NEVER_STOPS = {"failed", "budget"}
"""Events that a disk which takes no more does not turn into a failure."""


class Teller:
    """Prints and journals."""

    def __init__(
        self,
        *,
        product: str,
        journal: Journal,
        progress: Progress,
        account: Account,
        spending: Callable[[], Spending | None],
    ) -> None:
        """Tell of this product; `spending` goes with every event on progress."""
        self.product = product
        self._journal = journal
        self._progress = progress
        self._account = account
        self._spending = spending
        self._began = time.monotonic()

    def begin(self) -> None:
        """Take the time from now on, for the next `end`."""
        self._began = time.monotonic()

    def act(self, step: str, saw: str) -> None:
        """Journal, before it acts, what a step saw; then print it."""
        self._journal.write(self.product, step, "acting", {"saw": saw})
        self.show(step, "acting", saw)

    def end(self, step: str, event: str, text: str) -> None:
        """Record a step's end, with what it took."""
        seconds = round(time.monotonic() - self._began, 3)
        self.record(step, event, text, {"seconds": seconds, **self._account(step)})

    def record(
        self, step: str, event: str, text: str, facts: Mapping[str, Fact] | None = None
    ) -> None:
        """Print, then journal: a failing disk must not hide what happened."""
        self.show(step, event, text)
        try:
            self._journal.write(self.product, step, event, {"text": text, **(facts or {})})
        except OSError as error:
            if event not in _NEVER_STOPS:
                raise
            if str(error) not in text:
                self.show(step, event, f"not journalled: {error}")

    def show(self, step: str, event: str, text: str) -> None:
        """Print only."""
        self._progress.say(self.product, step, event, text, self._spending())
