"""One seed's story: moves between the sites, what goes wrong meanwhile, and the healing."""

from collections import Counter
from dataclasses import dataclass, field

import pytest

from tests.recovery.model.aws import Aws, database
from tests.recovery.model.operators import Operator, Person
from tests.recovery.model.troubles import Troubles
from tests.recovery.model.world import SITES, World


@dataclass(slots=True)
class Told:
    """What came of one story."""

    seed: int
    violations: list[str]
    timeline: list[tuple[float, str]]
    contested: int
    """Proven promotions that had an old site to outwait, and trouble."""
    counts: Counter = field(default_factory=Counter)

    def text(self):
        lines = [f"seed {self.seed}", *(f"{at:9.3f}  {said}" for at, said in self.timeline)]
        return "\n".join(lines)


def tell(seed, *, planted=None):
    """Play the story of this seed; `planted` changes the code first."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        world = World(seed)
        aws = Aws(world)
        aws.install(monkeypatch)
        if planted:
            planted(monkeypatch)
        story = _Story(world, aws)
        try:
            story.play()
        finally:
            story.end()
        return Told(seed, world.violations, world.timeline, world.contested, story.counts())


class _Story:
    def __init__(self, world, aws):
        self._world, self._aws, self._draw = world, aws, world.random
        self._people = []
        self._troubles = Troubles(world, self._people)
        self._counts = Counter()

    def play(self):
        world = self._world
        for host in world.all_hosts():
            host.boot()
        self._pass(0.7 * world.ttl)
        begins = self._draw.random()
        if begins < 0.06:
            self._overtake_an_epoch()
        elif begins < 0.12:
            self._thaw_an_operator()
        site = _other(world.newest()["site"])
        for _ in range(self._draw.choice((1, 2, 3, 3))):
            self._move(site)
            if world.violations:
                return
            self._reprotect()
            site = _other(world.newest()["site"])
        self._troubles.heal()
        self._serve_again()

    def end(self):
        for person in self._people:
            person.leave()
            person.end()
        for host in self._world.all_hosts():
            host.crash()

    def counts(self):
        promoted = self._world.promoted.values()
        return (
            self._counts
            + self._troubles.counts
            + Counter(
                {
                    "promotions, one writer proven": sum(each.proven for each in promoted),
                    "promotions, accepted by name": sum(not each.proven for each in promoted),
                }
            )
        )

    def _pass(self, seconds):
        self._world.clockwork.run(self._world.now + seconds)

    def _move(self, site):
        """Move the product to a site, with what goes wrong around it."""
        world, draw, troubles = self._world, self._draw, self._troubles
        world.note(f"a move to {site}; TTL {world.ttl:g} s")
        length = 2.5 * world.ttl + draw.uniform(40, 120)
        old = world.facts.sites[_other(site)].region
        troubles.take_aim(old)
        for _ in range(draw.choice((0, 1, 2, 3))):
            world.clockwork.after(draw.uniform(0, 0.7 * length), troubles.begin_one)
        accepts = draw.random() < 0.12
        if draw.random() < 0.08:
            accepts = True
            troubles.leave_one_table(old)
        elif draw.random() < 0.1:
            troubles.darken_the_witness()
        world.clockwork.after(draw.uniform(0, world.ttl), lambda: self._send(site, accepts))
        if draw.random() < 0.45:
            self._counts["rivals"] += 1
            rival = site if draw.random() < 0.6 else _other(site)
            also = draw.random() < 0.12
            world.clockwork.after(draw.uniform(0, 2 * world.ttl), lambda: self._send(rival, also))
        self._pass(length)
        world.aims.clear()
        if draw.random() < 0.8:
            troubles.heal()
            self._pass(draw.uniform(1, world.ttl))
        for person in self._people:
            person.leave()
        self._pass(0.1)

    def _overtake_an_epoch(self):
        """A move to dr is never settled, dr hears nothing of the next one, and it is resumed."""
        self._counts["overtaken epochs"] += 1
        self._troubles.lose_the_finisher()
        self._try_to("dr", accepts=False)
        self._replicate("dr")
        self._troubles.isolate(self._world.facts.sites["dr"].region)
        self._try_to("primary", accepts=True)
        if self._draw.random() < 0.5:
            self._replicate("primary")
        self._troubles.heal()
        self._pass(self._draw.uniform(1, self._world.ttl))
        self._troubles.darken_the_witness()
        self._try_to("dr", accepts=self._draw.random() < 0.5)
        self._troubles.heal()

    def _thaw_an_operator(self):
        """Who was frozen right before a promotion goes on when the product has moved back."""
        self._counts["thawed operators"] += 1
        self._troubles.freeze_the_promoter(2 * self._enough)
        self._try_to("dr", accepts=False)
        self._replicate("dr")
        self._try_to("primary", accepts=False)
        self._replicate("primary")
        self._pass(self._enough)

    @property
    def _enough(self):
        """Return the seconds that a move takes at most, as a rule."""
        return 2.5 * self._world.ttl + 90

    def _try_to(self, site, *, accepts):
        self._send(site, accepts)
        self._pass(self._enough)
        self._world.aims.clear()
        for person in self._people:
            person.leave()
        self._pass(0.1)

    def _send(self, site, accepts):
        self._people.append(Person(self._world, site, split_brain=accepts))

    def _reprotect(self):
        """A person makes a new replica at the other site, once it is settled here, or before."""
        world, databases = self._world, self._aws.databases
        newest = world.newest()
        site, other = newest["site"], _other(newest["site"])
        finished = newest["settled"] or self._draw.random() < 0.5
        lit = world.facts.sites[other].region not in world.dark
        if finished and lit and databases[site].source is None:
            self._replicate(site)
            if self._draw.random() < 0.7:
                self._complete(site)

    def _replicate(self, site):
        """Make the other site's database a replica of this one's, if that is the writer."""
        other = _other(site)
        if self._aws.databases[site].source is None:
            self._aws.databases[other] = database(other, source=f"arn:{site}")
            self._aws.refusing.clear()
            self._aws.claims.clear()
            self._world.note(f"{other}'s database replicates {site}'s again")

    def _complete(self, site):
        self._world.operators += 1
        region = self._world.facts.sites[site].region
        operator = Operator(self._world, site, self._world.operators, place=region).complete()
        self._pass(20)
        operator.kill()
        return operator

    def _serve_again(self):
        """All is well again and a person runs what is to be run: some site must serve."""
        world = self._world
        world.note("all is well again")
        for person in self._people:
            person.end()
        self._pass(16)
        site = world.newest()["site"]
        for _ in range(3):
            newest = world.newest()
            site = newest["site"]
            for host in world.hosts[site]:
                host.boot_if_down()
            if not newest["settled"]:
                person = Person(world, site, tries=2)
                self._people.append(person)
                self._pass(2.5 * world.ttl + 150)
                person.leave()
            completed = self._complete(site).outcome == 0
            if completed and world.newest()["settled"] and world.newest()["site"] == site:
                break
        self._pass(2 * world.ttl + 5)
        serving = [run for run in world.running if run.host.site.name == site]
        if not serving or self._aws.databases[site].source is not None:
            world.violate(f"nothing serves from {site}, which is assigned, although all is well")


def _other(site):
    return SITES[1 - SITES.index(site)]
