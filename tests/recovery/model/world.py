"""Two sites and a witness in virtual time: tables, network, databases, hosts, and what is checked.

`install` puts it below the real code, at `recovery.cloud`'s functions and at every clock.
"""

import random
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

from recovery import naming, web
from recovery.cloud import errors
from recovery.cloud.databases import Database
from recovery.cloud.hosts import Group
from recovery.database.heartbeat import Heartbeat
from recovery.database.postgres import Replication
from recovery.engine import parallel
from recovery.topology import Guard
from recovery.verification import findings
from tests.recovery import cases, simulated
from tests.recovery.model import clockwork as virtual
from tests.recovery.model.hosts import Host, Run
from tests.recovery.model.network import Network

PRIMARY, DR, WITNESS = "us-east-1", "us-west-2", "us-east-2"
REGIONS = (PRIMARY, DR, WITNESS)
SITES = ("primary", "dr")
_TTLS = (10.0, 30.0, 60.0)


class World:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.clockwork = virtual.Clockwork()
        self.timeline = []
        self.violations = []
        ttl = self.random.choice(_TTLS)
        drift = ttl * self.random.choice((1 / 60, 0.1, 0.1))
        share = drift / ttl
        self.most_drift = share / (2 + share)  # so that no two clocks differ by more than drift/ttl
        self.adverse = self.random.random() < 0.5
        """Whether guards' clocks are as slow, and operators' as fast, as the bound lets them be."""
        made = cases.topology(guard=Guard(ttl_seconds=ttl, drift_seconds=drift))
        product = replace(made.products[0], rto_seconds=120)
        self.facts = replace(made, products=(product,))
        self.ttl = ttl
        self.network = Network(self)
        self.dark = set()
        """Regions whose AWS answers nothing."""
        self.assignment_key = naming.assignment_item("rlg-data")
        self.tables = {region: {} for region in REGIONS}
        self.objects = {}
        self.refusing = set()
        self.claims = {}
        self.promoted = {}
        """Epoch → site and whether one writer was proven, in the order of the promotions."""
        self.tainted = False
        """Whether a person accepted one table as enough, and no other was completed since."""
        self.running = []
        self.aim = lambda site: None
        """What happens when an operator is about to write a new epoch for a site."""
        self._aimed = 1
        self.acting = None
        """The host whose guard acts now."""
        self.highest = {}
        self.databases = {
            "primary": self._database("primary", source=None),
            "dr": self._database("dr", source="arn:primary"),
        }
        self.desired = dict.fromkeys(REGIONS, 2)
        each = self.random.choice((1, 1, 1, 2))
        self.hosts = {
            site: [
                Host(self, self.facts.sites[site], number, is_worker=number == each)
                for number in range(each + 1)
            ]
            for site in SITES
        }
        for region in REGIONS:
            self.tables[region][self.assignment_key] = self.first_item()

    def first_item(self):
        return {
            "key": self.assignment_key,
            "site": "primary",
            "epoch": 1,
            "claim": False,
            "settled": True,
            "execution": "assign-1",
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

    def note(self, text):
        self.timeline.append((self.now, text))

    def violate(self, text):
        self.violations.append(text)
        self.note(f"VIOLATION: {text}")

    # What is checked.

    def begin(self, run):
        site = run.host.site.name
        self.note(f"{run.host.name} serves in epoch {run.epoch}")
        self.running.append(run)
        last = max(self.promoted, default=0)
        if run.epoch <= last and self.promoted[last][0] != site and self._claimed(last):
            self.violate(f"{run.host.name} starts in epoch {run.epoch}, after epoch {last}")

    def end(self, run, why):
        self.note(f"{run.host.name} serves no more: {why}")
        self.running.remove(run)

    def _claimed(self, epoch):
        return self.promoted[epoch][1] and not self.tainted

    def promote_site(self, site, epoch, *, proven):
        """A site's database may take writes from now on."""
        self.note(f"{site}'s database is promoted in epoch {epoch}, {proven=}")
        if epoch in self.promoted:
            self.violate(f"two promotions in epoch {epoch}: {self.promoted[epoch][0]}, {site}")
        elif epoch < max(self.promoted, default=0) and proven and not self.tainted:
            self.violate(f"a promotion in epoch {epoch} after epoch {max(self.promoted)}")
        self.promoted[epoch] = (site, proven)
        self.tainted = self.tainted or not proven
        if not self._claimed(epoch):
            return
        for run in self.running:
            if run.host.site.name != site:
                self.violate(
                    f"{run.host.name} acknowledges writes in epoch {run.serves_in} when {site} "
                    f"is promoted in epoch {epoch}"
                )

    def _wrote(self, region, before, after):
        if before and before["epoch"] > after["epoch"]:
            self.violate(f"the epoch in {region} went back: {before['epoch']}, {after['epoch']}")

    # Below recovery.cloud.

    def unreachable(self, function, region):
        return errors.UnreachableError(function, region, "ReadTimeoutError", "no answer")

    def item(self, region, key):
        found = self.tables[region].get(key)
        return dict(found) if found else None

    def call(self, region, function, act):
        """Make a call from the task that runs, with the attempts and patience of recovery's."""
        process = self.clockwork.current.process
        for _ in range(1 if region.once else 3):
            future = virtual.Future(self.clockwork)
            self.network.send(process.place, region.name, act, future.set)
            try:
                found = future.result(2.0 if region.once else 5.0)
            except TimeoutError:
                continue
            if isinstance(found, Exception):
                raise found
            return found
        raise self.unreachable(function, region.name)

    def read_item(self, region, table, key):
        if self.clockwork.current is None:
            return self.acting.read_item()
        return self.call(region, "dynamodb:GetItem", lambda: self.item(region.name, key))

    def put_item(self, region, table, item, *, condition=None, values=None):
        def act():
            present = self.tables[region.name].get(item["key"])
            if not simulated._holds(condition, present, values or {}) and present != item:
                return errors.ConflictError("put", region.name, "ConditionalCheckFailed", "no")
            if item["key"] == self.assignment_key:
                said = f"{item['site']} in epoch {item['epoch']}"
                said += (", settled" if item["settled"] else "") + (
                    ", alone" if item["alone"] else ""
                )
                self.note(f"the table in {region.name} says: {said}")
                self._wrote(region.name, present, item)
            self.tables[region.name][item["key"]] = dict(item)
            return None

        if item["key"] == self.assignment_key and item["epoch"] > self._aimed:
            self._aimed = item["epoch"]
            self.aim(item["site"])
        self.call(region, "dynamodb:PutItem", act)

    def _database(self, site, source):
        return Database(
            id=f"rlg-data-{site}-1",
            arn=f"arn:{site}",
            status="available",
            source=source,
            host="db.internal",
            port=5432,
            instance_class="db.r6g.large",
            multi_az=False,
            retention_days=7,
            replication="replicating" if source else None,
            engine="postgres",
            engine_version="18.1",
        )

    def describe_database(self, region, name):
        return self.call(region, "rds:Describe", lambda: self.databases[name.split("-")[2]])

    def promote(self, region, name, retention_days):
        site = name.split("-")[2]
        going = self.clockwork.current.process

        def act():
            found = self.databases[site]
            if found.source is None or found.status != "available":
                return simulated.rejected("InvalidDBInstanceState")
            self.databases[site] = replace(found, status="modifying")
            proof = going.takeover.proof
            recorded = self.objects.get((region.name, self._point(going.takeover.target.epoch)))
            proven = b"NOT PROVEN" not in (recorded or b"")
            self.promote_site(
                site, going.takeover.target.epoch, proven=proven and (not proof or proof.proven)
            )
            self.clockwork.after(self.random.uniform(0.1, 20), lambda: self._writer(site))
            return None

        self.call(region, "rds:Promote", act)

    def _point(self, epoch):
        return naming.recovery_point_key("rlg-data", epoch)

    def _writer(self, site):
        self.databases[site] = self._database(site, source=None)

    def group(self, region):
        site = next(each for each in self.hosts.values() if each[0].site.region == region)
        up = [host for host in site if host.up and not host.is_worker]
        return site, up

    def describe_group(self, region, name):
        def act():
            _, up = self.group(region.name)
            ids = frozenset(host.name for host in up)
            return Group(
                name=name,
                desired=self.desired[region.name],
                minimum=0,
                maximum=4,
                in_service=ids,
            )

        return self.call(region, "autoscaling:Describe", act)

    def scale(self, region, name, desired):
        def act():
            self.desired[region.name] = desired
            site, _ = self.group(region.name)
            for number, host in enumerate(host for host in site if not host.is_worker):
                if number >= desired:
                    self.clockwork.after(self.random.uniform(0.1, 30), host.crash)
                elif not host.up:
                    self.clockwork.after(
                        self.random.uniform(1, 10),
                        lambda host=host: None if host.up else host.boot(),
                    )

        self.call(region, "autoscaling:Update", act)

    def ask_old_balancer(self, method, domain, *_, addresses, **__):
        place, (region,) = self.clockwork.current.process.place, addresses
        _, up = self.group(region)
        if not self.network.is_up(place, region) or not self.network.is_up(region, place):
            raise web.UnansweredError("no answer")
        served = any(host.run and host.run.alive for host in up)
        return SimpleNamespace(status=401 if served and region not in self.refusing else 503)

    def write_object(self, region, bucket, key, body, *, only_new=False):
        def act():
            if only_new and (region.name, key) in self.objects:
                return errors.ConflictError("s3:PutObject", region.name, "412", "it exists")
            self.objects[region.name, key] = body
            return None

        self.call(region, "s3:PutObject", act)

    def publish_metric(self, region, namespace, values):
        self.call(region, "metrics", lambda: self.claims.update({region.name: 1.0}))

    def install(self, monkeypatch):
        clockwork, back = self.clockwork, self
        Run.world = self
        lock, event, thread = virtual.threads(clockwork)
        asking = virtual.asking(clockwork, parallel._answer)
        time = SimpleNamespace(
            monotonic=clockwork.monotonic, sleep=clockwork.sleep, time=lambda: clockwork.now
        )
        threading = SimpleNamespace(Lock=lock, Event=event, Thread=thread)
        beat = Heartbeat(at=datetime.now(UTC), site="primary", epoch=1, beats=9)
        constant = {
            "hosts.image_state": "available",
            "hosts.vcpus": 2,
            "quotas.vcpus": 64.0,
            "quotas.vcpus_in_use": 8,
            "secrets.read_json": {"username": "u", "password": "p"},
            "metrics.latest": (datetime.now(UTC), datetime.now(UTC).timestamp()),
            "topics.publish": None,
            "databases.create_snapshot": None,
            "databases.snapshot_status": "available",
            "balancers.targets": {"i-1": "healthy", "i-2": "healthy"},
        }
        functions = {
            "tables.read": self.read_item,
            "tables.put": self.put_item,
            "databases.describe": self.describe_database,
            "databases.promote": self.promote,
            "hosts.describe": self.describe_group,
            "hosts.scale": self.scale,
            "balancers.refuse": lambda region, _: self.call(
                region, "elb", lambda: self.refusing.add(region.name)
            ),
            "metrics.publish": self.publish_metric,
            "objects.write": self.write_object,
            "objects.exists": lambda region, _, key: self.call(
                region, "s3:HeadObject", lambda: (region.name, key) in self.objects
            ),
        } | {name: lambda *_, value=value, **__: value for name, value in constant.items()}
        for name, stand_in in functions.items():
            monkeypatch.setattr(f"recovery.cloud.{name}", stand_in)
        for name in ("engine.parallel", "engine.wait", "engine.plan", "engine.lease", "execution"):
            monkeypatch.setattr(f"recovery.{name}.time", time)
        for name in ("proof", "takeover", "promote"):
            monkeypatch.setattr(f"recovery.steps.{name}.time", time)
        for place, stand_in in {
            "recovery.engine.lease.threading": threading,
            "recovery.engine.parallel.Asking": asking,
            "recovery.steps.check.Asking": asking,
            "recovery.duties.boot_clock": lambda: self.acting.boot_clock(),
            "recovery.governor.boot_clock": lambda: self.acting.boot_clock(),
            "recovery.duties.announce": lambda *_: None,
            "recovery.execution._objective": lambda *_: None,
            "recovery.governor._Run": Run,
            "recovery.ward.end_descendants": lambda _: True,
            "recovery.names.resolve": self._resolve,
            "recovery.web.get": lambda *_, **__: SimpleNamespace(status=503),
            "recovery.web.request": self.ask_old_balancer,
            "recovery.database.postgres.connect": lambda target, *_, **__: SimpleNamespace(
                close=lambda: None
            ),
            "recovery.database.postgres.replication": lambda _: Replication(
                in_recovery=False, streaming=False, replay_lag_seconds=None, last_replayed_lsn=None
            ),
            "recovery.database.heartbeat.read": lambda _: beat,
            "recovery.verify.verify": lambda case: findings.Verdict(
                product="rlg-data", site=case.site.name, findings=(findings.ok("journey", "ok"),)
            ),
        }.items():
            monkeypatch.setattr(place, stand_in)
        return back

    def _resolve(self, name, resolver=None):
        if ".elb." in name:
            return (name.split(".")[1],)
        target = self.clockwork.current.process.target
        return (target if self.claims.get(target) else "elsewhere",)
