"""Hosts: the real guard's listening, tenure and governing, on a clock of their own.

What a ward, the kernel and a service manager do is played, as they promise it: a command is dead
when its deadline comes, whatever is frozen or killed.
"""

from typing import Any

from recovery import governor
from recovery.duties import Guard
from recovery.host import Host as Facts
from recovery.tenure import Held, Tenure
from recovery.ward import KILLING_SECONDS, LAST_RESORT_SECONDS
from tests.recovery.model.clockwork import Process
from tests.recovery.simulated import unreachable

READ_SECONDS = 2.0
"""Such a read has one attempt."""


class Host:
    """One host of a site, from one start to the next."""

    def __init__(self, world, site, number, *, is_worker):
        rate = world.rate(worst=-1)
        self.world = world
        self.site = site
        self.is_worker = is_worker
        """Whether it belongs to no group of the balancer, and is never scaled away."""
        self.name = f"{site.name}-{'worker' if is_worker else number}"
        self.process = Process(
            self.name, site.region, rate=rate, offset=world.random.uniform(0, 1e6)
        )
        self.up = False
        self.life = 0
        """Counts guards: what was meant for an earlier one is void."""
        self.guard: Any = None
        self.ward_frozen_until = 0.0
        self.deaf = world.random.random() < 0.3
        """Whether its command ignores SIGTERM."""
        self.due = {}
        """Region → when its table is read next, by the world's time."""
        self.heard: Any = None
        """What the read that is being taken in has found, and when it was sent by its clock."""

    def clock(self):
        return self.process.clock(self.world.now)

    def after(self, seconds, event):
        """Let something happen to the guard that lives now, when its process is not frozen."""
        life = self.life

        def due():
            if life != self.life or not self.up:
                return
            if self.process.frozen_until > self.world.now:
                self.world.clockwork.at(self.process.frozen_until, due)
            else:
                event()

        self.world.clockwork.after(seconds / self.process.rate, due)

    def boot(self):
        """Start the host, and a guard that knows nothing."""
        self.up = True
        self.life += 1
        self.process.frozen_until = self.ward_frozen_until = 0.0
        facts = self.world.facts
        self.guard = Guard(
            host=Facts(
                product="rlg-data",
                site=self.site.name,
                region=self.site.region,
                address="",
                command=("serve",),
                is_worker=True,  # no ports: nothing here is real but the decisions
                database_host="",
                database_port=0,
                database_name="",
                resolver=None,
            ),
            topology=facts,
            product=facts.products[0],
            site=self.site,
            peer=facts.peer_of(self.site.name),
            tenure=Tenure(self.site.name, facts.guard.ttl_seconds),
        )
        for region, table in self.guard._tables().items():
            self._ask_later(self.world.random.uniform(0, 0.2), region, table)

    def boot_if_down(self):
        if not self.up:
            self.boot()

    def crash(self):
        """Lose power: nothing runs, nothing is remembered."""
        self.up = False
        self.life += 1
        self._end_run()

    def kill_guard(self):
        """The ward sees the channel end and kills; the service manager starts another guard."""
        self.life += 1
        run = self.run
        if run and self.ward_frozen_until <= self.world.now:
            run.end("guard killed")
        self._restart()

    def kill_ward(self):
        """The command dies by its parent-death signal."""
        if run := self.run:
            run.end("ward killed", answer=(governor._LOST, governor.WARD_LOST))
            self.after(0.01, self.turn)

    def _restart(self):
        life = self.life
        self.world.clockwork.after(1.0, lambda: self.boot() if life == self.life else None)

    @property
    def run(self) -> Any:
        return self.guard.governor._run if self.guard else None

    def _end_run(self):
        if self.run:
            self.run.end("host gone")

    def _ask(self, region, table):
        """Send one read; the next one follows when it has ended, a third of a TTL later."""
        sent, life = self.clock(), self.life
        over = False

        def answered(found):
            nonlocal over
            if life == self.life and not over:
                over = True
                self.after(0.0, lambda: self._take_in(region, table, sent, found))

        self.world.network.send(self.site.region, region, lambda: self.world.item(region), answered)
        unreached = unreachable("dynamodb:GetItem", region)
        self.after(READ_SECONDS, lambda: answered(unreached))

    def _take_in(self, region, table, sent, found):
        self.heard = (sent, found)
        self.world.acting = self
        self.guard.listen(region, table)
        self.heard = None
        self.world.acting = None
        self.turn()
        due = sent + self.world.ttl / 3
        self._ask_later(max(0.0, due - self.clock()), region, table)

    def _ask_later(self, seconds, region, table):
        self.due[region] = self.world.now + seconds / self.process.rate
        self.after(seconds, lambda: self._ask(region, table))

    def boot_clock(self):
        """Read the clock as the guard does: before a read is taken in, when it was sent."""
        return self.heard[0] if self.heard else self.clock()

    def read_item(self):
        """Return what the read found; from here on it is now."""
        _, found = self.heard
        self.heard = None
        if isinstance(found, Exception):
            raise found
        return found

    def turn(self):
        """Let the governor decide."""
        self.world.acting = self
        status = self.guard.governor._turn()
        self.world.acting = None
        if status is not None:
            self.life += 1
            self._end_run()
            self._restart()
            return
        run = self.run
        if run and not run.is_stopping:
            due = run.until - self.guard.governor.grace
            if due > self.clock() and run.looked_for != due:
                run.looked_for = due
                self.after(due - self.clock() + 1e-6, self.turn)


class Run(governor._Run):
    """A run of the command behind a ward that is played; what the governor decides is real."""

    world: Any = None

    def __init__(self, command, until, *, epoch):
        host = self.host = Run.world.acting
        self.until, self.epoch, self.is_stopping = until, epoch, False
        self.looked_for = None
        self.life = host.life
        self._said = None
        self._deadline, self._ward_stops = until, False
        self.alive = host.clock() < until - KILLING_SECONDS
        self.serves_in = epoch
        """The epoch by which it may run now: that of the tenure which last prolonged it."""
        self.ended_at = None
        if self.alive:
            host.world.begins(self)
        else:
            self._said = ("expired", 0)
        self._arm()

    def prolong(self, until):
        super().prolong(until)
        held = self.host.guard.tenure.at(self.host.clock())
        if not self.is_stopping and isinstance(held, Held):
            self.serves_in = held.epoch

    def answer(self):
        return self._said

    def close(self):
        pass

    def kill(self):
        self.end("killed by its guard")

    def _order(self, what, until):
        host, thaw = self.host, self.host.ward_frozen_until
        moment = max(host.world.now, thaw)
        host.world.clockwork.at(moment, lambda: self._ordered(what, until))

    def _ordered(self, what, until):
        if self.host.life != self.life or not self.alive:
            return
        if what == "stop":
            self._ward_stops = True
            self._deadline = min(self._deadline, until)
            if not self.host.deaf:
                grace = self.host.guard.governor.grace
                spent = self.host.world.random.uniform(0, grace)
                self.host.after(spent, lambda: self.end("ended", answer=("ended", 0)))
        elif not self._ward_stops:
            self._deadline = until
        self._arm()

    def _arm(self):
        """Set the timers of the kernel, which nothing freezes."""
        world, rate, deadline = self.host.world, self.host.process.rate, self._deadline

        def due():
            if not self.alive or self._deadline != deadline:
                return
            if self.host.ward_frozen_until > world.now:
                last = (KILLING_SECONDS - LAST_RESORT_SECONDS) / rate
                lost = (governor._LOST, governor.WARD_LOST)
                world.clockwork.after(last, lambda: self._still(deadline, "timer", lost))
            else:
                dying = world.random.uniform(0, KILLING_SECONDS * 0.9) / rate
                expired = ("expired", 137)
                world.clockwork.after(dying, lambda: self._still(deadline, "deadline", expired))

        left = deadline - KILLING_SECONDS - self.host.clock()
        world.clockwork.after(max(0.0, left) / rate, due)

    def _still(self, deadline, why, answer):
        if self._deadline == deadline:
            self.end(why, answer=answer)

    def end(self, why, answer=("ended", 0)):
        """Be dead from now on."""
        if not self.alive:
            return
        self.alive = False
        self._said = answer
        self.host.world.ends(self, why)
        if self.host.life == self.life:
            self.host.after(0.005, self.host.turn)
