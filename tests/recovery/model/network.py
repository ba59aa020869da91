"""Requests and answers between places, each way on its own: delayed, lost, cut."""

_LOST = 0.003
"""Share of messages that get lost although nothing is cut; the sender waits in vain."""


class Network:
    def __init__(self, world):
        self._world = world
        self.cut = {}
        """(from, to) → how many reasons there are for nothing to pass."""
        self.slow = {}
        self.late = {}
        """(from, to) → how long the next request stays away, whoever has given it up since."""

    @property
    def is_troubled(self):
        return bool(self.late or any(self.cut.values()) or any(self.slow.values()))

    def is_up(self, source, target):
        return not self.cut.get((source, target))

    def is_well(self, place, region):
        """Say whether a request would be answered at once, as far as nothing gets lost."""
        ways = ((place, region), (region, place))
        troubled = any(self.cut.get(way) or self.slow.get(way) for way in ways)
        return not troubled and region not in self._world.dark

    def send(self, place, region, act, answered, *, unheard=lambda: None):
        """Let a call act in a region and its answer come back, unless one of both is lost.

        `unheard` is told where either is lost or slow.
        """
        world = self._world
        if not self._passes(place, region):
            unheard()
            return
        if not self.is_well(place, region) or (place, region) in self.late:
            unheard()
        seconds = self.late.pop((place, region), None) or self._seconds(place, region)

        def arrived():
            if region in world.dark:
                unheard()
                return
            found = act()
            if self._passes(region, place):
                world.clockwork.after(self._seconds(region, place), lambda: answered(found))
            else:
                unheard()

        world.clockwork.after(seconds, arrived)

    def _passes(self, source, target):
        return self.is_up(source, target) and self._world.random.random() > _LOST

    def _seconds(self, source, target):
        draw = self._world.random
        if self.slow.get((source, target)):
            return draw.uniform(0.2, 4.0)
        return draw.uniform(0.001, 0.02) if source == target else draw.uniform(0.01, 0.08)
