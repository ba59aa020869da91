"""Bugs that a search for two writers must find: each makes one line of the argument untrue.

Each replaces a piece of the real code for the length of one story.
"""

from dataclasses import replace

from recovery import assignment, duties, tenure
from recovery.cloud import tables
from recovery.cloud.client import Region
from recovery.engine.errors import OutsideError
from recovery.steps import promote, proof


def the_guard_ignores_the_ttl(monkeypatch):
    class Long(tenure.Tenure):
        def __init__(self, site, ttl):
            super().__init__(site, 10 * ttl)

    monkeypatch.setattr("tests.recovery.model.hosts.Tenure", Long)


def the_ttl_counts_from_the_answer(monkeypatch):
    def listen(guard, region, table):
        try:
            found = assignment.read(Region(region, once=True), table, guard.product.name)
        except OutsideError:
            return
        guard.tenure.hear(region, found, asked=duties.boot_clock())

    monkeypatch.setattr(duties.Guard, "listen", listen)


def one_vote_is_enough(monkeypatch):
    monkeypatch.setattr("recovery.tenure.VOTES", 1)


def the_latest_vote_counts(monkeypatch):
    """The tenure lasts a TTL from the latest vote instead of the second-latest."""

    class Latest(tenure.Tenure):
        def at(self, now):
            held = super().at(now)
            if isinstance(held, tenure.Held):
                latest = max(vote.asked for vote in self._valid(now))
                return replace(held, until=latest + self._ttl)
            return held

    monkeypatch.setattr("tests.recovery.model.hosts.Tenure", Latest)


def recovery_waits_for_nothing(monkeypatch):
    _outwait(monkeypatch, lambda guard: 0.0)


def recovery_forgets_the_drift(monkeypatch):
    _outwait(monkeypatch, lambda guard: guard.ttl_seconds)


def recovery_waits_for_one_table(monkeypatch):
    monkeypatch.setattr("recovery.steps.naming.VOTES", 1)


def writes_have_no_condition(monkeypatch):
    put = tables.put

    def bare(region, table, item, *, condition=None, values=None):
        known = "epoch" not in (condition or "")
        put(region, table, item, condition=condition if known else None, values=values)

    monkeypatch.setattr(tables, "put", bare)


def a_stale_token_promotes(monkeypatch):
    monkeypatch.setattr("recovery.engine.lease.Lease.renew", lambda _: None)
    monkeypatch.setattr(
        "recovery.steps.takeover.Takeover.promote",
        lambda takeover, report: promote.promote(takeover.case, report),
    )


def an_overtaken_epoch_is_gone_on_with(monkeypatch):
    monkeypatch.setattr("recovery.steps.check_tables._overtaken", lambda *_, **__: None)


def a_table_is_enough_alone_for_ever(monkeypatch):
    """What a person once accepted is never taken back, and nobody is told of it."""
    write = assignment.write

    def keeping(region, table, product, wanted):
        found = assignment.read(region, table, product)
        before = found.alone if found and found.epoch == wanted.epoch else ""
        own = {wanted.alone, before} & {region.name}
        write(region, table, product, replace(wanted, alone=region.name if own else ""))

    monkeypatch.setattr(assignment, "write", keeping)


def _outwait(monkeypatch, seconds):
    def outwait(case, _tables, assigned_at):
        over = assigned_at + seconds(case.topology.guard)
        proof.time.sleep(max(0.0, over - proof.time.monotonic()))
        return proof.Proof(proven=True, text="outwaited")

    monkeypatch.setattr(proof, "outwait", outwait)


ALL = (
    the_guard_ignores_the_ttl,
    the_ttl_counts_from_the_answer,
    one_vote_is_enough,
    the_latest_vote_counts,
    recovery_waits_for_nothing,
    recovery_forgets_the_drift,
    recovery_waits_for_one_table,
    writes_have_no_condition,
    a_stale_token_promotes,
    an_overtaken_epoch_is_gone_on_with,
    a_table_is_enough_alone_for_ever,
)
