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
    cloud.tables[HERE][ITEM] |= {"site": "dr", "epoch": 2, "alone": HERE, "execution": "f-1"}


def told(cloud):
    return {
        region: (item["site"], item["epoch"], item.get("alone", ""))
        for region, table in cloud.tables.items()
        if (item := table.get(ITEM))
    }


def complete(cloud):
    cloud.run(lambda: assign.complete(cloud.case()))


def test_the_newest_assignment_is_carried_to_tables_that_were_dark(cloud):
    taken_over_alone(cloud)
    complete(cloud)
    assert told(cloud) == dict.fromkeys((HERE, WITNESS, THERE), ("dr", 2, ""))


@pytest.mark.parametrize(("dark", "lit"), [(WITNESS, THERE), (THERE, WITNESS)])
def test_a_table_is_enough_alone_no_more_once_a_second_has_its_epoch(cloud, dark, lit):
    taken_over_alone(cloud)
    cloud.dark = {dark}
    with pytest.raises(StepFailedError, match=f"not in all three tables: {dark} did not take it"):
        complete(cloud)
    assert told(cloud)[HERE] == told(cloud)[lit] == ("dr", 2, "")
    cloud.dark = set()
    complete(cloud)
    assert set(told(cloud).values()) == {("dr", 2, "")}


def test_a_table_stays_enough_alone_while_no_other_answers(cloud):
    taken_over_alone(cloud)
    cloud.dark = {WITNESS, THERE}
    with pytest.raises(StepFailedError, match=f"the table in {HERE} may still be enough alone"):
        complete(cloud)
    assert told(cloud)[HERE] == ("dr", 2, HERE)


def test_the_others_tell_of_a_table_that_did_not_hear_it_is_no_more_enough_alone(cloud):
    taken_over_alone(cloud)
    cloud.lose_the_next_write_to(HERE)
    with pytest.raises(StepFailedError, match=f"{HERE} did not take it"):
        complete(cloud)
    assert told(cloud) == dict.fromkeys((HERE, WITNESS, THERE), ("dr", 2, HERE))
    complete(cloud)
    assert set(told(cloud).values()) == {("dr", 2, "")}


def test_every_table_that_does_not_answer_is_named(cloud):
    cloud.tables[WITNESS][ITEM] |= {"site": "dr", "epoch": 2}
    cloud.dark = {HERE, THERE}
    with pytest.raises(StepFailedError, match=f"{HERE} did not take.*{THERE} did not take"):
        complete(cloud)


def test_a_table_that_fencing_left_unsettled_unsettles_no_other(cloud):
    for region, settled in ((THERE, False), (WITNESS, True)):
        cloud.tables[region][ITEM] |= {"site": "dr", "epoch": 2, "settled": settled}
    del cloud.tables[HERE][ITEM]
    complete(cloud)
    assert {table[ITEM]["settled"] for table in cloud.tables.values()} == {True}


def test_where_all_agree_nothing_is_written(cloud):
    for table in cloud.tables.values():
        table[ITEM] |= {"alone": ""}
    complete(cloud)
    assert not cloud.writes


def test_without_any_assignment_there_is_nothing_to_carry(cloud):
    for table in cloud.tables.values():
        del table[ITEM]
    with pytest.raises(RefusedError, match="no table has an assignment of rlg-data"):
        complete(cloud)


@pytest.mark.parametrize(("site", "claims"), [("primary", False), ("dr", True)])
def test_a_first_site_claims_the_traffic_unless_its_record_answers_anyway(cloud, site, claims):
    for table in cloud.tables.values():
        del table[ITEM]
    case = cloud.case() if site == "dr" else cloud.case().turned
    cloud.run(lambda: assign.begin(case))
    assert {(table[ITEM]["site"], table[ITEM]["claim"]) for table in cloud.tables.values()} == {
        (site, claims)
    }
