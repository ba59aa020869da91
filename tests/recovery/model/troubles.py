"""What goes wrong in a story, by chance or aimed at where it hurts most; and its undoing."""

from collections import Counter

from tests.recovery.model.world import REGIONS, WITNESS

_PLACES = (*REGIONS, "office")


class Troubles:
    """Makes troubles, counts them by kind, and heals them."""

    def __init__(self, world, people):
        self._world, self._draw = world, world.random
        self._people = people
        self.counts = Counter()
        self._healings = []

    def begin_one(self):
        """Let one trouble of any kind begin now."""
        kind, happens = self._draw.choice(self._kinds())
        self._begin(kind, happens)

    def take_aim(self, old):
        """Choose what happens when an operator writes the next epoch, or ends; `old`: a region."""
        aims = {
            "old site cut off at the write": lambda: self.isolate(old),
            "old hosts deaf from the write on": lambda: self._sever_all(old),
            "old site's AWS dark from the write on": lambda: self.darken(old),
            "old guards frozen and cut off at the write": lambda: self._freeze_all(old),
            "operator cut off at the write": self._cut_operator_off,
            "write right after an old guard's read": lambda: self._write_after_a_read(old),
            "write delivered late": self._delay_a_write,
            "nothing": lambda: None,
        }
        kind = self._draw.choice(list(aims))
        if kind == "old guards frozen and cut off at the write" or self._chance(0.15):
            others = [region for region in REGIONS if region != old]
            self._begin("links slow", lambda: self._sever([(it, old) for it in others], slow=True))

        self._aim("assign", kind, aims[kind], wait=self._draw.choice((None, 0.2)))
        if self._chance(0.1):
            self.freeze_the_promoter(self._draw.uniform(200, 1500))
        if self._chance(0.15):
            self.lose_the_finisher()

    def _aim(self, moment, kind, happens, *, wait=None):
        """Let it happen right before that moment, or up to so many seconds after it."""

        def now():
            self._begin(kind, happens)

        def later():
            self._world.clockwork.after(self._draw.uniform(0, wait), now)

        self._world.aims[moment] = now if wait is None else later

    def darken(self, region=None):
        """A region's AWS answers nothing; its hosts lose power, or live on unheard."""
        world = self._world
        region = region or self._region()
        world.note(f"{region} goes dark")
        world.dark.add(region)
        hosts = [host for host in world.all_hosts() if host.site.region == region]
        fall = [host for host in hosts if host.up] if self._chance(0.4) else []
        for host in fall:
            host.crash()

        def undo():
            world.note(f"{region} is back")
            world.dark.discard(region)
            for host in fall:
                host.boot_if_down()

        self._for(undo)

    def isolate(self, region=None):
        """Nothing passes between a region and all the others; inside it, all goes on."""
        region = region or self._region()
        self._world.note(f"{region} is cut off")
        others = [each for each in _PLACES if each != region]
        self._sever([(region, each) for each in others] + [(each, region) for each in others])

    def leave_one_table(self, old):
        """The witness and the old site's region go dark: one table of three is left."""
        self._begin("one table left", lambda: (self.darken(WITNESS), self.darken(old)))

    def lose_the_finisher(self):
        """Whoever moves the product goes away before the move is settled."""
        self._aim("claim", "operator gone before the settling", self._end_person, wait=0.01)

    def freeze_the_promoter(self, seconds):
        """Whoever is about to promote is frozen for long, and somebody else goes on."""
        self._aim(
            "record", "operator frozen before the promotion", lambda: self._freeze_for_long(seconds)
        )

    def darken_the_witness(self):
        self._begin("witness dark throughout", lambda: self.darken(WITNESS))

    def heal(self):
        for undo in self._healings:
            undo()
        self._healings.clear()
        for host in self._world.all_hosts():
            host.process.frozen_until = host.ward_frozen_until = self._world.now

    def _kinds(self):
        return (
            ("regions dark", self.darken),
            ("regions dark", self.darken),
            ("pairs of regions dark", self._darken_two),
            ("partitions", self.isolate),
            ("partitions", self.isolate),
            ("links cut one way", lambda: self._sever([self._way()])),
            ("links cut both ways", lambda: self._sever_both(self._way())),
            ("links cut both ways", lambda: self._sever_both(self._way())),
            ("links slow", lambda: self._sever_both(self._way(), slow=True)),
            ("guards frozen", self._freeze_guard),
            ("guards and wards frozen", self._freeze_both),
            ("guards killed", lambda: self._host().kill_guard()),
            ("wards killed", lambda: self._host().kill_ward()),
            ("hosts restarted", self._restart),
            ("operators killed", lambda: [each.interrupt() for each in self._people[-1:]]),
            ("operators killed", lambda: [each.interrupt() for each in self._people[-1:]]),
            ("operators frozen", self._freeze_operator),
            ("items lost", self._lose_item),
        )

    def _begin(self, kind, happens):
        self.counts[kind] += 1
        if kind != "nothing":
            self._world.trouble_at = self._world.now
        happens()

    def _chance(self, share):
        return self._draw.random() < share

    def _region(self):
        return self._draw.choice(REGIONS)

    def _way(self):
        return self._draw.choice(_PLACES), self._region()

    def _host(self):
        hosts = self._world.all_hosts()
        return self._draw.choice([host for host in hosts if host.up] or hosts)

    def _for(self, undo, longest=3.0):
        """Undo it after a while; at the next healing at the latest."""
        done = []

        def once():
            if not done:
                done.append(True)
                undo()

        self._healings.append(once)
        self._world.clockwork.after(self._draw.uniform(1, longest * self._world.ttl + 60), once)

    def _darken_two(self):
        for region in self._draw.sample(REGIONS, 2):
            self.darken(region)

    def _sever_all(self, region):
        self._sever([(region, each) for each in REGIONS])

    def _sever_both(self, way, *, slow=False):
        self._sever([way, way[::-1]], slow=slow)

    def _sever(self, ways, *, slow=False):
        network = self._world.network
        state = network.slow if slow else network.cut
        said = ", ".join(f"{one} to {to}" for one, to in ways)
        self._world.note(f"{'slow' if slow else 'cut'}: {said}")
        for way in ways:
            state[way] = state.get(way, 0) + 1

        def undo():
            for way in ways:
                state[way] -= 1

        self._for(undo)

    def _cut_operator_off(self):
        for process in self._processes():
            others = [each for each in REGIONS if each != process.target]
            self._sever([(process.place, each) for each in others])

    def _delay_a_write(self):
        for process in self._processes():
            region, seconds = self._region(), self._draw.uniform(5, 900)
            self._world.note(f"a request to {region} will arrive {seconds:.0f} s late")
            self._world.network.late[process.place, region] = seconds

    def _write_after_a_read(self, old):
        """The target's table takes the epoch when an old guard has just read it."""
        world = self._world
        for process in self._processes():
            reads = [
                host.due.get(process.target, 0)
                for host in world.all_hosts()
                if host.site.region == old and host.up
            ]
            soon = [due - world.now for due in reads if 0 < due - world.now < 4]
            if soon:
                seconds = self._draw.choice(soon) + 0.09
                world.network.late[process.place, process.target] = seconds
                world.clockwork.after(seconds + 0.1, lambda: self.isolate(old))

    def _processes(self):
        return [each.running.process for each in self._people[-1:] if each.running]

    def _end_person(self):
        for person in self._people[-1:]:
            person.leave()

    def _freeze_all(self, region):
        seconds = self._draw.uniform(0.1, 1.1) * self._world.ttl
        self._world.note(f"the guards in {region} are frozen for {seconds:.0f} s")
        for host in self._world.all_hosts():
            if host.site.region == region:
                host.process.frozen_until = self._world.now + seconds
        self.isolate(region)

    def _freeze_guard(self):
        host, seconds = self._host(), self._draw.uniform(0.1, 1.5 * self._world.ttl)
        self._world.note(f"the guard of {host.name} is frozen for {seconds:.0f} s")
        host.process.frozen_until = self._world.now + seconds
        return host

    def _freeze_both(self):
        host = self._freeze_guard()
        host.ward_frozen_until = host.process.frozen_until

    def _restart(self):
        host = self._host()
        self._world.note(f"{host.name} restarts")
        host.crash()
        self._for(host.boot_if_down, 0.3)

    def _freeze_operator(self):
        for person in self._people[-1:]:
            person.freeze(self._draw.uniform(1, 2 * self._world.ttl))

    def _freeze_for_long(self, seconds):
        process = self._world.clockwork.current.process
        for person in self._people:
            if person.running and person.running.process is process:
                person.freeze(seconds)
                person.forget()

    def _lose_item(self):
        """A table is recreated empty, while both others hold the newest epoch."""
        world, region = self._world, self._region()
        others = [world.item(each) for each in REGIONS if each != region]
        if [it["epoch"] for it in others if it] == [world.newest()["epoch"]] * 2:
            world.note(f"the table in {region} loses its items")
            world.tables[region].clear()
