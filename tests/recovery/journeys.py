"""Two sites, either of which may be home, in memory: whole round trips of products.

Customers write a row at every call that is made while a site serves them. Replication is behind by
the last few rows: a failover loses those, a planned move must lose none.
"""

import itertools
from dataclasses import replace
from types import SimpleNamespace

from recovery import naming
from recovery.verification import findings
from tests.recovery import cases
from tests.recovery.planned import SESSIONS, Pair
from tests.recovery.protecting import FILES, PAGES, TABLE, THEN, Parted, arn_of, rule
from tests.recovery.simulated import HERE, OURS, THERE, Cloud, rejected

REGIONS = {"dr": HERE, "primary": THERE}
OTHER = {"dr": "primary", "primary": "dr"}
LAG_ROWS = 3
"""What replication is behind by, while customers write."""


class Journey(Parted, Pair):
    """A site that serves, its standby, and customers."""

    def __init__(self, home="primary", products=("rlg-data",)):
        self.products, self.home = products, home
        self.ill = set()
        """The sites that are down although their regions answer."""
        self.may_lose = False
        """Whether what runs now is a failover."""
        self.acknowledged = {name: set() for name in products}
        self.forgiven = {name: set() for name in products}
        """What failovers lost."""
        self.underway = {}
        """Replica → rows that it has yet to replay, the oldest first."""
        self.lost = []
        """What must not have been lost, and other things that must never be."""
        self.promoted_in = []
        """(database, epoch) of each promotion."""
        self._ids = itertools.count(1)
        super().__init__(products=products)

    def _take_over(self, _):
        """Let home be the active site since epoch 1."""
        home, away = self.home, OTHER[self.home]
        for name in self.products:
            active, standby = f"{name}-{home}-1", f"{name}-{away}-1"
            for database, site in ((active, home), (standby, away)):
                self.databases[database] = replace(
                    self.databases[database], arn=arn_of(database, REGIONS[site]), source=None,
                    retention_days=7, replication=None, status="available",
                )  # fmt: skip
            self.databases[standby] = replace(
                self.databases[standby], source=self.databases[active].arn, retention_days=1,
                replication="replicating",
            )  # fmt: skip
            self.rows |= {active: {TABLE: {}}, standby: {TABLE: {}}}
            claim = home != naming.UNCLAIMED_SITE
            for table in self.tables.values():
                table[naming.assignment_item(name)].update(site=home, claim=claim)
            self.claims |= {(name, home): float(claim), (name, away): 0.0}
            for site, count in ((home, 2), (away, 1)):
                hosts = frozenset(f"i-{n}" for n in range(count))
                self.groups[REGIONS[site], f"{name}-{site}"] = [count, hosts]

    def _fill_buckets(self):
        for buckets in (FILES, PAGES):
            self.rules = {
                **{bucket: rules for bucket, rules in self.rules.items()
                   if bucket not in buckets.values()},
                buckets[self.home]: (rule(OTHER[self.home], buckets),),
                buckets[OTHER[self.home]]: (),
            }  # fmt: skip
            for bucket in buckets.values():
                self._store(bucket, "alike", b"1", THEN)

    def case_of(self, verb, site, name="rlg-data", **accepted):
        """A case of a new execution that brings the product to the site."""
        made = Cloud.case(self, name, **accepted)
        made = made if site == "dr" else made.turned
        return replace(made, execution=made.execution.replace("failover", verb))

    # The customers

    def call(self, region, function, subject, act, *, writes=False):
        with self.lock:
            self.pass_by()
        return super().call(region, function, subject, act, writes=writes)

    def pass_by(self):
        """Let customers write wherever they are served, and replicas follow."""
        for name in self.products:
            for site in REGIONS:
                if self.serves(name, site):
                    self._write(name, f"{name}-{site}-1")
        for replica, rows in self.underway.items():
            if not self._is_dark(self._source(replica)):
                while len(rows) > LAG_ROWS:
                    self._replay(replica)

    def _write(self, name, database):
        row = f"{next(self._ids)}"
        self.rows[database][TABLE][row] = database
        self.acknowledged[name].add(row)
        for replica in self.databases.values():
            if replica.source == self.databases[database].arn and replica.id in self.rows:
                self.underway.setdefault(replica.id, []).append(row)

    def _replay(self, replica):
        row = self.underway[replica].pop(0)
        self.rows[replica][TABLE][row] = "replicated"

    def _source(self, replica):
        found = self.databases.get(replica)
        return ((found and found.source) or "").rpartition(":")[2]

    def _is_dark(self, database):
        found = self.databases.get(database)
        return found is None or found.host.rpartition(".")[2] in self.dark

    def serves(self, name, site):
        """Say whether customers are served at the site: by guards, hosts, and an open database."""
        database, region = self.databases.get(f"{name}-{site}-1"), REGIONS[site]
        key = naming.assignment_item(name)
        known = {where: table for where, table in self.tables.items() if key in table}
        items = [table[key] for where, table in known.items() if where not in self.dark]
        newest = max((item["epoch"] for item in items), default=0)
        votes = sum((item["site"], item["epoch"]) == (site, newest) for item in items)
        return (
            votes > 1
            and region not in self.dark
            and site not in self.ill
            and database is not None
            and database.source is None
            and database.id not in self.closed
            and cases.deployment(site, region).listener_arn not in self.refused_listeners
            and self.groups[region, f"{name}-{site}"][0] > 0
        )

    def get(self, domain, port, path, *, addresses=(), **_):
        answer = (addresses or self.resolve(domain))[0]
        site = "dr" if answer == OURS else "primary"
        served = self.serves(domain.partition(".")[0], site)
        return SimpleNamespace(status=200 if served else 503)

    def verify(self, case):
        served = self.get(case.product.domain, 443, "/").status == 200
        found = findings.ok if served else findings.failed
        return findings.Verdict(
            product=case.product.name, site=case.site.name, findings=(found("journey", "one"),)
        )

    def _publish(self, product):
        """Let guards publish once the database of the site that is assigned takes writes."""
        if any(self.serves(product, site) for site in REGIONS):
            super()._publish(product)

    # Outages

    def strike(self, site, *, dark):
        """Let a site fail: with its region, or alone."""
        if dark:
            self.dark.add(REGIONS[site])
        else:
            self.ill.add(site)

    def heal(self):
        """Let all that failed come back."""
        self.dark.clear()
        self.ill.clear()

    # The databases

    def promote(self, region, name, retention_days):
        def act():
            self.promotion_requests += 1
            self._require_available(name)
            if self.databases[name].source is None or name in self.promoting:
                raise rejected("InvalidDBInstanceState")
            self.promoting[name] = []
            self._judge(name)
            self._begin(
                lambda: None,
                self._set(name, status="modifying"),
                self._set(name, status="rebooting"),
                lambda: self._promoted(name, retention_days),
            )

        self.call(region, "databases.promote", name, act, writes=True)

    def _promoted(self, name, retention_days):
        self.underway.pop(name, None)
        del self.promoting[name]
        self._set(
            name, status="available", source=None, replication=None, retention_days=retention_days
        )()

    def _judge(self, database):
        """Note what is wrong with a promotion, and what it loses."""
        name = next(each for each in self.products if database.startswith(f"{each}-"))
        key = naming.assignment_item(name)
        epoch = max(table[key]["epoch"] for table in self.tables.values())
        self.promotions.append(database)
        self.promoted_in.append((database, epoch))
        source = self._source(database)
        lacks = self.acknowledged[name] - self.forgiven[name] - set(self.rows[database][TABLE])
        if not self.may_lose and (lacks or source not in self.closed or self.sessions):
            self.lost.append(f"{database} was promoted without {len(lacks)} rows of {source}")
        if len(lacks) > LAG_ROWS:
            self.lost.append(f"{database} lacked {len(lacks)} rows, and replicated")
        self.forgiven[name] |= lacks
        self.underway[database] = []

    def create_replica(self, region, name, source, source_region, like):
        try:
            super().create_replica(region, name, source, source_region, like)
        finally:
            made = self.databases.get(name)
            if made and made.source and name not in self.rows:
                with self.lock:
                    self.rows[name] = {TABLE: dict(self.rows[source.id][TABLE])}

    def replicas(self, region, source):
        def act():
            return tuple(
                each
                for each in self.databases.values()
                if each.host.endswith(region.name)
                and each.source
                and each.source.rpartition(":")[2] == source
            )

        return self.call(region, "databases.replicas", source, act)

    def bytes_behind(self, session, lsn):
        def act():
            if self.underway.get(session.id):
                self._replay(session.id)
            return len(self.underway.get(session.id, ()))

        return self.call(session, "gate.bytes_behind", lsn, act)

    def open_gate(self, session, name):
        super().open_gate(session, name)
        self.sessions = SESSIONS

    def latest_metric(self, region, namespace, metric, dimensions):
        if metric == naming.CLAIM_METRIC:
            at = (dimensions["Product"], dimensions["Site"])
            self.old_claim = self.claims[at]
        return super().latest_metric(region, namespace, metric, dimensions)

    def install(self, monkeypatch):
        super().install(monkeypatch)
        for place, stand_in in {
            "recovery.cloud.databases.replicas": self.replicas,
            "recovery.web.get": self.get,
            "recovery.verify.verify": self.verify,
            "recovery.opening.prepare": lambda _: None,
        }.items():
            monkeypatch.setattr(place, stand_in)
        return self
