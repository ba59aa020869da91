"""The whole way home, killed and failed in each of its plans, and run again."""

import json
from dataclasses import replace

import pytest

from recovery import failback, naming, reprotect, switchover
from recovery.engine.errors import RefusedError, UsageError
from tests.recovery.homecoming import DATA, FANS, Home, assert_home
from tests.recovery.simulated import HERE, THERE, WITNESS, Fault, Killed, rejected
from tests.recovery.suites.trips import calls

ALL = ["protect-home", "move-home", "protect-away"]
LEFT = "failover, the region answers"
WRITES = sorted(
    {
        (call.step, call.region): call
        for call in sorted(calls("primary", LEFT)[1][1], reverse=True)
        if not call.subject.startswith("execution#")  # how often a lease is renewed is chance's
    }.values()
)
"""Of each step and region, a call that changes something."""
UNNOTICED = {"keep-old", "isolate-old", "make-replica", "reverse-files", "arm-hosts", "arm-switch"}
"""Steps of reprotect alone."""


@pytest.fixture
def never_left(monkeypatch, tmp_path):
    return Home(monkeypatch, tmp_path, (DATA,))


@pytest.fixture
def home(never_left):
    return never_left.lose()


@pytest.fixture
def two(monkeypatch, tmp_path):
    return Home(monkeypatch, tmp_path, (DATA, FANS)).lose()


@pytest.fixture
def phases(capsys):
    """Return the phases that the printed report tells, each with its products' exit codes."""

    def told():
        report = json.loads(capsys.readouterr().out)
        return {
            each["phase"]: {one["product"]: one["exit_code"] for one in each["products"]}
            for each in report["phases"]
        }

    return told


# Undisturbed, and what is left out.


def test_a_product_comes_home_in_three_plans_and_is_protected(home, phases):
    lost = set(home.cloud.forgiven[DATA])
    assert lost
    assert home("--json") == 0
    assert phases() == {name: {DATA: 0} for name in ALL}
    assert_home(home.cloud)
    assert home.cloud.forgiven[DATA] == lost
    assert lost <= set(home.cloud.rows["rlg-data-primary-1-old-2"]["public.entries"])


def test_a_home_that_was_protected_by_hand_is_not_protected_again(home, phases):
    assert home.execute("reprotect", reprotect.PROCEDURE, "dr").exit_code == 0
    assert home("--json") == 0
    assert list(phases()) == ALL[1:]
    assert_home(home.cloud)


def test_a_product_that_is_home_already_is_only_protected(home, phases):
    assert home.execute("reprotect", reprotect.PROCEDURE, "dr").exit_code == 0
    assert home.execute("switchover", switchover.PROCEDURE, "primary").exit_code == 0
    assert home("--json") == 0
    assert list(phases()) == ALL[2:]
    assert_home(home.cloud)


def test_of_a_product_that_is_home_and_protected_nothing_is_left(home, capsys):
    assert home() == 0
    capsys.readouterr()
    home.cloud.writes.clear()
    assert home() == 0
    assert capsys.readouterr().out.startswith("nothing is left to do: all are active in us-east-1")
    assert not home.cloud.writes


def test_of_a_product_that_never_left_nothing_is_left(never_left, phases):
    assert never_left("--json") == 0
    assert phases() == {}
    assert not never_left.cloud.writes


def test_a_product_that_never_left_but_lost_its_replica_is_not_called_protected(never_left):
    del never_left.cloud.databases["rlg-data-dr-1"]
    assert [each.name for each in failback.phases(never_left.case("failback"))] == ALL[2:]


def test_a_record_of_protection_is_no_replica(home):
    assert home() == 0
    del home.cloud.databases["rlg-data-dr-1"]
    assert [each.name for each in failback.phases(home.case("failback"))] == ALL[2:]


def test_homes_own_table_is_not_believed_where_it_is_behind_and_the_witness_dark(home):
    home.cloud.tables[THERE][naming.assignment_item(DATA)] |= {
        "site": "primary", "epoch": 1, "settled": True, "execution": "assign-1",
    }  # fmt: skip
    home.cloud.dark = {WITNESS}
    assert [each.name for each in failback.phases(home.case("failback"))] == ALL


def test_a_product_that_was_never_assigned_is_refused(never_left):
    for table in never_left.cloud.tables.values():
        table.clear()
    with pytest.raises(RefusedError, match="no site is assigned to rlg-data"):
        failback.phases(never_left.case("failback"))


def test_where_a_move_home_broke_off_on_its_way_back_the_move_opens_the_database_first(
    home, phases
):
    """Nobody is served until then: making a replica first would be an outage of its length."""
    home.cloud.refusals["gate.bytes_behind"] = rejected("no")
    home.cloud.refusals["gate.open_"] = rejected("no")
    assert home("--json") == 4
    assert list(phases()) == ALL[:2]
    assert not home.cloud.serves(DATA, "dr")
    home.cloud.refusals.clear()
    assert home("--json") == 0
    assert list(phases()) == ALL[1:]
    assert home.cloud.serves(DATA, "primary")
    assert not home.cloud.lost


# What fails.


def test_a_plan_that_is_refused_stops_that_product_and_not_the_other(two, phases):
    old = two.cloud.databases["rlg-data-primary-1"]
    two.cloud.databases[old.id] = replace(old, status="stopped")
    assert two("--json") == 3
    assert phases() == {
        "protect-home": {DATA: 3, FANS: 0}, "move-home": {FANS: 0}, "protect-away": {FANS: 0},
    }  # fmt: skip
    assert_home(two.cloud, FANS)
    assert two.cloud.serves(DATA, "dr")
    two.cloud.databases[old.id] = old
    assert two("--json") == 0
    assert phases() == {name: {DATA: 0} for name in ALL}
    assert_home(two.cloud, DATA)
    assert_home(two.cloud, FANS)


def test_a_refusal_after_a_plan_that_ended_is_a_failure_as_something_was_changed(home, phases):
    home.cloud.owns = False
    assert home("--json") == 4
    assert phases() == {"protect-home": {DATA: 0}, "move-home": {DATA: 3}}
    assert home.cloud.serves(DATA, "dr")
    home.cloud.owns = True
    assert home("--json") == 0
    assert list(phases()) == ALL[1:]
    assert_home(home.cloud)


def test_a_move_that_is_stranded_says_so_and_is_gone_on_with(home, phases):
    home.cloud.refusals["gate.open_"] = rejected("no")
    assert home("--json") == 5
    assert phases()["move-home"] == {DATA: 5}
    home.cloud.refusals.clear()
    assert home("--json") == 0
    assert list(phases()) == ALL[1:]
    assert_home(home.cloud)


def test_what_deviates_holds_nothing_up_and_is_told_by_the_exit_code(home, phases):
    home.cloud.refusals["topics.publish"] = rejected("no")
    assert home("--json") == 6
    assert phases() == {name: {DATA: 6} for name in ALL}
    assert_home(home.cloud)


@pytest.mark.parametrize("call", WRITES, ids=str)
def test_killed_anywhere_the_same_command_brings_it_home(home, phases, call):
    home.cloud.fault = Fault(call, "kill-after")
    with pytest.raises(Killed):
        home("--json")
    if call.step in UNNOTICED:
        assert home.cloud.serves(DATA, "dr") or home.cloud.serves(DATA, "primary")
    assert home("--json") == 0
    assert list(phases()) in (ALL, ALL[1:], ALL[2:], [])
    assert_home(home.cloud)


def test_a_kill_is_drawn_from_each_plan_and_from_the_steps_that_count():
    assert len(WRITES) > 20
    assert {"isolate-old", "make-replica", "arm-switch", "promote-database", "assign-site"} <= {
        call.step for call in WRITES
    }


# What is shown, and asked for.


def test_a_dry_run_names_the_plans_that_are_left_and_changes_nothing(home, capsys):
    assert home("--dry-run") == 0
    told = capsys.readouterr().out
    assert [line.split()[2] for line in told.splitlines() if "would run" in line] == ALL
    assert home("--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {DATA: ALL}
    assert not home.cloud.writes


def test_the_report_is_one_document_that_names_each_execution(home, capsys):
    assert home("--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["region"], report["exit_code"]) == (THERE, 0)
    verbs = [each["execution"].partition("-")[0] for each in report["phases"]]
    assert verbs == ["reprotect", "switchover", "reprotect"]
    assert [each["products"][0]["region"] for each in report["phases"]] == [THERE, THERE, HERE]


def test_only_the_move_leaves_out_what_the_operator_said(home, capsys):
    assert home("--json", "--skip", "snapshot-database", "--because", "no time") == 6
    report = json.loads(capsys.readouterr().out)
    left_out = {
        each["phase"]: [step["name"] for step in each["products"][0]["steps"] if step["left_out"]]
        for each in report["phases"]
    }
    assert left_out == {
        "protect-home": [], "move-home": ["snapshot-database"], "protect-away": [],
    }  # fmt: skip


def test_a_step_that_no_move_has_is_wrong_usage_before_anything_is_asked(home):
    with pytest.raises(UsageError, match="no step 'keep-old'"):
        home("--pause-before", "keep-old")
    assert not home.cloud.calls
