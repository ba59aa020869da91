import pytest

from recovery import assign, naming
from recovery.engine.errors import RefusedError, StepFailedError
from tests.recovery.simulated import HERE, THERE, WITNESS, Cloud

ITEM = naming.assignment_item("rlg-data")


@pytest.fixture
def cloud(monkeypatch):
    return Cloud().install(monkeypatch)


def taken_over_alone(cloud):
    """Let the standby have taken over while the other two tables were dark."""
    cloud.tables[HERE][ITEM] |= {"site": "dr", "epoch": 2, "alone": True, "execution": "f-1"}


def told(cloud):
    return {
        region: (item["site"], item["epoch"], item.get("alone", False))
        for region, table in cloud.tables.items()
        if (item := table.get(ITEM))
    }


def test_the_newest_assignment_is_carried_to_tables_that_were_dark(cloud):
    taken_over_alone(cloud)
    cloud.run(lambda: assign.complete(cloud.case()))
    assert told(cloud) == dict.fromkeys((HERE, WITNESS, THERE), ("dr", 2, False))


@pytest.mark.parametrize("dark", [WITNESS, THERE])
def test_the_table_that_was_enough_alone_stays_so_until_all_have_it(cloud, dark):
    taken_over_alone(cloud)
    cloud.dark = {dark}
    with pytest.raises(StepFailedError, match=f"{dark} did not take"):
        cloud.run(lambda: assign.complete(cloud.case()))
    assert told(cloud)[HERE] == ("dr", 2, True)
    cloud.dark = set()
    cloud.run(lambda: assign.complete(cloud.case()))
    assert set(told(cloud).values()) == {("dr", 2, False)}


def test_where_all_agree_nothing_is_written(cloud):
    for table in cloud.tables.values():
        table[ITEM] |= {"alone": False}
    cloud.run(lambda: assign.complete(cloud.case()))
    assert not cloud.writes


def test_without_any_assignment_there_is_nothing_to_carry(cloud):
    for table in cloud.tables.values():
        del table[ITEM]
    with pytest.raises(RefusedError, match="no table has an assignment of rlg-data"):
        cloud.run(lambda: assign.complete(cloud.case()))


@pytest.mark.parametrize(("site", "claims"), [("primary", False), ("dr", True)])
def test_a_first_site_claims_the_traffic_unless_its_record_answers_anyway(cloud, site, claims):
    for table in cloud.tables.values():
        del table[ITEM]
    case = cloud.case() if site == "dr" else cloud.case().turned
    cloud.run(lambda: assign.begin(case))
    assert {(table[ITEM]["site"], table[ITEM]["claim"]) for table in cloud.tables.values()} == {
        (site, claims)
    }
