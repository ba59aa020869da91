"""What only the lab knows of a move: the customers' view, the calls, AWS's own durations.

Recovery's own report says what an operator can know; this one is printed after it and never
mixed with it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from lab import control, ledger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

GLOBAL_SERVICES = frozenset({"route53", "iam", "sts", "cloudfront", "organizations"})
"""Services whose control planes, or global endpoints, are in us-east-1."""
_STEP_PREFIX = "step#"
_ANSWER_SECONDS = 1.0
"""How late a customer may note what was acknowledged right before the close."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call to AWS, as the lab recorded it."""

    n: int
    at: float
    caller: str
    agent: str
    region: str
    service: str
    action: str
    outcome: str
    seconds: float

    @property
    def step(self) -> str:
        """Return the recovery step on whose behalf it was made, without the product."""
        return self.agent.removeprefix(_STEP_PREFIX).rpartition("/")[2] or "open"

    @property
    def answered(self) -> bool:
        """Whether AWS answered at all, be it with an error."""
        return self.outcome.isdecimal()


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """One of AWS's durations that the lab waited for, compressed."""

    at: float
    operation: str
    resource: str
    region: str
    lab_seconds: float
    aws_seconds: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCalls:
    """The calls of one recovery step: how many to each region, and how the dead one fared."""

    step: str
    by_region: dict[str, int]
    to_dead: int
    dead_answered: int
    dead_seconds: float
    """The longest call of the step to the dead region; they are made side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A planned move, by what it promised: nothing is lost, and the old site takes no more."""

    left: str
    """The site that was left."""
    closed_at: float | None
    """Unix time at which recovery had its database closed; None where it did not come so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the customers of one product saw of the outage."""

    experience: ledger.Experience
    back_after: float | None
    """Seconds from the kill to the first acknowledged write after the outage; None: never."""
    outage: float | None
    """Seconds without any acknowledged write: the longest gap; None: too short to be kept."""
    aws_outage: float | None
    """What the outage would have been with AWS's own durations in place of the lab's."""
    waited: tuple[Wait, ...]
    """The modelled waits inside the outage."""
    last_heartbeat: float | None
    """Unix time up to which recovery said that nothing is lost."""
    predicted_loss: float | None
    complaints: tuple[str, ...] = field(default=())
    """What contradicts a recovery without unforeseen loss, or a move without any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that the lab has to say of one failover or switchover."""

    killed: str
    """The region that was killed; empty in a planned move."""
    killed_at: float
    """Unix time from which an outage counts."""
    recovery_began: float
    """Unix time at which the operator's command was started."""
    recovery_exit: int
    recovery_seconds: float
    speed: float
    views: tuple[View, ...]
    calls: tuple[StepCalls, ...]
    protection: dict[str, str]
    """Product → what recovery says of its standby after a planned move."""

    @property
    def succeeded(self) -> bool:
        """Whether recovery said so and no customer contradicts it."""
        return self.recovery_exit == 0 and not any(view.complaints for view in self.views)


def operator_calls() -> list[Call]:
    """Return the calls that operators made in this lab so far."""
    made = parse_calls(control.get("calls?after=0")["calls"])
    return [call for call in made if call.caller.startswith("LABOPERATOR")]


def parse_calls(found: object) -> list[Call]:
    """Return calls as the lab's control API gives them."""
    return msgspec.convert(found, list[Call])


def waits() -> list[Wait]:
    """Return the modelled waits that were taken so far."""
    return msgspec.convert(control.get("waits"), list[Wait])


def calls_by_step(calls: Iterable[Call], dead: str) -> tuple[StepCalls, ...]:
    """Return the calls of each step, in the order in which the steps first called."""
    steps: dict[str, list[Call]] = {}
    for call in calls:
        steps.setdefault(call.step, []).append(call)
    found: list[StepCalls] = []
    for step, made in steps.items():
        lost = [c for c in made if touches(c, dead)]
        found.append(
            StepCalls(
                step=step,
                by_region=dict(Counter(call.region for call in made)),
                to_dead=len(lost),
                dead_answered=sum(call.answered for call in lost),
                dead_seconds=max((call.seconds for call in lost), default=0.0),
            )
        )
    return tuple(found)


def touches(call: Call, dead: str) -> bool:
    """Whether a call goes to the dead region, or to a control plane that lives in it."""
    if not dead:
        return False
    lives_there = dead == "us-east-1" and call.service in GLOBAL_SERVICES
    return call.region == dead or (lives_there and call.region in {"", "aws-global"})


def view(  # the facts come from four places
    experience: ledger.Experience,
    *,
    killed_at: float,
    waited: Sequence[Wait],
    speed: float,
    last_heartbeat: float | None,
    predicted_loss: float | None,
    move: Move | None = None,
) -> View:
    """Return what the customers saw, judged against what recovery predicted or a move promised."""
    gap = experience.outage(killed_at)
    inside = tuple(
        wait
        for wait in waited
        if gap and gap.since <= wait.at <= gap.until and experience.product in wait.resource
    )
    returned = gap is None or (experience.last_write or 0.0) >= gap.until
    complaints = [] if returned else ["no write was acknowledged after the outage"]
    complaints += _complaints(experience)
    complaints += _against(move, experience) if move else _unforeseen(experience, last_heartbeat)
    return View(
        experience=experience,
        back_after=gap.until - killed_at if gap and returned else None,
        outage=gap.seconds if gap else None,
        aws_outage=gap.seconds + _stretch(inside, gap, speed) if gap else None,
        waited=inside,
        last_heartbeat=last_heartbeat,
        predicted_loss=predicted_loss,
        complaints=tuple(complaints),
    )


def _complaints(experience: ledger.Experience) -> Iterable[str]:
    if not experience.compared:
        yield "the product could not be asked what it has"
    if experience.misread:
        yield f"{experience.misread} acknowledged writes could not be read back"
    if experience.duplicated:
        yield f"{len(experience.duplicated)} writes are there twice"


def _against(move: Move, experience: ledger.Experience) -> Iterable[str]:
    """Judge a planned move, which may lose nothing at all."""
    if experience.lost:
        first = experience.lost[0]
        yield (
            f"{len(experience.lost)} acknowledged writes are lost in a planned move, the first "
            f"{first.id} of {first.site or 'no site'}"
        )
    last = experience.last_by_site.get(move.left)
    if last is not None and move.closed_at is not None and last > move.closed_at + _ANSWER_SECONDS:
        yield (
            f"{move.left} acknowledged a write {last - move.closed_at:.1f} s after its database "
            "was closed"
        )


def _unforeseen(experience: ledger.Experience, last_heartbeat: float | None) -> Iterable[str]:
    if experience.lost and last_heartbeat is None:
        yield f"{len(experience.lost)} acknowledged writes are lost, and recovery predicted none"
    early = [w for w in experience.lost if last_heartbeat is not None and w.at < last_heartbeat]
    if early:
        yield (
            f"{len(early)} writes are lost that were acknowledged before the recovery point, "
            f"the first {early[0].id}"
        )


def _stretch(waited: Sequence[Wait], gap: ledger.Gap, speed: float) -> float:
    """Return the seconds that AWS's own durations would have added to the gap.

    Waits that overlap run side by side at AWS as well: what counts is the time in which any was
    waited for. At speed 0 nothing is waited for, and the longest of each operation counts.
    """
    if speed <= 0:
        longest: dict[str, float] = {}
        for wait in waited:
            longest[wait.operation] = max(longest.get(wait.operation, 0.0), wait.aws_seconds)
        return sum(longest.values())
    covered = 0.0
    reached = gap.since
    for wait in sorted(waited, key=lambda wait: wait.at):
        begins, ends = max(wait.at, reached), min(wait.at + wait.lab_seconds, gap.until)
        covered += max(0.0, ends - begins)
        reached = max(reached, ends)
    return covered * (speed - 1)


def as_json(story: Story) -> str:
    """Return the story for machines."""
    return msgspec.json.format(msgspec.json.encode(story), indent=2).decode()
