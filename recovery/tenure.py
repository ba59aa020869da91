"""Whether a site may serve, from what a guard last read of the three control tables.

A site may serve while two of the three tables, read less than a TTL ago, name it in the same
epoch and no table has ever named a higher one. One table is enough where its item says so of that
very table: a person accepted that. A table without an item, or without an answer, gives no vote.
The TTL counts from before a read was sent, so that it never outlasts the answer.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from recovery.assignment import Assignment

VOTES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The right to serve, until a moment of the clock that the reads were timed with."""

    epoch: int
    claim: bool
    """Whether the site takes the product's traffic away from its peer."""
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why the site may not serve now."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Vote:
    table: str
    assignment: Assignment | None
    asked: float


class Tenure:
    """What the tables said to one guard; its readers and its users may be different threads."""

    def __init__(self, site: str, ttl: float) -> None:
        self._site = site
        self._ttl = ttl
        self._lock = threading.Lock()
        self._votes: dict[str, _Vote] = {}
        self._newest: Assignment | None = None

    @property
    def newest(self) -> Assignment | None:
        """The assignment with the highest epoch that any table ever named."""
        return self._newest

    def answering(self, now: float) -> int:
        """Return how many tables answered of late: each is read three times in a TTL."""
        with self._lock:
            return sum(now < vote.asked + self._ttl / 2 for vote in self._votes.values())

    def hear(self, table: str, assignment: Assignment | None, *, asked: float) -> None:
        """Take what the table of a region answered to a read sent at `asked`; None: no item."""
        with self._lock:
            self._votes[table] = _Vote(table=table, assignment=assignment, asked=asked)
            if assignment and (self._newest is None or assignment.epoch > self._newest.epoch):
                self._newest = assignment

    def at(self, now: float) -> Held | Refused:
        """Return whether the site may serve at `now`."""
        with self._lock:
            valid = self._valid(now)
            highest = self._newest.epoch if self._newest else 0
        ours = [
            (vote, vote.assignment)
            for vote in valid
            if vote.assignment is not None
            and vote.assignment.site == self._site
            and vote.assignment.epoch == highest
        ]
        latest = sorted((vote.asked for vote, _ in ours), reverse=True)
        enough = [vote.asked for vote, assignment in ours if assignment.alone == vote.table]
        enough += latest[VOTES - 1 : VOTES]
        if not enough:
            return Refused(why=self._reason(valid, len(ours), highest))
        return Held(
            epoch=highest,
            claim=any(assignment.claim for _, assignment in ours),
            until=max(enough) + self._ttl,
        )

    def _valid(self, now: float) -> list[_Vote]:
        return [vote for vote in self._votes.values() if now < vote.asked + self._ttl]

    def _reason(self, valid: list[_Vote], ours: int, highest: int) -> str:
        found = [vote.assignment for vote in valid if vote.assignment is not None]
        newest = next((each for each in found if each.epoch == highest), None)
        if newest is not None and newest.site != self._site:
            return f"{newest.site} is assigned in epoch {highest}"
        return f"{ours} of the {VOTES} votes needed; {len(valid)} tables answer"
