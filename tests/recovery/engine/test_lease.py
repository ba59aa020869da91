"""Two operators never act at once; a dead one holds nobody up; no clocks are compared."""

import threading
from dataclasses import replace

import pytest

from recovery.engine.errors import OutsideError, RefusedError, StepFailedError
from recovery.engine.lease import Conflict, Entry, Lease, this_process


class Table:
    """A conditional item in memory."""

    def __init__(self, name="table"):
        self.name = name
        self.entry: Entry | None = None
        self.dark = False
        self.lose_next_reply = False
        self._lock = threading.Lock()

    def read(self):
        if self.dark:
            raise OutsideError("no answer")
        return self.entry

    def replace(self, expected, entry):
        if self.dark:
            raise OutsideError("no answer")
        with self._lock:
            found = self.entry and (self.entry.token, self.entry.renewals)
            if found != (expected and (expected.token, expected.renewals)):
                raise Conflict(self.name)
            self.entry = entry
        if self.lose_next_reply:
            self.lose_next_reply = False
            raise OutsideError("reply lost")


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 0.04
        return self.now


def lease(holder="ada on far-away (process 1.1)", execution="failover-1"):
    return Lease(holder=holder, execution=execution, ttl=0.2, clock=Clock())


def test_a_free_item_is_taken_with_the_next_token():
    table = Table()
    first = lease()
    first.take(table)
    first.release()
    lease("bob on elsewhere (process 2.2)").take(table)
    assert table.entry is not None
    assert (table.entry.holder, table.entry.token) == ("bob on elsewhere (process 2.2)", 2)


def test_a_second_operator_is_refused_while_the_first_renews():
    table = Table()
    first = lease()
    first.take(table)
    first.keep()
    try:
        with pytest.raises(RefusedError, match="ada on far-away .* is running execution"):
            lease("bob on elsewhere (process 2.2)").take(table)
    finally:
        first.release()


def test_a_holder_that_stands_still_for_a_ttl_is_replaced_and_learns_it():
    table = Table()
    frozen = lease()
    frozen.take(table)
    lease("bob on elsewhere (process 2.2)").take(table)
    with pytest.raises(StepFailedError, match="taken over by another operator"):
        frozen.renew()
    with pytest.raises(StepFailedError):
        frozen.renew()


def test_a_killed_process_of_this_host_is_replaced_at_once(monkeypatch):
    table = Table()
    mine = this_process("ada")
    dead = mine.rpartition(".")[0] + ".1)"
    table.entry = Entry(holder=dead, execution="failover-1", token=4, renewals=9)
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it waited"))
    lease(mine).take(table)
    assert table.entry.token == 5


def test_a_living_process_of_this_host_is_not_taken_for_dead():
    table = Table()
    table.entry = Entry(holder=this_process("ada"), execution="failover-1", token=4, renewals=9)
    waited = lease("bob on elsewhere (process 2.2)")
    entry = table.entry
    entries = []

    def renewing():
        entries.append(replace(entry, renewals=len(entries)))
        return entries[-1]

    table.read = renewing
    with pytest.raises(RefusedError):
        waited.take(table)


def test_losing_the_race_for_a_free_item_is_a_refusal():
    table = Table()
    loser = lease()
    table.read = lambda: None
    table.entry = Entry(holder="bob", execution="failover-2", token=1, renewals=0)
    with pytest.raises(RefusedError, match="took the lease"):
        loser.take(table)


def test_a_renewal_whose_answer_was_lost_is_not_mistaken_for_a_theft():
    table = Table()
    held = lease()
    held.take(table)
    table.lose_next_reply = True
    with pytest.raises(OutsideError):
        held.renew()
    held.renew()
    assert table.entry is not None
    assert table.entry.holder.startswith("ada")


def test_a_witness_that_goes_dark_does_not_stop_the_holder_but_the_target_does():
    target, witness = Table("target"), Table("witness")
    held = lease()
    held.take(target)
    held.take(witness)
    witness.dark = True
    held.renew()
    target.dark = True
    with pytest.raises(OutsideError):
        held.renew()


def test_a_theft_in_the_witness_alone_stops_the_holder():
    target, witness = Table("target"), Table("witness")
    held = lease()
    held.take(target)
    held.take(witness)
    witness.entry = Entry(holder="bob", execution="failover-2", token=9, renewals=0)
    with pytest.raises(StepFailedError):
        held.renew()
