"""One seed's story: moves between the sites, what goes wrong meanwhile, and the healing."""

from collections import Counter
from dataclasses import dataclass, field

import pytest

from tests.recovery.model.operators import Operator, Person
from tests.recovery.model.world import DR, PRIMARY, REGIONS, SITES, WITNESS, World


@dataclass(slots=True)
class Told:
    """What came of one story."""

    seed: int
    violations: list[str]
    timeline: list[tuple[float, str]]
    counts: Counter = field(default_factory=Counter)

    def text(self):
        lines = [f"seed {self.seed}", *(f"{at:9.3f}  {said}" for at, said in self.timeline)]
        return "\n".join(lines)


def tell(seed, *, planted=None):
    """Play the story of this seed; `planted` changes the code first."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        world = World(seed)
        world.install(monkeypatch)
        monkeypatch.setattr("recovery.engine.lease._is_dead_here", lambda _: False)
        monkeypatch.setattr(
            "recovery.execution.this_process", lambda operator: f"{operator} on m (process 1.1)"
        )
        if planted:
            planted(monkeypatch)
        story = _Story(world)
        try:
            story.play()
        finally:
            story.end()
        return Told(seed, world.violations, world.timeline, story.counts)


class _Story:
    def __init__(self, world):
        self.world, self.draw = world, world.random
        world.operators = 0
        self.counts = Counter()
        self.people = []
        self._healings = []

    def play(self):
        world = self.world
        for host in self._hosts():
            host.boot()
        self._pass(0.7 * world.ttl)
        site = "dr"
        for _ in range(self.draw.choice((1, 2, 3, 3))):
            self._move(site)
            if world.violations:
                return
            self._reprotect()
            site = self._other(self._newest()["site"])
        self._heal()
        self._serve_again()

    def end(self):
        for person in self.people:
            person.leave()
        for host in self._hosts():
            host.crash()

    def _pass(self, seconds):
        self.world.clockwork.run(self.world.now + seconds)

    def _hosts(self):
        return [host for site in self.world.hosts.values() for host in site]

    def _other(self, site):
        return SITES[1 - SITES.index(site)]

    def _newest(self):
        found = [self.world.item(region, self.world.assignment_key) for region in REGIONS]
        return max((each for each in found if each), key=_age)

    # One move of the product, with what goes wrong around it.

    def _move(self, site):
        world, draw = self.world, self.draw
        world.note(f"a move to {site}; TTL {world.ttl:g} s")
        length = 2.5 * world.ttl + draw.uniform(40, 120)
        self._take_aim(site)
        for _ in range(draw.choice((0, 1, 2, 3))):
            moment = draw.uniform(0, 0.7 * length)
            kind, happens = draw.choice(self._disturbances())
            world.clockwork.after(
                moment,
                lambda kind=kind, happens=happens: self._happen(kind, happens, site),
            )
        world.clockwork.after(draw.uniform(0, world.ttl), lambda: self._send(site))
        if draw.random() < 0.45:
            self.counts["operator races"] += 1
            rival = site if draw.random() < 0.6 else self._other(site)
            world.clockwork.after(draw.uniform(0, 2 * world.ttl), lambda: self._send(rival))
        self._pass(length)
        world.aim = lambda _: None
        if draw.random() < 0.8:
            self._heal()
            self._pass(draw.uniform(1, world.ttl))
        for person in self.people:
            person.leave()
        self._pass(0.1)

    def _take_aim(self, site):
        """Choose what happens right when an operator writes the next epoch, where it hurts most."""
        old = self.world.facts.sites[self._other(site)].region
        aims = {
            "old site cut off at the write": lambda _: self._isolate(site, old),
            "old hosts deaf from the write on": lambda _: self._deafen(old),
            "old site's AWS dark from the write on": lambda _: self._darken(site, old),
            "old guards frozen and cut off at the write": lambda _: self._freeze_all(old),
            "operator cut off at the write": lambda _: self._cut_operator_off(),
            "write delivered late": lambda _: self._delay_the_write(),
            "nothing": lambda _: None,
        }
        kind = self.draw.choice(list(aims))
        if kind == "old guards frozen and cut off at the write" or self.draw.random() < 0.15:
            self.counts["links slow"] += 1
            others = [region for region in REGIONS if region != old]
            self._sever([(each, old) for each in others], self.world.network.slow)

        def happens(taken):
            self.counts[kind] += 1
            self.world.aim = lambda _: None
            if self.draw.random() < 0.5:
                aims[kind](taken)
            else:
                self.world.clockwork.after(self.draw.uniform(0, 0.2), lambda: aims[kind](taken))

        self.world.aim = happens

    def _deafen(self, region):
        self._sever([(region, each) for each in REGIONS])

    def _freeze_all(self, region):
        seconds = self.draw.uniform(0.1, 1.1) * self.world.ttl
        self.world.note(f"the guards in {region} are frozen for {seconds:.0f} s")
        for host in self._hosts():
            if host.site.region == region:
                host.process.frozen_until = self.world.now + seconds
        self._isolate(None, region)

    def _cut_operator_off(self):
        for person in self.people[-1:]:
            place = person.running.process.place
            self._sever([(place, each) for each in REGIONS if each != person.running.process.target])

    def _delay_the_write(self):
        for person in self.people[-1:]:
            seconds = self.draw.uniform(5, 900)
            self.world.note(f"a request to {WITNESS} will arrive {seconds:.0f} s late")
            self.world.network.late[person.running.process.place, WITNESS] = seconds

    def _send(self, site):
        accepts = self.draw.random() < 0.12
        self.people.append(Person(self.world, site, split_brain=accepts))

    def _happen(self, kind, happens, site):
        self.counts[kind] += 1
        happens(site)

    def _disturbances(self):
        return (
            ("regions dark", self._darken),
            ("regions dark", self._darken),
            ("pairs of regions dark", self._darken_two),
            ("partitions", self._isolate),
            ("partitions", self._isolate),
            ("links cut one way", self._cut_one_way),
            ("links cut both ways", self._cut),
            ("links cut both ways", self._cut),
            ("links slow", self._slow),
            ("guards frozen", self._freeze_guard),
            ("guards and wards frozen", self._freeze_both),
            ("guards killed", lambda _: self._host().kill_guard()),
            ("wards killed", lambda _: self._host().kill_ward()),
            ("hosts restarted", self._restart),
            ("operators killed", lambda _: [each.interrupt() for each in self.people[-1:]]),
            ("operators killed", lambda _: [each.interrupt() for each in self.people[-1:]]),
            ("operators frozen", self._freeze_operator),
            ("items lost", self._lose_item),
        )

    def _host(self):
        up = [host for host in self._hosts() if host.up]
        return self.draw.choice(up or self._hosts())

    def _for(self, undo, longest=3.0):
        """Undo it after a while; at the next healing at the latest."""
        done = []

        def once():
            if not done:
                done.append(True)
                undo()

        self._healings.append(once)
        self.world.clockwork.after(self.draw.uniform(1, longest * self.world.ttl + 60), once)

    def _darken(self, site, region=None):
        """A region's AWS answers nothing; its hosts lose power, or live on unheard."""
        region = region or self.draw.choice(REGIONS)
        self.world.note(f"{region} goes dark")
        self.world.dark.add(region)
        hosts = [host for host in self._hosts() if host.site.region == region]
        fall = [host for host in hosts if host.up] if self.draw.random() < 0.4 else []
        for host in fall:
            host.crash()

        def undo():
            self.world.note(f"{region} is back")
            self.world.dark.discard(region)
            for host in fall:
                if not host.up:
                    host.boot()

        self._for(undo)

    def _darken_two(self, site):
        for region in self.draw.sample(REGIONS, 2):
            self._darken(site, region)

    def _isolate(self, site, region=None):
        """Nothing passes between a region and all the others; inside it, all goes on."""
        region = region or self.draw.choice(REGIONS)
        self.world.note(f"{region} is cut off")
        others = [each for each in (*REGIONS, "office") if each != region]
        self._sever([(region, each) for each in others] + [(each, region) for each in others])

    def _cut_one_way(self, site):
        self._sever([tuple(self.draw.choices((*REGIONS, "office"), k=1)) + (self._region(),)])

    def _cut(self, site):
        one, other = self.draw.choice((*REGIONS, "office")), self._region()
        self._sever([(one, other), (other, one)])

    def _region(self):
        return self.draw.choice(REGIONS)

    def _sever(self, ways, state=None):
        state = self.world.network.cut if state is None else state
        self.world.note(f"cut or slow: {', '.join(f'{one} to {to}' for one, to in ways)}")
        for way in ways:
            state[way] = state.get(way, 0) + 1

        def undo():
            for way in ways:
                state[way] -= 1

        self._for(undo)

    def _slow(self, site):
        one, other = self.draw.choice((*REGIONS, "office")), self._region()
        self._sever([(one, other), (other, one)], self.world.network.slow)

    def _freeze_guard(self, site):
        host = self._host()
        seconds = self.draw.uniform(0.1, 1.5 * self.world.ttl)
        self.world.note(f"the guard of {host.name} is frozen for {seconds:.0f} s")
        host.process.frozen_until = self.world.now + seconds
        return host, seconds

    def _freeze_both(self, site):
        host, seconds = self._freeze_guard(site)
        host.ward_frozen_until = self.world.now + seconds

    def _restart(self, site):
        host = self._host()
        self.world.note(f"{host.name} restarts")
        host.crash()
        self._for(lambda: None if host.up else host.boot(), 0.3)

    def _freeze_operator(self, site):
        for person in self.people[-1:]:
            person.freeze(self.draw.uniform(1, 2 * self.world.ttl))

    def _lose_item(self, site):
        """A table is recreated empty, while both others hold the newest epoch."""
        key, tables = self.world.assignment_key, self.world.tables
        region = self._region()
        epochs = [tables[each].get(key, {}).get("epoch") for each in REGIONS if each != region]
        if epochs == [self._newest()["epoch"]] * 2:
            self.world.note(f"the table in {region} loses its items")
            tables[region].clear()

    # Between two moves, and at the end.

    def _reprotect(self):
        """A person makes a new replica at the other site, once it is settled here."""
        world = self.world
        newest = self._newest()
        site, other = newest["site"], self._other(newest["site"])
        region = world.facts.sites[other].region
        if newest["settled"] and world.databases[site].source is None and region not in world.dark:
            world.databases[other] = world._database(other, source=f"arn:{site}")
            world.refusing.clear()
            world.claims.clear()
            world.note(f"{other}'s database replicates {site}'s again")
            if self.draw.random() < 0.7:
                self._complete(site)

    def _complete(self, site):
        self.world.operators += 1
        region = self.world.facts.sites[site].region
        operator = Operator(self.world, site, self.world.operators, place=region).complete()
        self._pass(20)
        operator.kill()
        return operator

    def _heal(self):
        for undo in self._healings:
            undo()
        self._healings.clear()
        for host in self._hosts():
            host.process.frozen_until = host.ward_frozen_until = self.world.now

    def _serve_again(self):
        """All is well again and a person runs what is to be run: some site must serve."""
        world = self.world
        world.note("all is well again")
        self._pass(16)
        for _ in range(2):
            newest = self._newest()
            site = newest["site"]
            for host in world.hosts[site]:
                if not host.up:
                    host.boot()
            if not newest["settled"]:
                person = Person(world, site, tries=2)
                self.people.append(person)
                self._pass(2.5 * world.ttl + 150)
                person.leave()
            if self._complete(site).outcome == 0 and self._newest()["settled"]:
                break
        self._pass(2 * world.ttl + 5)
        self.counts["moves"] += len(world.promoted)
        serving = [run for run in world.running if run.host.site.name == site]
        if not serving or world.databases[site].source is not None:
            world.violate(f"nothing serves from {site}, which is assigned, although all is well")


def _age(item):
    """Order items: of two of one epoch the settled one is newer; fencing's stay unsettled."""
    return item["epoch"], item["settled"]


__all__ = ["DR", "PRIMARY", "WITNESS", "Told", "tell"]
