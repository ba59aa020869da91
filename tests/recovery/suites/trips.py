"""Whole round trips: away by an outage or a planned move, home again by one command, with troubles.

Each command is run again as it is until it has done its part; there is no other manual step. What
must hold at home again is asserted here.
"""

import contextlib
import io
import random
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest

from recovery import failback, failover, switchover
from tests.recovery.homecoming import Command
from tests.recovery.journeys import OTHER, REGIONS, Journey
from tests.recovery.simulated import WITNESS, Fault, Killed
from tests.recovery.suites import stories
from tests.recovery.suites.clouds import ASSIGNMENT, PRODUCT, RTO_SECONDS, Troubled, said
from tests.recovery.suites.troubles import KINDS, Operation, Trouble, may_befall

WAYS = {
    "failover, the region dark": failover.PROCEDURE,
    "failover, the region answers": failover.PROCEDURE,
    "switchover": switchover.PROCEDURE,
}
"""How a product leaves home."""
DARK, PLANNED = "failover, the region dark", "switchover"
MOST_TROUBLES = 3
"""Of each command."""
SHARE_OF_KILLS = 0.6
ROWS_BEFORE = 20
"""What customers write before anything begins."""
OVER = {0, 6}


class TroubledJourney(Troubled, Journey):
    """A round trip whose calls may meet a trouble."""

    def case_of(self, verb, site, name=PRODUCT, **accepted):
        made = super().case_of(verb, site, name, **accepted)
        return replace(made, product=replace(made.product, rto_seconds=RTO_SECONDS))

    def is_away(self):
        """Say whether the product serves at the other site, by a command that has ended."""
        away = OTHER[self.home]
        both = [self.tables[region][ASSIGNMENT] for region in (REGIONS[away], WITNESS)]
        newest = max(each["epoch"] for each in both)
        told = {(each["site"], each["settled"]) for each in both if each["epoch"] == newest}
        return told == {(away, True)}

    def wrong_ever(self):
        """Say what was lost, and what was done twice."""
        again = [each for each, count in Counter(self.promoted_in).items() if count > 1]
        return said(
            {
                "; ".join(self.lost): self.lost,
                f"promoted again: {again}": again,
                f"snapshots: {self.snapshots_taken}": len(set(self.snapshots_taken))
                != len(self.snapshots_taken),
                f"replicas asked for: {self.replicas_asked}": len(self.replicas_asked) > 2,
            }
        )

    def wrong_in_the_end(self):
        """Say what the product lacks that is home again."""
        home, away = self.home, OTHER[self.home]
        active, standby = (self.databases.get(f"{PRODUCT}-{site}-1") for site in (home, away))
        if active is None or standby is None:
            return f"a database is gone: {sorted(self.databases)}"
        replicas = {each.id: each.source for each in self.databases.values() if each.source}
        claims = {(PRODUCT, "primary"): 0.0, (PRODUCT, "dr"): float(home == "dr")}
        wanted = self.acknowledged[PRODUCT] - self.forgiven[PRODUCT]
        rows = set(self.rows[active.id]["public.entries"])
        told = {(each["site"], each["claim"], each["alone"]) for each in self.assignments()}
        return self.differ() or said(
            {
                f"replicas: {replicas}": replicas != {standby.id: active.arn},
                f"{len(wanted - rows)} rows are lost": wanted - rows,
                f"claims: {self.claims}": self.claims != claims,
                f"assigned: {told}": told != {(home, home == "dr", "")},
                f"not served at {home}": not self.serves(PRODUCT, home),
                "customers are not served": self.get(f"{PRODUCT}.example", 443, "/").status != 200,
                f"closed: {self.closed}": {active.id, standby.id} & self.closed,
                f"kept aside: {sorted(self.protected)}": len(self.protected) != 2,
            }
        )


class Trip:
    """One product's way from home and back."""

    def __init__(self, home, way):
        self.home, self.way = home, way
        self.cloud = TroubledJourney(home)
        plan = stories.Plan(
            name="trip",
            cloud=lambda: self.cloud,
            procedure=WAYS[way],
            is_taken_back=False,
        )
        self._scene = stories.Scene(plan)

    def __enter__(self):
        self._scene.__enter__()
        self._patch = pytest.MonkeyPatch()
        self._failback = Command(self._patch, self._scene.folder, self.cloud, failback.main)
        self._patch.setattr(
            "recovery.opening.cases",
            lambda *_, **__: (self.cloud.case_of("failback", self.home),),
        )
        for _ in range(ROWS_BEFORE):
            self.cloud.pass_by()
        return self

    def __exit__(self, *told):
        self._patch.undo()
        self._scene.__exit__(*told)

    def leave(self):
        """Run the command that brings it away; return its exit code, or `killed`."""
        verb = self.way.partition(",")[0]
        return self._scene.run(self.cloud.case_of(verb, OTHER[self.home]))

    def begin(self):
        """Let what makes people leave begin."""
        if self.way != PLANNED:
            self.cloud.strike(self.home, dark=self.way == DARK)
            self.cloud.may_lose = True

    def heal(self):
        """Let the site that was left come back."""
        self.cloud.heal()
        self.cloud.may_lose = False

    def come_home(self):
        """Run `recovery.failback` once; return its exit code, or `killed`."""
        try:
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                return self._failback("failback", "--region", REGIONS[self.home], "--json")
        except Killed:
            return "killed"

    def die(self):
        """Let home fail at last; return what is wrong with a failover then."""
        self.cloud.strike(self.home, dark=True)
        self.cloud.may_lose = True
        away = OTHER[self.home]
        code = self._scene.run(self.cloud.case_of("failover", away), failover.PROCEDURE)
        served = self.cloud.get(f"{PRODUCT}.example", 443, "/").status == 200
        fell = code in OVER and served and not self.cloud.wrong_ever()
        return "" if fell else f"a later failover ended with {code}, {self.cloud.claims}"


def told(home, way, away_troubles, home_troubles):
    """Tell a round trip; each trouble befalls one run of its command."""
    found = stories.Told()
    with Trip(home, way) as trip:
        trip.begin()
        _again(trip.cloud, found, trip.leave, away_troubles, trip.cloud.is_away)
        if found.wrong:
            return found
        trip.heal()
        ended = []

        def come_home():
            ended[:] = [trip.come_home()]
            return ended[0]

        _again(trip.cloud, found, come_home, home_troubles, lambda: ended[:1] in ([0], [6]))
        found.wrong = found.wrong or trip.cloud.wrong_in_the_end() or trip.die()
    return found


def _again(cloud, found, run, troubles, is_over):
    """Run the command with each trouble, then until it is over."""
    for trouble in troubles:
        kill = trouble if isinstance(trouble, Fault) else None
        cloud.fault, cloud.fired = kill, False
        cloud.trouble = None if kill else trouble
        found.codes.append(run())
        cloud.fault = cloud.trouble = None
        found.wrong = found.wrong or cloud.wrong_ever()
        if is_over():
            break
    for _ in range(stories.RUNS):
        if found.wrong or is_over():
            break
        found.codes.append(run())
        found.wrong = cloud.wrong_ever()
    if not found.wrong and not is_over():
        found.wrong = f"not over after {stories.RUNS} runs without a trouble"


@cache
def calls(home, way):
    """Return the calls of an undisturbed trip: of the way there, and of the way home."""
    with Trip(home, way) as trip:
        trip.begin()
        assert trip.leave() == 0, (home, way)
        there = _made(trip.cloud)
        trip.heal()
        assert trip.come_home() == 0, (home, way)
        return there, _made(trip.cloud)


def _made(cloud):
    """Return what plans called since the last time, and what of it writes; forget it."""
    made = sorted(call for call in cloud.calls if call.step), set(cloud.writes)
    cloud.calls.clear()
    cloud.writes.clear()
    return made[0], made[1] & set(made[0])


def trips(count, seed):
    """Yield (name, kind, tell) of that many round trips."""
    chance = random.Random(seed)
    for _ in range(count):
        home, way = chance.choice(sorted(OTHER)), chance.choice(sorted(WAYS))
        drawn = [_troubles(chance, *made) for made in calls(home, way)]
        troubles = [f"{each.kind} {each.call}" if isinstance(each, Fault) else str(each)
                    for befalling in drawn for each in befalling]  # fmt: skip
        yield (
            f"{home}, {way}: {', '.join(troubles)}",
            f"{home}, {way}",
            lambda home=home, way=way, drawn=drawn: told(home, way, *drawn),
        )


def _troubles(chance, made, writes):
    """Draw the kills and faults of one command."""
    return [
        (_kill if chance.random() < SHARE_OF_KILLS else _fault)(chance, made, writes)
        for _ in range(chance.randint(0, MOST_TROUBLES))
    ]  # fmt: skip


def _kill(chance, made, writes):
    if chance.random() < 0.5:
        return Fault(chance.choice(sorted(writes)), "kill-after")
    return Fault(chance.choice(made), "kill-before")


def _fault(chance, made, writes):
    while True:
        call, kind = chance.choice(made), chance.choice(KINDS)
        operation = Operation(call.step, call.function, call.region)
        if may_befall(kind, operation, writes=call in writes):
            return Trouble(kind, operation, call.number)
