"""Two sites and a witness in virtual time: what they hold, and what must never be seen of them.

The claim: from the moment at which recovery promotes a site, having called one writer proven, no
command of the other site runs in an older epoch, nor starts. What a person accepted claims nothing.
"""

import random
from dataclasses import dataclass, replace

from recovery import naming
from recovery.topology import Guard
from tests.recovery import cases
from tests.recovery.model import clockwork as virtual
from tests.recovery.model.hosts import Host
from tests.recovery.model.network import Network

PRIMARY, DR, WITNESS = "us-east-1", "us-west-2", "us-east-2"
REGIONS = (PRIMARY, DR, WITNESS)
SITES = ("primary", "dr")
_TTLS = (10.0, 30.0, 60.0)
_DRIFTS = (1 / 60, 0.1, 0.1)
"""Drift bounds, as shares of the TTL."""


@dataclass(slots=True)
class Promotion:
    site: str
    proven: bool
    """Whether recovery said that one writer is proven."""


class World:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.clockwork = virtual.Clockwork()
        self.timeline = []
        self.violations = []
        self.ttl = self.random.choice(_TTLS)
        share = self.random.choice(_DRIFTS)
        self.most_drift = share / (2 + share)
        """By how much a clock is fast or slow at most: no two differ by more than `share`."""
        self.adverse = self.random.random() < 0.5
        """Whether guards' clocks are as slow, and operators' as fast, as the bound lets them be."""
        made = cases.topology(guard=Guard(ttl_seconds=self.ttl, drift_seconds=self.ttl * share))
        self.facts = replace(made, products=(replace(made.products[0], rto_seconds=120),))
        self.network = Network(self)
        self.dark = set()
        """Regions whose AWS answers nothing."""
        self.assignment_key = naming.assignment_item("rlg-data")
        self.tables = {region: {self.assignment_key: self._first_item()} for region in REGIONS}
        self.promoted = {}
        """Epoch → promotion."""
        self.running = []
        """The runs of the product's command that live now."""
        self.operators = 0
        self.aims = {}
        """assign, record, claim → what happens when an operator is about to write that."""
        self.acting = None
        """The host whose guard acts now."""
        self.trouble_at = float("-inf")
        self._begun = {}
        """Epoch → when it was first written, while the other site served in an older one."""
        self.contested = 0
        """Promotions, called proven, of sites whose peer served at the write, amid trouble."""
        each = self.random.choice((1, 1, 1, 2))
        self.hosts = {
            site: [
                Host(self, self.facts.sites[site], number, is_worker=number == each)
                for number in range(each + 1)
            ]
            for site in SITES
        }

    def _first_item(self):
        return {
            "key": self.assignment_key,
            "site": "primary",
            "epoch": 1,
            "claim": False,
            "settled": True,
            "execution": "assign-1",
            "alone": "",
            "written_at": "then",
        }

    @property
    def now(self):
        return self.clockwork.now

    def rate(self, worst):
        """Return how fast a clock runs; `worst` (-1 or 1) is the direction that does most harm."""
        most = self.most_drift
        if self.adverse:
            return 1 + worst * most
        return 1 + self.random.choice((-most, most, self.random.uniform(-most, most)))

    def newest(self):
        """Return the newest item; of two of one epoch the settled one, as fencing leaves others."""
        found = [self.item(region) for region in REGIONS]
        return max((each for each in found if each), key=lambda it: (it["epoch"], it["settled"]))

    def item(self, region, key=None):
        found = self.tables[region].get(key or self.assignment_key)
        return dict(found) if found else None

    def note(self, text):
        self.timeline.append((self.now, text))

    def violate(self, text):
        self.violations.append(text)
        self.note(f"VIOLATION: {text}")

    def aim(self, moment):
        """Let happen what a story has aimed at this moment, once."""
        if happens := self.aims.pop(moment, None):
            happens()

    @property
    def is_troubled(self):
        frozen = any(host.process.frozen_until > self.now for host in self.all_hosts())
        return bool(self.dark or frozen or self.network.is_troubled)

    def all_hosts(self):
        return [host for site in self.hosts.values() for host in site]

    # What is checked.

    def begins(self, run):
        """A command runs from now on."""
        site = run.host.site.name
        self.note(f"{run.host.name} serves in epoch {run.epoch}")
        self.running.append(run)
        last = max((n for n, it in self.promoted.items() if it.proven), default=0)
        if run.epoch < last and self.promoted[last].site != site:
            self.violate(f"{run.host.name} starts in epoch {run.epoch}, after epoch {last}")

    def ends(self, run, why):
        self.note(f"{run.host.name} serves no more: {why}")
        self.running.remove(run)

    def promotes(self, site, epoch, *, proven):
        """A site's database takes writes from now on."""
        self.note(f"{site}'s database is promoted in epoch {epoch}, {proven=}")
        last = max(self.promoted, default=0)
        if epoch in self.promoted and proven:
            self.violate(f"two promotions in epoch {epoch}: {self.promoted[epoch].site}, {site}")
        elif epoch < last and proven:
            self.violate(f"{site} is promoted in epoch {epoch}, after epoch {last}")
        self.promoted[epoch] = Promotion(site, proven)
        if not proven:
            return
        began = self._begun.get(epoch)
        self.contested += began is not None and (self.is_troubled or self.trouble_at >= began)
        for run in self.running:
            if run.host.site.name != site and run.serves_in < epoch:
                self.violate(
                    f"{run.host.name} acknowledges writes in epoch {run.serves_in} when {site} "
                    f"is promoted in epoch {epoch}"
                )

    def writes(self, region, before, after):
        """A table takes an assignment."""
        said = f"{after['site']} in epoch {after['epoch']}"
        said += ", settled" if after["settled"] else ""
        said += f", alone in {after['alone']}" if after["alone"] else ""
        self.note(f"the table in {region} says: {said}")
        if before and before["epoch"] > after["epoch"]:
            self.violate(f"the epoch in {region} went back: {before['epoch']}, {after['epoch']}")
        peers = [run for run in self.running if run.host.site.name != after["site"]]
        if peers and after["epoch"] not in self._begun:
            self._begun[after["epoch"]] = self.now
