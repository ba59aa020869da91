"""Two sites that are both well, in memory: what a switchover finds."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

from recovery import naming
from recovery.cloud import client
from recovery.database.heartbeat import Heartbeat
from recovery.database.postgres import Replication
from tests.recovery.simulated import THERE, Cloud

OLD, NEW = "rlg-data-primary-1", "rlg-data-dr-1"
BYTES_BEHIND = 3
SESSIONS = 2


class Pair(Cloud):
    """A primary that serves and a standby that is ready."""

    def __init__(self, products=("rlg-data",)):
        super().__init__(products)
        self.dies_at = None
        """The step in which the old region goes dark."""
        self.sessions = SESSIONS
        self.behind = BYTES_BEHIND
        self.streams = True
        self.owns = True
        self.old_claim = 0.0
        self.at_promotion = []
        """(old database closed, sessions in it, bytes that the new one lacked) of each."""

    def case(self, name="rlg-data", **accepted):
        made = super().case(name, **accepted)
        return replace(made, execution=made.execution.replace("failover", "switchover"))

    def failover_case(self):
        return super().case()

    def call(self, region, function, subject, act, *, writes=False):
        if self.dies_at and client.calling_step.get().endswith(f"/{self.dies_at}"):
            self.dark.add(THERE)
        return super().call(region, function, subject, act, writes=writes)

    def promote(self, region, name, retention_days):
        before = len(self.promotions)
        state = (OLD in self.closed, self.sessions, self.behind)
        try:
            super().promote(region, name, retention_days)
        finally:
            if len(self.promotions) > before:
                self.at_promotion.append(state)

    def latest_metric(self, region, namespace, metric, dimensions):
        if metric == naming.CLAIM_METRIC:
            now = datetime.now(UTC)
            return self.call(region, "metrics.latest", metric, lambda: (now, self.old_claim))
        return super().latest_metric(region, namespace, metric, dimensions)

    # The databases.

    def may_close(self, session, name):
        return self.call(session, "gate.may_close", name, lambda: self.owns)

    def close(self, session, name, *, seconds):
        def act():
            self._set_gate(session.id, "closed")
            self.sessions = 0
            return 0

        return self.call(session, "gate.close", name, act, writes=True)

    def open_gate(self, session, name):
        super().open_gate(session, name)
        if session.id == OLD:
            self.sessions = SESSIONS

    def count_sessions(self, session, name):
        return self.call(session, "gate.sessions", name, lambda: self.sessions)

    def end_of_log(self, session, name):
        return self.call(session, "gate.end_of_log", name, lambda: "0/3000")

    def bytes_behind(self, session, lsn):
        def act():
            self.behind = max(0, self.behind - 1)
            return self.behind

        return self.call(session, "gate.bytes_behind", lsn, act)

    def replication(self, connection):
        found = self.databases[connection.id]
        return Replication(
            in_recovery=found.source is not None,
            streaming=self.streams and found.source is not None,
            replay_lag_seconds=None,
            last_replayed_lsn=None,
        )

    # The customers.

    def get(self, domain, port, path, *, addresses=(), **_):
        """A site serves that two tables name and none outdoes, over an open database."""
        answer = (addresses or self.resolve(domain))[0]
        site, database = ("primary", OLD) if answer == "127.100.1.1" else ("dr", NEW)
        key = naming.assignment_item("rlg-data")
        items = [table[key] for table in self.tables.values()]
        newest = max(item["epoch"] for item in items)
        votes = sum((item["site"], item["epoch"]) == (site, newest) for item in items)
        writes = self.databases[database].source is None and database not in self.closed
        is_dead = site == "primary" and THERE in self.dark
        return SimpleNamespace(status=200 if votes > 1 and writes and not is_dead else 503)

    def install(self, monkeypatch):
        super().install(monkeypatch)
        for place, stand_in in {
            "recovery.database.gate.may_close": self.may_close,
            "recovery.database.gate.close": self.close,
            "recovery.database.gate.open_": self.open_gate,
            "recovery.database.gate.sessions": self.count_sessions,
            "recovery.database.gate.end_of_log": self.end_of_log,
            "recovery.database.gate.bytes_behind": self.bytes_behind,
            "recovery.database.gate.last_commit_behind": lambda *_: datetime.now(UTC),
            "recovery.database.postgres.replication": self.replication,
            "recovery.database.heartbeat.read": lambda _: Heartbeat(
                at=datetime.now(UTC), site="primary", epoch=1, beats=9
            ),
            "recovery.web.get": self.get,
            "recovery.steps.way_back._SERVED_AGAIN_SECONDS": 0.3,
            "recovery.steps.capacity.PATIENCE_SECONDS": 2.0,
        }.items():
            monkeypatch.setattr(place, stand_in)
        return self
