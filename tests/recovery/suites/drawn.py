"""Which stories a suite tells: every one that there is once, then drawn ones, by a seed."""

import random
from functools import cache

from tests.recovery.simulated import Fault
from tests.recovery.suites import stories, trips
from tests.recovery.suites.troubles import KINDS, Trouble, may_befall

SHARE_ELSEWHERE = 0.3
"""Of the drawn kills: how many are gone on with on another machine, when the lease has run out."""
MOST_KILLS = 3
SHARE_RESUMED = 0.25
"""Of the faults: how many befall a run that goes on with a killed one."""


@cache
def _of(plan):
    return stories.operations(stories.PLANS[plan])


def faults(count, seed, *, plans=tuple(stories.PLANS), kinds=()):
    """Yield (name, kind, tell) of that many faults: each kind at each operation, in any order."""
    pairs = [
        (plan, kind, operation)
        for plan in plans
        for kind in KINDS
        if not kinds or kind.name in kinds
        for operation, writes in _of(plan)[0].items()
        if may_befall(kind, operation, writes=writes)
    ]
    chance = random.Random(seed)
    chance.shuffle(pairs)
    for number in range(count):
        plan, kind, operation = pairs[number % len(pairs)]
        first = 1 + number // len(pairs)
        kill = None
        if chance.random() < SHARE_RESUMED:
            kill = Fault(chance.choice(_of(plan)[2]), "kill-after")
        trouble = Trouble(kind, operation, first)
        yield (
            f"{plan}: {trouble} (call {first}){f', after a kill at {kill.call}' if kill else ''}",
            kind.name,
            lambda plan=plan, trouble=trouble, kill=kill: stories.troubled(
                stories.PLANS[plan], trouble, kill
            ),
        )


def kills(count, seed, *, plans=tuple(stories.PLANS)):
    """Yield (name, kind, tell) of that many stories: each call's kill, then several in a row."""
    single = [
        (plan, [Fault(call, kind)])
        for plan in plans
        for kind, calls in (("kill-before", _of(plan)[1]), ("kill-after", _of(plan)[2]))
        for call in calls
    ]
    chance = random.Random(seed)
    chance.shuffle(single)
    for number in range(count):
        if number < len(single):
            plan, faults_ = single[number]
            elsewhere = False
        else:
            plan = chance.choice(plans)
            possible = [fault for each, (fault,) in single if each == plan]
            faults_ = chance.choices(possible, k=chance.randint(1, MOST_KILLS))
            elsewhere = chance.random() < SHARE_ELSEWHERE
        name = ", ".join(f"{fault.kind} {fault.call}" for fault in faults_)
        yield (
            f"{plan}: {name}{', gone on elsewhere' if elsewhere else ''}",
            f"{plan}, {len(faults_)} kills{', elsewhere' if elsewhere else ''}",
            lambda plan=plan, faults_=faults_, elsewhere=elsewhere: stories.killed(
                stories.PLANS[plan], faults_, elsewhere=elsewhere
            ),
        )


SUITES = {"faults": faults, "kills": kills, "trips": trips.trips}
