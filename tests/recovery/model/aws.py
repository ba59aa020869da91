"""What stands in for AWS, databases, names and time, below the real code."""

from dataclasses import replace
from types import SimpleNamespace

from recovery import naming, web
from recovery.cloud import errors
from recovery.cloud.databases import Database
from recovery.cloud.hosts import Group
from recovery.database.postgres import Replication
from recovery.engine import parallel
from recovery.steps.loss import Loss
from recovery.verification import findings
from tests.recovery import simulated
from tests.recovery.model import clockwork as virtual
from tests.recovery.model.hosts import Run


class Aws:
    """Databases, groups, objects and metrics of a world, and the calls that reach them."""

    def __init__(self, world):
        self.world = world
        self.objects = {}
        self.refusing = set()
        """Regions whose balancer refuses."""
        self.claims = {}
        self.desired = dict.fromkeys((site.region for site in world.facts.sites.values()), 2)
        self.databases = {
            "primary": database("primary", source=None),
            "dr": database("dr", source="arn:primary"),
        }

    def call(self, region, function, act):
        """Make a call from the task that runs, with the attempts and patience of recovery's."""
        world = self.world
        process = world.clockwork.current.process
        for _ in range(1 if region.once else 3):
            future = virtual.Future(world.clockwork)
            world.network.send(
                process.place,
                region.name,
                act,
                future.set,
                unheard=lambda: process.unheard.add(region.name),
            )
            try:
                found = future.result(2.0 if region.once else 5.0)
            except TimeoutError:
                continue
            if isinstance(found, Exception):
                raise found
            return found
        raise simulated.unreachable(function, region.name)

    def read_item(self, region, table, key):
        if self.world.clockwork.current is None:
            return self.world.acting.read_item()
        return self.call(region, "dynamodb:GetItem", lambda: self.world.item(region.name, key))

    def put_item(self, region, table, item, *, condition=None, values=None):
        world = self.world
        is_assignment = item["key"] == world.assignment_key

        def act():
            present = world.tables[region.name].get(item["key"])
            if not simulated._holds(condition, present, values or {}) and present != item:
                return errors.ConflictError("put", region.name, "ConditionalCheckFailed", "no")
            if is_assignment:
                world.writes(region.name, present, item)
            world.tables[region.name][item["key"]] = dict(item)
            return None

        if is_assignment and item["epoch"] > world.newest()["epoch"]:
            world.aim("assign")
        self.call(region, "dynamodb:PutItem", act)

    def describe_database(self, region, name):
        return self.call(region, "rds:Describe", lambda: self.databases[site_of(name)])

    def promote(self, region, name, retention_days):
        site, process = site_of(name), self.world.clockwork.current.process

        def act():
            found = self.databases[site]
            if found.source is None or found.status != "available":
                return simulated.rejected("InvalidDBInstanceState")
            self.databases[site] = replace(found, status="modifying")
            epoch = process.takeover.target.epoch
            recorded = self.objects.get((region.name, naming.recovery_point_key("rlg-data", epoch)))
            proof = process.takeover.proof
            proven = proof.proven if proof else b"NOT PROVEN" not in (recorded or b"")
            self.world.promotes(site, epoch, proven=proven)
            self._overlooks(process, "promotes")
            self.world.clockwork.after(
                self.world.random.uniform(0.1, 20),
                lambda: self.databases.update({site: database(site, source=None)}),
            )
            return None

        self.call(region, "rds:Promote", act)

    def _overlooks(self, process, what):
        if seen := ", ".join(sorted(process.overtaking - process.unheard)):
            self.world.violate(f"{process.name} {what} by an epoch that {seen} has overtaken")

    def describe_group(self, region, name):
        def act():
            ids = frozenset(host.name for host in self._group(region) if host.up)
            desired = self.desired[region.name]
            return Group(name=name, desired=desired, minimum=0, maximum=4, in_service=ids)

        return self.call(region, "autoscaling:Describe", act)

    def scale(self, region, name, desired):
        clockwork, draw = self.world.clockwork, self.world.random

        def act():
            self.desired[region.name] = desired
            for number, host in enumerate(self._group(region)):
                if number >= desired:
                    clockwork.after(draw.uniform(0.1, 30), host.crash)
                elif not host.up:
                    clockwork.after(draw.uniform(1, 10), host.boot_if_down)

        self.call(region, "autoscaling:Update", act)

    def _group(self, region):
        """Return the hosts behind the region's balancer; workers are not."""
        return [
            host
            for host in self.world.all_hosts()
            if host.site.region == region.name and not host.is_worker
        ]

    def ask_old_balancer(self, method, domain, *_, addresses, **__):
        place, (region,) = self.world.clockwork.current.process.place, addresses
        if not all(self.world.network.is_up(*way) for way in ((place, region), (region, place))):
            raise web.UnansweredError("no answer")
        group = self._group(SimpleNamespace(name=region))
        served = any(host.run and host.run.alive for host in group if host.up)
        return SimpleNamespace(status=401 if served and region not in self.refusing else 503)

    def write_object(self, region, bucket, key, body, *, only_new=False):
        def act():
            if only_new and (region.name, key) in self.objects:
                return errors.ConflictError("s3:PutObject", region.name, "412", "it exists")
            self.objects[region.name, key] = body
            return None

        if "recovery-points" in key:
            self.world.aim("record")
        self.call(region, "s3:PutObject", act)

    def publish_metric(self, region, namespace, values):
        process = self.world.clockwork.current.process

        def act():
            self.claims[region.name] = 1.0
            self._overlooks(process, "claims the traffic")

        self.world.aim("claim")
        self.call(region, "metrics", act)

    def resolve(self, name, resolver=None):
        if ".elb." in name:
            return (name.split(".")[1],)
        target = self.world.clockwork.current.process.target
        return (target if self.claims.get(target) else "elsewhere",)

    def install(self, monkeypatch):
        """Put all of it in the place of what recovery calls."""
        for name, stand_in in (self._cloud() | self._beside()).items():
            monkeypatch.setattr(f"recovery.{name}", stand_in)
        for name, stand_in in _time(self.world, monkeypatch).items():
            monkeypatch.setattr(f"recovery.{name}", stand_in)

    def _cloud(self):
        call = self.call
        constant = {
            "hosts.image_state": "available",
            "hosts.vcpus": 2,
            "quotas.vcpus": 64.0,
            "quotas.vcpus_in_use": 8,
            "secrets.read_json": {"username": "u", "password": "p"},
            "topics.publish": None,
            "databases.create_snapshot": None,
            "databases.snapshot_status": "available",
            "balancers.targets": {"i-1": "healthy", "i-2": "healthy"},
        }
        functions = {name: lambda *_, value=value, **__: value for name, value in constant.items()}
        functions |= {
            "tables.read": self.read_item,
            "tables.put": self.put_item,
            "databases.describe": self.describe_database,
            "databases.promote": self.promote,
            "hosts.describe": self.describe_group,
            "hosts.scale": self.scale,
            "balancers.refuse": lambda region, _: call(
                region, "elb", lambda: self.refusing.add(region.name)
            ),
            "network.deny": lambda region, *_, **__: call(region, "ec2", lambda: None),
            "metrics.publish": self.publish_metric,
            "objects.write": self.write_object,
            "objects.exists": lambda region, _, key: call(
                region, "s3:HeadObject", lambda: (region.name, key) in self.objects
            ),
        }
        return {f"cloud.{name}": stand_in for name, stand_in in functions.items()}

    def _beside(self):
        loss = Loss(seconds=0.0, outage_began=None, last_heartbeat=None, text="no loss")
        replication = Replication(
            in_recovery=False, streaming=False, replay_lag_seconds=None, last_replayed_lsn=None
        )
        return {
            "names.resolve": self.resolve,
            "web.get": lambda *_, **__: SimpleNamespace(status=503),
            "web.request": self.ask_old_balancer,
            "database.postgres.connect": lambda *_, **__: SimpleNamespace(close=lambda: None),
            "database.postgres.replication": lambda _: replication,
            "database.gate.is_open": lambda *_: True,
            "steps.check_database.predict": lambda *_, **__: loss,
            "verify.verify": lambda case: findings.Verdict(
                product="rlg-data", site=case.site.name, findings=(findings.ok("journey", "ok"),)
            ),
        }


def _time(world, monkeypatch):
    """Return what stands in for clocks, threads, processes and their neighbours."""
    clockwork = world.clockwork
    asking = virtual.asking(clockwork, parallel._answer)
    clock = SimpleNamespace(
        monotonic=clockwork.monotonic, sleep=clockwork.sleep, time=lambda: clockwork.now
    )
    monkeypatch.setattr(Run, "world", world)
    timed = ("engine.parallel", "engine.wait", "engine.plan", "engine.lease", "engine.telling")
    timed += ("execution", "steps.proof", "steps.naming", "steps.promote", "steps.fence")
    return {f"{name}.time": clock for name in timed} | {
        "engine.lease.threading": virtual.threads(clockwork),
        "engine.lease._is_dead_here": lambda _: False,
        "engine.parallel.Asking": asking,
        "steps.check.Asking": asking,
        "execution.this_process": lambda operator: f"{operator} on m (process 1.1)",
        "duties.boot_clock": lambda: world.acting.boot_clock(),
        "governor.boot_clock": lambda: world.acting.boot_clock(),
        "duties.announce": lambda *_: None,
        "governor._Run": Run,
        "ward.end_descendants": lambda _: True,
    }


def site_of(name):
    return name.split("-")[2]


def database(site, source):
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
