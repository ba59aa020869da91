"""People who run recovery's real commands, give up, are cut off, and run them again."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from recovery import assign, failover
from recovery.cloud.client import Region
from recovery.engine.errors import BUG, OutsideError, RecoveryError
from recovery.execution import execute
from recovery.steps.case import Accepted, Case
from tests.recovery.model.clockwork import Process

REGIONS = ("us-east-1", "us-west-2", "us-east-2")

ACCEPTED = "Ada Lovelace: the region is off"


class Command(Process):
    """A process of recovery."""

    target = ""
    """The region that it moves the product to."""
    takeover: Any = None

    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        self.unheard = set()
        """Regions that some request of it did not reach at once, or from which no answer came."""
        self.overtaking = set()
        """Regions whose tables said, when it had begun, that its epoch is past."""


class Operator:
    """One run of a command, as a process on some machine."""

    def __init__(self, world, site, number, *, place, split_brain=False):
        self.world, self.number = world, number
        facts = world.facts
        target, peer = facts.sites[site], facts.peer_of(site)
        self.name = f"operator {number} to {site}"
        self.process = Command(
            self.name, place, rate=world.rate(worst=1), offset=world.random.uniform(0, 1e6)
        )
        self.process.target = target.region
        self.is_final = False
        """Whether it would end no other way if it ran again."""
        self.outcome = None
        """Its exit code, once it has ended."""
        self._items = {}
        """What each region's table said when it began."""
        self.case = Case(
            topology=facts,
            product=facts.products[0],
            site=target,
            peer=peer,
            here=Region(target.region),
            witness=Region(facts.witness.region, once=True),
            there=Region(peer.region, once=True),
            resolver=None,
            execution=f"failover-{number}",
            operator=self.name,
            accepted=Accepted(
                even_if_healthy=True,
                data_loss_seconds=300,
                split_brain=ACCEPTED if split_brain else None,
            ),
        )

    def fail_over(self):
        self.world.note(f"{self.name} begins, from {self.process.place}")
        self.world.clockwork.spawn(self.process, self._fail_over)
        return self

    def complete(self):
        self.world.clockwork.spawn(self.process, self._complete)
        return self

    def kill(self):
        if self.outcome is None:
            self.world.note(f"{self.name} is killed")
            self.outcome = -9
        self.world.clockwork.kill(self.process)

    def _plan(self, takeover):
        self.process.takeover = takeover
        self.process.overtaking = self._overtaking(takeover.target)
        return failover.plan(takeover)

    def _overtaking(self, target):
        """Return the regions whose tables leave no room for this epoch."""
        found = {region: item for region, item in self._items.items() if item}
        witness, answering = self.case.witness.name, found.keys() - self.process.unheard
        named = {
            region
            for region, item in found.items()
            if (item["site"], item["epoch"]) == (target.site, target.epoch)
        }
        return {
            region
            for region, item in found.items()
            if item["epoch"] > target.epoch
            or (item["epoch"] == target.epoch and region not in named and witness not in answering)
        }

    def _fail_over(self):
        self._items = {region: self.world.item(region) for region in REGIONS}
        journal: Any = SimpleNamespace(write=lambda *_: None)
        progress: Any = SimpleNamespace(say=self._say, seconds=0.0)
        how = replace(failover.PROCEDURE, plan=self._plan, objective=None)
        outcome = execute(self.case, how, journal, progress)
        self.outcome = outcome.exit_code
        self.is_final = self.outcome in {0, 6} or any(
            why in (outcome.error or "") for why in ("already active", "replicates nothing")
        )
        said = f": {outcome.error}" if outcome.error else ""
        if self.outcome == BUG:
            self.world.violate(f"{self.name} ends by {outcome.error}")
        self.world.note(f"{self.name} ends with {outcome.exit_code}{said}")

    def _complete(self):
        try:
            assign.complete(self.case)
        except (RecoveryError, OutsideError) as error:
            self.world.note(f"{self.name} could not complete the tables: {error}")
            self.outcome = 4
            return
        self.world.note(f"{self.name} completed the tables")
        self.outcome = 0

    def _say(self, _product, step, event, text, _spending=None):
        if event not in {"acting", "says"}:
            self.world.note(f"{self.name} {step} {event}: {text}")


class Person:
    """Runs the command again until it ends well, or is refused for good."""

    def __init__(self, world, site, *, tries=3, split_brain=False):
        self.world, self.site = world, site
        self._tries, self._split_brain = tries, split_brain
        self.running = None
        self._forgotten = []
        self._look()

    def interrupt(self):
        """Kill what runs; the person comes back later."""
        if self.running:
            self.running.kill()

    def freeze(self, seconds):
        if self.running:
            self.running.process.frozen_until = self.world.now + seconds
            self.world.note(f"{self.running.name} is frozen for {seconds:.0f} s")

    def forget(self):
        """Leave what runs behind, and begin another run."""
        if self.running:
            self._forgotten.append(self.running)
            self.running = None

    def leave(self):
        self._tries = 0
        self.interrupt()

    def end(self):
        for each in self._forgotten:
            each.kill()

    def _look(self):
        world = self.world
        ended = self.running is None or self.running.outcome is not None
        if ended and self.running is not None and self.running.is_final:
            return
        if ended:
            if self._tries == 0:
                return
            self._tries -= 1
            world.operators += 1
            here = world.facts.sites[self.site].region
            self.running = Operator(
                world,
                self.site,
                world.operators,
                place=here if world.random.random() < 0.7 else "office",
                split_brain=self._split_brain,
            ).fail_over()
        world.clockwork.after(world.random.uniform(2, 20), self._look)
