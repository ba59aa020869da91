"""The customers' ledger tells outage, loss and duplicates from acknowledged writes alone."""

from lab import ledger
from lab.ledger import Gap, Write


def writes(*times):
    return [Write(id=f"w{n}", at=at) for n, at in enumerate(times)]


def experience(made, *, until=100.0, present=None):
    return ledger.experience("shop", made, failed=0, misread=0, until=until, present=present)


def test_the_outage_is_the_longest_gap_that_ended_after_the_kill():
    made = writes(0.0, 5.0, 5.25, 10.0, 10.25, 12.0)
    seen = experience(made, until=12.25)
    assert [gap.seconds for gap in seen.gaps] == [5.0, 4.75, 1.75]
    assert seen.outage(5.125) == Gap(since=5.25, until=10.0)


def test_customers_who_never_came_back_have_an_outage_that_lasts_to_the_end():
    assert experience(writes(0.0, 1.0), until=31.0).outage(1.0) == Gap(since=1.0, until=31.0)


def test_it_is_known_until_when_each_site_acknowledged():
    made = [Write(id="a", at=3.0, site="dr"), Write(id="b", at=1.0, site="primary")]
    made += [Write(id="c", at=2.0, site="primary")]
    assert experience(made).last_by_site == {"primary": 2.0, "dr": 3.0}


def test_a_write_that_the_product_does_not_have_is_lost():
    seen = experience(writes(1.0, 2.0, 3.0), present=["w0", "w2"])
    assert [write.id for write in seen.lost] == ["w1"]


def test_a_write_that_the_product_has_twice_is_duplicated():
    assert experience(writes(1.0), present=["w0", "w0"]).duplicated == ("w0",)


def test_an_entry_that_was_never_acknowledged_is_no_loss_and_no_duplicate():
    seen = experience(writes(1.0), present=["w0", "unknown outcome"])
    assert (seen.lost, seen.duplicated) == ((), ())


def test_nothing_counts_as_lost_when_the_product_could_not_be_asked():
    seen = experience(writes(1.0))
    assert (seen.compared, seen.lost) == (False, ())


def test_what_was_saved_is_loaded(tmp_path):
    seen = (experience(writes(1.0, 9.0), present=[]),)
    ledger.save(tmp_path / "customers.json", seen)
    assert ledger.load(tmp_path / "customers.json") == seen
    assert ledger.load(tmp_path / "absent.json") == ()
