"""Two sites and a witness in memory, at the level of `recovery.cloud`'s functions.

The real plans run on it. Each call is recorded with the step that made it, and may be made to
fail, to lose its answer, or to be the last thing that its process does.
"""

import contextvars
import itertools
import re
import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from recovery import naming
from recovery.cloud import client, errors
from recovery.cloud.databases import Database
from recovery.cloud.hosts import Group
from recovery.database import gate
from recovery.database.errors import DatabaseDeniedError, DatabaseReadOnlyError
from recovery.database.heartbeat import Heartbeat
from recovery.database.postgres import CLOSED_WORDS, Replication
from recovery.engine import lease
from recovery.topology import Guard
from recovery.verification import findings
from tests.recovery import cases

HERE, WITNESS, THERE = "us-west-2", "us-east-2", "us-east-1"
OURS, THEIRS = "127.100.2.1", "127.100.1.1"
GUARD = Guard(ttl_seconds=0.03, drift_seconds=0.01)
PROMOTING = ("modifying", "rebooting", "available")
"""What RDS calls a database that it promotes; with the last it is no replica any more."""


class Killed(BaseException):
    """The process ends here: no `except Exception` sees it, and no call follows it."""


class Process:
    """One run of the command; once dead it makes no more calls."""

    def __init__(self):
        self.dead = False
        self.counts = {}


_process: ContextVar[Process | None] = ContextVar("process", default=None)
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, order=True)
class Call:
    """The `number`th call of its kind that a step made."""

    step: str
    region: str
    function: str
    subject: str
    number: int

    def __str__(self):
        return f"{self.step}:{self.function}:{self.subject}:{self.region}:{self.number}"


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of one call: kill-before, kill-after, lost, or an error instead of it."""

    call: Call
    kind: str


def unreachable(function, region):
    return errors.UnreachableError(function, region, "ReadTimeoutError", "no answer")


def throttled(function, region):
    return errors.ThrottledError(function, region, "Throttling", "Rate exceeded")


def rejected(code, function="rds:Call", region=HERE):
    return errors.RejectedError(function, region, code, "no")


class Cloud:
    """A dead primary whose region still answers, and a standby that is ready."""

    def __init__(self, products=("rlg-data",)):
        self.lock = threading.RLock()
        self.bystander = Process()
        """Who calls outside `run`: the journal's mirror."""
        self.calls: list[Call] = []
        self.began_at: dict[Call, float] = {}
        self.answered_at: dict[Call, float] = {}
        """By the monotonic clock."""
        self.writes: set[Call] = set()
        self.fault: Fault | None = None
        self.fired = False
        self.dark: set[str] = set()
        self.before = {}
        """(step, function) → what happens in the world right before that call."""
        self.refusals = {}
        """function → the error that it ends in, for good."""
        self.tables = {THERE: {}, HERE: {}, WITNESS: {}}
        self.databases = {}
        self.closed = set()
        """The databases that take no sessions."""
        self.promotions, self.promotion_requests = [], 0
        self.promoting = {}
        self.snapshots = {}
        self.groups = {}
        self.deaf_to_writes: set[str] = set()
        """Regions whose tables lose the next write."""
        self.looks = {}
        self.objects = {}
        self.published = []
        self.claims = {}
        self.refused_listeners = set()
        self.cut_off = {}
        """(region, ACL, rule) → the address and port that its hosts do not reach."""
        self.finding = findings.ok("journey", "3 requests")
        self.old_balancer = 503
        """What the old site's balancer answers to a write."""
        for name in products:
            self._add(name)

    def _add(self, name):
        case = self.case(name)
        here, there = case.deployment, case.peer_deployment
        for table in self.tables.values():
            table[naming.assignment_item(name)] = {
                "key": naming.assignment_item(name),
                "site": "primary",
                "epoch": 1,
                "claim": False,
                "settled": True,
                "execution": "assign-1",
                "written_at": "then",
            }
        self.databases[there.database] = writer = Database(
            id=there.database,
            arn="arn",
            status="available",
            source=None,
            host=f"{there.database}.{THERE}",
            port=5432,
            instance_class="db.r6g.large",
            multi_az=False,
            retention_days=7,
            replication=None,
            engine="postgres",
            engine_version="18.1",
        )
        self.databases[here.database] = replace(
            writer,
            id=here.database,
            source="arn:primary",
            host=f"{here.database}.{HERE}",
            replication="replicating",
        )
        self.groups[HERE, here.host_group] = [1, frozenset({"i-1"})]
        self.groups[THERE, there.host_group] = [2, frozenset({"i-8", "i-9"})]

    def case(self, name="rlg-data", **accepted):
        """A case of a new execution for that product."""
        made = cases.case(**accepted)
        product = replace(
            made.product,
            name=name,
            domain=f"{name}.example",
            rto_seconds=5,
            deployments={
                site: replace(
                    each,
                    database=f"{name}-{site}-1",
                    host_group=f"{name}-{site}",
                    load_balancer_dns=f"{name}-{site}.elb",
                    target_groups={service: f"{name}/{service}" for service in each.target_groups},
                )
                for site, each in made.product.deployments.items()
            },
        )
        facts = replace(made.topology, guard=GUARD)
        execution = f"failover-{next(_numbers)}"
        return replace(made, topology=facts, product=product, execution=execution)

    def run(self, work):
        """Do the work as a process of its own, in a context of its own."""

        def process():
            _process.set(Process())
            client.calling_step.set("")  # a command begins with none, whatever ran before here
            return work()

        return contextvars.copy_context().run(process)

    # Every call goes through here.

    def call(self, region, function, subject, act, *, writes=False):
        process = _process.get() or self.bystander
        step = client.calling_step.get().partition("/")[2]
        with self.lock:
            if process.dead:
                if threading.current_thread().name == "lease":
                    raise unreachable(function, region.name)
                raise Killed
            kind = (client.calling_step.get(), region.name, function, subject)
            process.counts[kind] = number = process.counts.get(kind, 0) + 1
            call = Call(step, region.name, function, subject, number)
            self.calls.append(call)
            self.began_at[call] = time.monotonic()
            if writes:
                self.writes.add(call)
            if happening := self.before.pop((step, function), None):
                happening()
            if region.name in self.dark:
                raise unreachable(function, region.name)
            if error := self.refusals.get(function):
                raise error
            answer = self._faulted(call, process, act)
            self.answered_at[call] = time.monotonic()
            return answer

    def _faulted(self, call, process, act):
        fault = self.fault
        if fault is None or fault.call != call or self.fired:
            return act()
        self.fired = True
        if fault.kind == "throttled":
            raise throttled(call.function, call.region)
        if fault.kind == "unreachable":
            raise unreachable(call.function, call.region)
        if fault.kind == "kill-before":
            process.dead = True
            raise Killed
        try:
            return act()
        finally:
            if fault.kind == "lost":
                raise unreachable(call.function, call.region)
            process.dead = True
            raise Killed

    # recovery.cloud

    def read_item(self, region, table, key):
        def act():
            found = self.tables[region.name].get(key)
            return found and dict(found)

        return self.call(region, "tables.read", key, act)

    def lose_the_next_write_to(self, region):
        self.deaf_to_writes.add(region)

    def put_item(self, region, table, item, *, condition=None, values=None):
        def act():
            if region.name in self.deaf_to_writes:
                self.deaf_to_writes.discard(region.name)
                raise unreachable("tables.put", region.name)
            present = self.tables[region.name].get(item["key"])
            if not _holds(condition, present, values or {}) and present != item:
                raise errors.ConflictError("put", region.name, "ConditionalCheckFailed", "no")
            self.tables[region.name][item["key"]] = dict(item)

        self.call(region, "tables.put", item["key"], act, writes=True)

    def describe_database(self, region, name):
        def act():
            found = self.databases.get(name)
            if found and self.promoting.get(name):
                status = self.promoting[name].pop(0)
                source = found.source if self.promoting[name] else None
                self.databases[name] = found = replace(found, status=status, source=source)
            return found

        return self.call(region, "databases.describe", name, act)

    def promote(self, region, name, retention_days):
        def act():
            self.promotion_requests += 1
            found = self.databases[name]
            if found.source is None or name in self.promoting:
                raise rejected("InvalidDBInstanceState")
            self.promotions.append(name)
            # RDS's answers are not its last word: the first look may still show the old status.
            self.promoting[name] = [found.status, *PROMOTING]

        self.call(region, "databases.promote", name, act, writes=True)

    def create_snapshot(self, region, database, name):
        def act():
            if name in self.snapshots:
                raise errors.ConflictError("snap", region.name, "DBSnapshotAlreadyExists", "no")
            if self.databases[database].status != "available":
                raise rejected("InvalidDBInstanceState")
            self.snapshots[name] = "creating"

        self.call(region, "databases.create_snapshot", name, act, writes=True)

    def snapshot_status(self, region, name):
        return self.call(
            region, "databases.snapshot_status", name, lambda: self.snapshots.get(name)
        )

    def describe_group(self, region, name):
        def act():
            desired, in_service = self.groups[region.name, name]
            return Group(
                name=name,
                desired=desired,
                minimum=desired,
                maximum=4,
                in_service=in_service,
            )

        return self.call(region, "hosts.describe", name, act)

    def scale(self, region, name, desired):
        def act():
            self.groups[region.name, name][0] = desired

        self.call(region, "hosts.scale", name, act, writes=True)

    def targets(self, region, arn):
        """A host that was asked for is healthy from the third look on."""

        def act():
            key = (region.name, arn)
            self.looks[key] = self.looks.get(key, 0) + 1
            site = "dr" if region.name == HERE else "primary"
            wanted = self.groups[region.name, f"{arn.partition('/')[0]}-{site}"][0]
            healthy = wanted if self.looks[key] > 2 else 1
            return {
                f"i-{n}": "healthy" if n <= healthy else "initial" for n in range(1, wanted + 1)
            }

        return self.call(region, "balancers.targets", arn, act)

    def refuse(self, region, listener):
        self.call(
            region,
            "balancers.refuse",
            "listener",
            lambda: self.refused_listeners.add(listener),
            writes=True,
        )

    def deny(self, region, acl, rule, *, address, port):
        def act():
            self.cut_off[region.name, acl, rule] = (address, port)

        self.call(region, "network.deny", str(rule), act, writes=True)

    def publish_metric(self, region, namespace, values):
        ((_, dimensions, value),) = values

        def act():
            self.claims[dimensions["Product"], dimensions["Site"]] = value

        self.call(region, "metrics.publish", dimensions["Product"], act, writes=True)

    def latest_metric(self, region, namespace, metric, dimensions):
        now = datetime.now(UTC)
        seen = now - timedelta(seconds=90)
        return self.call(
            region, "metrics.latest", dimensions["Product"], lambda: (now, seen.timestamp())
        )

    def read_object(self, region, bucket, key):
        def act():
            if key not in self.objects:
                raise errors.NotFoundError("s3:GetObject", region.name, "NoSuchKey", "none")
            return self.objects[key]

        return self.call(region, "objects.read", key, act)

    def write_object(self, region, bucket, key, body, *, only_new=False):
        def act():
            if only_new and key in self.objects:
                raise errors.ConflictError("s3:PutObject", region.name, "412", "it exists")
            self.objects[key] = body

        self.call(region, "objects.write", key, act, writes=True)

    def object_exists(self, region, bucket, key):
        return self.call(region, "objects.exists", key, lambda: key in self.objects)

    def publish_message(self, region, topic, subject, text, identity):
        self.call(
            region,
            "topics.publish",
            identity,
            lambda: self.published.append(identity),
            writes=True,
        )

    # Names, customers, databases

    def resolve(self, name, resolver=None):
        product, _, kind = name.partition(".")
        if kind == "elb":
            return (OURS if product.endswith("-dr") else THEIRS,)
        return (OURS if self.claims.get((product, "dr")) else THEIRS,)

    def is_open(self, session, name):
        return self.call(session, "gate.is_open", name, lambda: session.id not in self.closed)

    def open_gate(self, session, name):
        self.call(
            session, "gate.open_", name, lambda: self._set_gate(session.id, "open"), writes=True
        )

    def _set_gate(self, database, wanted):
        """Open or close; what replicates follows, and takes no order of its own."""
        if self.databases[database].source is not None:
            raise DatabaseReadOnlyError(database, "read-only", "25006")
        turned = {"-primary-": "-dr-", "-dr-": "-primary-"}
        follower = re.sub("|".join(turned), lambda found: turned[found[0]], database)
        follows = follower in self.databases and self.databases[follower].source is not None
        for each in {database, follower} if follows else {database}:
            (self.closed.discard if wanted == "open" else self.closed.add)(each)

    def replication(self, connection):
        in_recovery = self.databases[connection.id].source is not None
        return Replication(
            in_recovery=in_recovery,
            streaming=False,
            replay_lag_seconds=None,
            last_replayed_lsn=None,
        )

    def install(self, monkeypatch):
        """Put this cloud in the place of the real one; make waits short."""
        simple = {
            "hosts.image_state": "available",
            "hosts.vcpus": 2,
            "quotas.vcpus": 64.0,
            "quotas.vcpus_in_use": 8,
            "secrets.read_json": {"username": "u", "password": "p"},
        }
        functions = {
            "tables.read": self.read_item,
            "tables.put": self.put_item,
            "databases.describe": self.describe_database,
            "databases.promote": self.promote,
            "databases.create_snapshot": self.create_snapshot,
            "databases.snapshot_status": self.snapshot_status,
            "hosts.describe": self.describe_group,
            "hosts.scale": self.scale,
            "balancers.targets": self.targets,
            "balancers.refuse": self.refuse,
            "network.deny": self.deny,
            "metrics.publish": self.publish_metric,
            "metrics.latest": self.latest_metric,
            "objects.read": self.read_object,
            "objects.write": self.write_object,
            "objects.exists": self.object_exists,
            "topics.publish": self.publish_message,
        } | {function: self._constant(function, value) for function, value in simple.items()}
        for function, stand_in in functions.items():
            monkeypatch.setattr(f"recovery.cloud.{function}", stand_in)
        beat = Heartbeat(
            at=datetime.now(UTC) - timedelta(seconds=100), site="primary", epoch=1, beats=9
        )
        for place, stand_in in {
            "recovery.names.resolve": self.resolve,
            "recovery.web.get": lambda *_, **__: SimpleNamespace(status=503),
            "recovery.web.request": lambda *_, **__: SimpleNamespace(status=self.old_balancer),
            "recovery.database.postgres.connect": self._connect,
            "recovery.database.postgres.replication": self.replication,
            "recovery.database.gate.is_open": self.is_open,
            "recovery.database.gate.open_": self.open_gate,
            "recovery.database.gate.last_commit_behind": lambda *_: beat.at,
            "recovery.database.heartbeat.read": lambda _: beat,
            "recovery.verify.verify": lambda case: findings.Verdict(
                product=case.product.name, site=case.site.name, findings=(self.finding,)
            ),
            "recovery.engine.plan.SETTLES_SECONDS": 0.3,
            "recovery.engine.wait._FIRST_SECONDS": 0.001,
            "recovery.engine.wait._LONGEST_SECONDS": 0.01,
            "recovery.engine.journal.os.fsync": lambda _: None,
            "recovery.execution.this_process": gone_process,
        }.items():
            monkeypatch.setattr(place, stand_in)
        return self

    def _constant(self, function, value):
        return lambda region, *subject: self.call(
            region, function, str(subject[0]) if subject else "", lambda: value
        )

    def _connect(self, target, credentials):
        """A session, which knows its region and whose it is, as the calls made through it do."""
        database, _, region = target.host.partition(".")
        if target.name != gate.MAINTENANCE and database in self.closed:
            raise DatabaseDeniedError(database, CLOSED_WORDS)
        return SimpleNamespace(id=database, name=region, close=lambda: None)


def gone_process(operator):
    """A holder that ran on this machine and is gone: nobody has to wait for its lease."""
    return f"{operator} on {lease._machine()} (process 999999999.{next(_numbers)})"


def process_elsewhere(operator):
    """A holder on another machine, of whom only the lease's renewals tell anything."""
    return f"{operator} on machine-{next(_numbers)} (process 1.1)"


def _holds(condition, present, values):
    """Evaluate the conditions that recovery writes; a new one has to be added here."""
    match condition:
        case None:
            return True
        case "attribute_not_exists(fencing_token)" | "attribute_not_exists(epoch)":
            return present is None
        case "fencing_token = :token AND renewals = :renewals":
            return present is not None and (present["fencing_token"], present["renewals"]) == (
                values["token"],
                values["renewals"],
            )
        case "attribute_not_exists(epoch) OR epoch < :epoch OR (epoch = :epoch AND site = :site)":
            return (
                present is None
                or present["epoch"] < values["epoch"]
                or (present["epoch"], present["site"]) == (values["epoch"], values["site"])
            )
    msg = f"the simulation does not know the condition {condition}"
    raise AssertionError(msg)
