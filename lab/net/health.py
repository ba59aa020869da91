"""Health checks of targets, as a load balancer makes them, and their report to the AWS process.

A new target is `initial`; its first good answer makes it healthy, later ones count against the
thresholds. Intervals are AWS's divided by the lab's speed, but not below a floor: two cores serve
everything here.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

import msgspec

from lab.net import messages
from lab.net.world import Check, Target, World

_FLOOR_UNHEALTHY = 0.1
_FLOOR_HEALTHY = 0.5
_FLOOR_TIMEOUT = 2.0
_RETRY = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A target in its group: what is checked, and how."""

    group: str
    target: Target
    check: Check
    speed: float


class Condition:
    """A target's state and how many answers in a row speak against it."""

    def __init__(self, check: Check) -> None:
        self.state = "initial"
        self._check = check
        self._against = 0

    def observe(self, *, good: bool) -> bool:
        """Take one answer into account; return whether the state changed."""
        if (self.state == "healthy") == good and self.state != "initial":
            self._against = 0
            return False
        self._against += 1
        needed = self._check.threshold_healthy if good else self._check.threshold_unhealthy
        if self.state == "initial" and good:
            needed = 1
        if self._against < needed:
            return False
        self.state = "healthy" if good else "unhealthy"
        self._against = 0
        return True


class Health:
    """The state of every target; follows the world, and reports each change."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/_lab/health"
        self._watched: dict[Subject, tuple[Condition, asyncio.Task[None]]] = {}
        self._changed = asyncio.Event()

    def follow(self, world: World) -> None:
        """Watch exactly the targets of living regions."""
        wanted = {
            Subject(group=arn, target=target, check=group.health, speed=world.speed)
            for arn, group in world.target_groups.items()
            if world.is_up(group.region)
            for target in group.targets
        }
        for subject in set(self._watched) - wanted:
            _, task = self._watched.pop(subject)
            task.cancel()
        for subject in wanted - set(self._watched):
            condition = Condition(subject.check)
            task = asyncio.create_task(self._watch(subject, condition))
            self._watched[subject] = (condition, task)
        self._changed.set()

    def healthy(self, group: str) -> list[Target]:
        """Return the targets of a group that may be sent requests."""
        return [
            subject.target
            for subject, (condition, _) in self._watched.items()
            if subject.group == group and condition.state == "healthy"
        ]

    def states(self) -> dict[str, dict[str, str]]:
        """Return target group → target id → state."""
        states: dict[str, dict[str, str]] = {}
        for subject, (condition, _) in self._watched.items():
            states.setdefault(subject.group, {})[subject.target.id] = condition.state
        return states

    async def report(self) -> None:
        """Post all states whenever one has changed; until the AWS process has taken them."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            body = msgspec.json.encode(self.states())
            try:
                answer = await asyncio.wait_for(
                    messages.request(self._url, method="POST", body=body), _FLOOR_TIMEOUT
                )
                taken = answer.status < 300  # noqa: PLR2004  # HTTP's successes
            except (OSError, messages.MalformedError, TimeoutError):
                taken = False
            if not taken:
                self._changed.set()
                await asyncio.sleep(_RETRY)

    async def _watch(self, subject: Subject, condition: Condition) -> None:
        while True:
            good = await _answers(subject)
            if condition.observe(good=good):
                self._changed.set()
            await asyncio.sleep(_interval(subject, condition.state))


def _interval(subject: Subject, state: str) -> float:
    floor = _FLOOR_HEALTHY if state == "healthy" else _FLOOR_UNHEALTHY
    return max(floor, subject.check.interval / subject.speed if subject.speed else 0)


async def _answers(subject: Subject) -> bool:
    check, target = subject.check, subject.target
    port = int(check.port) if check.port and str(check.port).isdigit() else target.port
    timeout = max(_FLOOR_TIMEOUT, check.timeout / subject.speed if subject.speed else 0)
    with contextlib.suppress(OSError, messages.MalformedError, TimeoutError):
        answer = await asyncio.wait_for(
            messages.request(f"http://{target.address}:{port}{check.path}"), timeout
        )
        return matches(check.matcher, answer.status)
    return False


def matches(matcher: str, status: int) -> bool:
    """Whether a status is among those of a matcher such as `200`, `200,302` or `200-299`."""
    for part in matcher.split(","):
        low, _, high = part.strip().partition("-")
        if int(low) <= status <= int(high or low):
            return True
    return False
