"""Two sites after a failover or a switchover, in memory: what a reprotect finds."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from recovery import naming
from recovery.cloud import errors
from recovery.cloud.databases import Placement
from recovery.cloud.objects import Object
from recovery.cloud.replication import Rule
from recovery.database import gate
from recovery.database.comparison import Column, Listed, Row
from recovery.database.errors import DatabaseDeniedError
from recovery.database.heartbeat import Heartbeat
from recovery.database.postgres import CLOSED_WORDS, Replication
from tests.recovery.simulated import HERE, OURS, THEIRS, THERE, WITNESS, Cloud, rejected

ACTIVE, OLD, ASIDE = "rlg-data-dr-1", "rlg-data-primary-1", "rlg-data-primary-1-old-2"
KEPT = "rlg-data-primary-1-kept-2"
TABLE = "public.entries"


def arn_of(database, region):
    return f"arn:aws:rds:{region}:1:db:{database}"


def key_of(region):
    return f"arn:aws:kms:{region}:1:key/standby"


KEY = key_of(THERE)
FILES = {site: f"rlg-data-files-1-{region}" for site, region in (("dr", HERE), ("primary", THERE))}
PAGES = {name: bucket.replace("files", "frontend") for name, bucket in FILES.items()}
THEN = datetime(2026, 11, 1, tzinfo=UTC)


class Parted(Cloud):
    """The dr site took over in epoch 2, and the region of the primary answers again."""

    def __init__(self, moved_by="failover-1", products=("rlg-data",)):
        super().__init__(products)
        self.changes = []
        """What RDS is at: of each change, the steps that are left."""
        self.protected, self.renames, self.replicas_asked = set(), [], []
        self.snapshots_taken = []
        self.forwarding = {}
        self.beats = 0
        self.streams = True
        self.rows = {
            OLD: {TABLE: {"1": "a", "7": "lost"}},
            ACTIVE: {TABLE: {"1": "a", "8": "new"}},
        }
        self.stored = {}
        self.rules = {FILES["primary"]: (rule("dr"),), PAGES["primary"]: (rule("dr", PAGES),)}
        self._take_over(moved_by)
        self._fill_buckets()

    def _take_over(self, moved_by):
        planned = moved_by.startswith("switchover")
        case = self.case()
        self.databases[ACTIVE] = replace(
            self.databases[OLD], id=ACTIVE, arn=arn_of(ACTIVE, HERE), host=f"{ACTIVE}.{HERE}",
        )  # fmt: skip
        for region in (HERE, WITNESS, THERE) if planned else (HERE, WITNESS):
            self.tables[region][naming.assignment_item("rlg-data")].update(
                site="dr", epoch=2, claim=True, settled=True, execution=moved_by
            )
        self.claims = {("rlg-data", "dr"): 1.0, ("rlg-data", "primary"): 0.0}
        self.groups[HERE, "rlg-data-dr"] = [2, frozenset({"i-1", "i-2"})]
        self.groups[THERE, "rlg-data-primary"] = [0, frozenset()]
        if planned:
            self.closed.add(OLD)
            self.rows[OLD] = {TABLE: {"1": "a"}}
        else:
            self.refused_listeners.add(case.peer_deployment.listener_arn)
            self.cut_off[THERE, "acl-primary", 100] = (THEIRS, 5432)

    def _fill_buckets(self):
        """Of each kind an object: alike, new at the active site, lost, and newer there."""
        later = THEN + timedelta(days=1)
        for bucket in (FILES["dr"], FILES["primary"]):
            self._store(bucket, "alike", b"1", THEN)
        self._store(FILES["dr"], "new", b"2", later)
        self._store(FILES["dr"], "changed", b"3", later)
        self._store(FILES["primary"], "changed", b"old", THEN)
        if not self.closed:
            self._store(FILES["primary"], "lost", b"4", THEN)
        for bucket in PAGES.values():
            self._store(bucket, "index.html", b"<p>", THEN)

    def _store(self, bucket, key, body, at):
        self.stored.setdefault(bucket, {})[key] = (body, at)

    def case(self, name="rlg-data", **accepted):
        made = super().case(name, **accepted)
        return replace(made, execution=made.execution.replace("failover", "reprotect"))

    # The guards, who publish what the tables say; and Route 53.

    def guards(self):
        for product in sorted({product for product, _ in self.claims}):
            self._publish(product)

    def _publish(self, product):
        key = naming.assignment_item(product)
        items = [table[key] for table in self.tables.values() if key in table]
        if not items:
            return
        newest = max(item["epoch"] for item in items)
        ours = [item for item in items if item["epoch"] == newest]
        active = ours[0]["site"]
        region, other = (HERE, THERE) if active == "dr" else (THERE, HERE)
        if region in self.dark:
            return
        self.claims[product, active] = float(any(item["claim"] for item in ours))
        if other not in self.dark:
            self.claims[product, "primary" if active == "dr" else "dr"] = 0.0

    def resolve(self, name, resolver=None):
        product, _, kind = name.partition(".")
        if kind == "elb":
            return super().resolve(name)
        self.guards()
        primary_is_out, dr_is_out = (
            self.claims.get((product, site), 0.0) >= 1 for site in ("dr", "primary")
        )
        return (OURS if primary_is_out and not dr_is_out else THEIRS,)

    def is_alarming(self, region, alarm):
        def act():
            self.guards()
            return next(
                value >= 1
                for (product, site), value in self.claims.items()
                if naming.switch_alarm(product, site) == alarm
            )

        return self.call(region, "metrics.is_alarming", alarm, act)

    # RDS

    def _begin(self, *steps):
        self.changes.append(list(steps))

    def _pass_time(self):
        for change in list(self.changes):
            change.pop(0)()
            if not change:
                self.changes.remove(change)

    def _set(self, name, **facts):
        def act():
            self.databases[name] = replace(self.databases[name], **facts)

        return act

    def _require_available(self, name):
        if self.databases[name].status != "available":
            raise rejected("InvalidDBInstanceState")

    def describe_database(self, region, name):
        def act():
            self._pass_time()
            found = self.databases.get(name)
            return found if found and found.host.endswith(region.name) else None

        return self.call(region, "databases.describe", name, act)

    def rename(self, region, name, wanted):
        def act():
            self._require_available(name)
            if wanted in self.databases:
                raise errors.ConflictError("rename", region.name, "DBInstanceAlreadyExists", "no")
            self.renames.append((name, wanted))
            found = self.databases[name]
            self._set(name, status="renaming")()

            def move():
                del self.databases[name]
                self.rows[wanted] = self.rows.pop(name)
                if name in self.closed:
                    self.closed.add(wanted)
                    self.closed.discard(name)
                self.databases[wanted] = replace(
                    found, id=wanted, arn=arn_of(wanted, region.name), status="rebooting",
                    host=f"{wanted}.{region.name}",
                )  # fmt: skip

            self._begin(lambda: None, move, lambda: None, self._set(wanted, status="available"))

        self.call(region, "databases.rename", name, act, writes=True)

    def protect(self, region, name):
        def act():
            self._require_available(name)
            self.protected.add(name)
            self._set(name, status="modifying")()
            self._begin(lambda: None, self._set(name, status="available"))

        self.call(region, "databases.protect", name, act, writes=True)

    def placement(self, region, name):
        def act():
            if name not in self.databases:
                raise errors.NotFoundError("describe", region.name, "DBInstanceNotFound", "none")
            return Placement(
                instance_class="db.r6g.large", subnet_group=region.name, parameter_group="pg",
                security_groups=("sg-1",), key=key_of(region.name), port=5432, storage_type="gp3",
                storage_limit=None, deletion_protection=name in self.protected, tags=(),
            )  # fmt: skip

        return self.call(region, "databases.placement", name, act)

    def create_snapshot(self, region, database, name):
        def act():
            if name in self.snapshots:
                raise errors.ConflictError("snap", region.name, "DBSnapshotAlreadyExists", "no")
            self._require_available(database)
            self.snapshots_taken.append(name)
            self.snapshots[name] = "creating"
            self._set(database, status="backing-up")()

            def done():
                self.snapshots[name] = "available"
                self._set(database, status="available")()

            self._begin(lambda: None, lambda: None, done)

        self.call(region, "databases.create_snapshot", name, act, writes=True)

    def snapshot_status(self, region, name):
        def act():
            self._pass_time()
            return self.snapshots.get(name)

        return self.call(region, "databases.snapshot_status", name, act)

    def create_replica(self, region, name, source, source_region, like):
        def act():
            if name in self.databases:
                raise errors.ConflictError("replica", region.name, "DBInstanceAlreadyExists", "no")
            self._require_available(source.id)
            assert (like.key, like.subnet_group) == (key_of(region.name), region.name)
            assert source.host.endswith(source_region)
            self.replicas_asked.append(name)
            self.databases[name] = replace(
                source, id=name, arn=arn_of(name, region.name), status="creating",
                source=source.arn, retention_days=0, host=f"{name}.{region.name}",
                replication="replicating",
            )  # fmt: skip
            self._begin(lambda: None, lambda: None, self._set(name, status="available"))

        self.call(region, "databases.create_replica", name, act, writes=True)

    def keep_backups(self, region, name, days):
        def act():
            self._require_available(name)
            self._set(name, status="modifying", retention_days=days)()
            self._begin(
                lambda: None,
                self._set(name, status="backing-up"),
                self._set(name, status="available"),
            )

        self.call(region, "databases.keep_backups", name, act, writes=True)

    # What the databases hold

    def replication(self, session):
        follows = self.databases[session.id].source is not None
        return Replication(
            in_recovery=follows, streaming=follows and self.streams,
            replay_lag_seconds=0.1, last_replayed_lsn="0/1",
        )  # fmt: skip

    def beat(self, session):
        self.beats += 1
        product = re.split("-(?:dr|primary)-", session.id)[0]
        item = self.tables[WITNESS][naming.assignment_item(product)]
        return Heartbeat(
            at=datetime.now(UTC), site=item["site"], epoch=item["epoch"], beats=self.beats
        )

    def _connect(self, target, credentials, **how):
        database, _, region = target.host.partition(".")
        if target.name != gate.MAINTENANCE and database in self.closed:
            raise DatabaseDeniedError(database, CLOSED_WORDS)

        def row(statement):
            return self.call(session, "postgres.row", database, lambda: ("0/3000",))

        session = SimpleNamespace(
            id=database, name=region, close=lambda: None, execute=lambda *_: None, row=row
        )
        return session

    def list_tables(self, session):
        columns = tuple(
            Column(name=name, type="text", generated=False, identity=False, numbered=False)
            for name in ("id", "note")
        )
        return self.call(
            session,
            "differences.tables",
            session.id,
            lambda: tuple(
                Listed(name=name, partitioned=False, columns=columns, key=("id",))
                for name in self.rows[session.id]
            ),
        )

    def differences(self, first, second, table, columns):
        def act():
            ours = self.rows[second.id][table.name]
            return [
                Row(row=json.dumps({"id": key}), other=None, insert=f"insert {key};")
                for key in self.rows[first.id][table.name]
                if key not in ours
            ]

        return self.call(first, "differences.differences", table.name, act)

    # S3

    def read_object(self, region, bucket, key):
        def act():
            if key not in self.stored.get(bucket, {}):
                raise errors.NotFoundError("s3:GetObject", region.name, "NoSuchKey", "none")
            return self.stored[bucket][key][0]

        return self.call(region, "objects.read", key, act)

    def write_object(self, region, bucket, key, body, *, only_new=False):
        def act():
            if only_new and key in self.stored.get(bucket, {}):
                raise errors.ConflictError("s3:PutObject", region.name, "412", "it exists")
            content = body if isinstance(body, bytes) else body.read()
            self._put(bucket, key, content)

        self.call(region, "objects.write", key, act, writes=True)

    def _put(self, bucket, key, content):
        at = datetime.now(UTC)
        self._store(bucket, key, content, at)
        for rule in self.rules.get(bucket, ()):
            self._store(rule.destination, key, content, at)

    def object_exists(self, region, bucket, key):
        return self.call(region, "objects.exists", key, lambda: key in self.stored.get(bucket, {}))

    def list_objects(self, region, bucket, prefix=""):
        def act():
            return [
                Object(key=key, size=len(body), etag=repr(body), version=None, last_modified=at)
                for key, (body, at) in sorted(self.stored.get(bucket, {}).items())
                if key.startswith(prefix)
            ]

        return iter(self.call(region, "objects.listing", bucket, act))

    def copy_object(self, region, source, bucket, key):
        self.call(
            region,
            "objects.copy",
            key,
            lambda: self._put(bucket, key, self.stored[source][key][0]),
            writes=True,
        )

    def replication_rules(self, region, bucket):
        return self.call(region, "replication.rules", bucket, lambda: self.rules.get(bucket, ()))

    def default_key(self, region, bucket):
        return self.call(region, "replication.default_key", bucket, lambda: key_of(region.name))

    def put_rules(self, region, bucket, wanted):
        def act():
            self.rules[bucket] = tuple(wanted)

        self.call(region, "replication.put", bucket, act, writes=True)

    # The standby's hosts

    def scale(self, region, name, desired):
        super().scale(region, name, desired)
        self.groups[region.name, name][1] = frozenset(f"i-{n}" for n in range(desired))

    def is_refusing(self, region, listener):
        return self.call(
            region, "balancers.is_refusing", "listener", lambda: listener in self.refused_listeners
        )

    def forward(self, region, listener, groups):
        def act():
            self.refused_listeners.discard(listener)
            self.forwarding[listener] = dict(groups)

        self.call(region, "balancers.forward", "listener", act, writes=True)

    def is_denied(self, region, acl, rule):
        return self.call(
            region,
            "network.is_denied",
            str(rule),
            lambda: (region.name, acl, rule) in self.cut_off,
        )

    def allow(self, region, acl, rule):
        self.call(
            region,
            "network.allow",
            str(rule),
            lambda: self.cut_off.pop((region.name, acl, rule), None),
            writes=True,
        )

    def install(self, monkeypatch):
        super().install(monkeypatch)
        for function, stand_in in {
            "cloud.databases.rename": self.rename,
            "cloud.databases.protect": self.protect,
            "cloud.databases.placement": self.placement,
            "cloud.databases.create_replica": self.create_replica,
            "cloud.databases.keep_backups": self.keep_backups,
            "cloud.metrics.is_alarming": self.is_alarming,
            "cloud.objects.listing": self.list_objects,
            "cloud.objects.copy": self.copy_object,
            "cloud.objects.version": self._constant("objects.version", "v1"),
            "cloud.objects.deleted": self._constant("objects.deleted", value=False),
            "cloud.replication.rules": self.replication_rules,
            "cloud.replication.put": self.put_rules,
            "cloud.replication.default_key": self.default_key,
            "cloud.balancers.is_refusing": self.is_refusing,
            "cloud.balancers.forward": self.forward,
            "cloud.network.is_denied": self.is_denied,
            "cloud.network.allow": self.allow,
            "database.differences.open_snapshot": lambda _: None,
            "database.differences.normalise": lambda _: None,
            "database.differences.tables": self.list_tables,
            "database.differences.differences": self.differences,
            "database.postgres.replication": self.replication,
            "database.heartbeat.read": self.beat,
            "web.get": lambda *_, **__: SimpleNamespace(status=200),
        }.items():
            monkeypatch.setattr(f"recovery.{function}", stand_in)
        for place, seconds in {
            "old_database.SNAPSHOT_SECONDS": 3.0,
            "old_database.RENAME_SECONDS": 3.0,
            "new_replica.REPLICA_SECONDS": 3.0,
            "rearm.PATIENCE_SECONDS": 0.3,
            "claims.PATIENCE_SECONDS": 0.3,
            "traffic.BUDGET_SECONDS": 0.3,
            "verify_protection.BEAT_SECONDS": 0.3,
            "verify_protection.FILE_SECONDS": 0.3,
            "reprotection.CHECK_SECONDS": 0.3,
        }.items():
            monkeypatch.setattr(f"recovery.steps.{place}", seconds)
        return self


def rule(to, buckets=FILES):
    document = {
        "ID": "everything",
        "Status": "Enabled",
        "Destination": {"Bucket": f"arn:aws:s3:::{buckets[to]}"},
    }
    return Rule(destination=buckets[to], role="role", enabled=True, document=document)
