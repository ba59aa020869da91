"""What is read before anything is said: who is active, and what each region has."""

from dataclasses import replace

import pytest

from recovery import naming
from recovery.cloud.replication import Rule
from recovery.engine.errors import RefusedError
from recovery.reconciliation import world
from tests.recovery.simulated import HERE, THERE, WITNESS, Cloud

ITEM = naming.assignment_item("rlg-data")


class Sides:
    """The simulated cloud, and what else is asked of it here: rules and copies of backups."""

    def __init__(self, monkeypatch):
        self.cloud = Cloud().install(monkeypatch)
        self.rules = {}
        monkeypatch.setattr("recovery.cloud.replication.rules", self._rules)
        monkeypatch.setattr("recovery.cloud.backups.replication", self._copies)

    def _rules(self, region, bucket):
        return tuple(
            Rule(destination=to, role="r", enabled=enabled, document={})
            for to, enabled in self.rules.get(bucket, ())
        )

    def _copies(self, region, resource_id):
        return f"arn:{region.name}:{resource_id}" if resource_id else None

    def look(self, *names):
        made = [self.cloud.case(name) for name in names or ("rlg-data",)]
        products = tuple(each.product for each in made)
        facts = replace(made[0].topology, products=products)
        return self.cloud.run(lambda: world.look([replace(each, topology=facts) for each in made]))

    def assign(self, site, epoch, *tables, settled=True, alone=""):
        for table in tables or (HERE, WITNESS, THERE):
            self.cloud.tables[table][ITEM] |= {
                "site": site,
                "epoch": epoch,
                "settled": settled,
                "alone": alone,
            }


@pytest.fixture
def sides(monkeypatch):
    return Sides(monkeypatch)


def test_both_sites_are_told_as_they_are(sides):
    sides.assign("primary", 1)
    ours = sides.cloud.case().peer_deployment
    theirs = sides.cloud.case().deployment
    sides.rules = {
        ours.file_bucket: [(theirs.file_bucket, True)],
        # One that is switched off replicates nothing.
        ours.frontend_bucket: [(theirs.frontend_bucket, False)],
    }
    found = sides.look()
    assert (found.active, found.standby, found.epoch) == ("primary", "dr", 1)
    replica = found.sites["dr"].databases["rlg-data"]
    assert replica is not None
    assert replica.source
    assert found.sites["primary"].sends == {("rlg-data", "files")}
    assert found.sites["dr"].sends == frozenset()


def test_a_dark_region_is_part_of_the_answer(sides):
    sides.assign("dr", 2)
    sides.cloud.dark = {THERE}
    found = sides.look()
    assert found.active == "dr"
    assert found.sites["primary"].silence
    assert found.sites["dr"].silence is None


def test_an_execution_that_has_not_finished_is_waited_for_by_people(sides):
    sides.assign("dr", 2, settled=False)
    with pytest.raises(RefusedError, match="on its way to dr .*; let that finish"):
        sides.look()


def test_products_at_different_sites_have_no_stacks_that_fit(monkeypatch):
    sides = Sides(monkeypatch)
    sides.cloud = Cloud(products=("rlg-data", "rlg-fans")).install(monkeypatch)
    sides.assign("dr", 2)
    with pytest.raises(RefusedError, match="rlg-data at dr, rlg-fans at primary"):
        sides.look("rlg-data", "rlg-fans")


def test_one_table_tells_nobody_who_is_active_unless_it_is_enough_alone(sides):
    sides.assign("primary", 1)
    sides.assign("dr", 2, HERE)
    with pytest.raises(RefusedError, match="no other agrees"):
        sides.look()
    sides.assign("dr", 2, HERE, alone=HERE)
    assert sides.look().active == "dr"


def test_without_an_assignment_nobody_is_active(sides):
    for table in sides.cloud.tables.values():
        del table[ITEM]
    with pytest.raises(RefusedError, match="no table assigns rlg-data"):
        sides.look()
