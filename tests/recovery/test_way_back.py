"""When a switchover may be taken back, and what its way back refuses and says."""

import io
from dataclasses import replace

import pytest

from recovery import naming, switchover
from recovery.assignment import Assignment
from recovery.engine.errors import RefusedError, StepFailedError
from recovery.engine.journal import Journal
from recovery.engine.progress import Progress
from recovery.execution import blank_takeover, execute
from recovery.steps import way_back
from recovery.steps.way_back import WayBack
from tests.recovery import simulated
from tests.recovery.planned import OLD, Pair
from tests.recovery.simulated import HERE, THERE, WITNESS

ASSIGNMENT = naming.assignment_item("rlg-data")
POINT = naming.recovery_point_key("rlg-data", 2)
REGIONS = (HERE, WITNESS, THERE)


class Silent:
    """A report that nobody reads."""

    def say(self, text):
        del text

    deviate = say


SILENT = Silent()


@pytest.fixture
def cloud(monkeypatch):
    return Pair().install(monkeypatch)


@pytest.fixture
def going(cloud):
    return blank_takeover(cloud.case(), epoch=2)


@pytest.fixture
def switch_over(cloud, tmp_path):
    def once():
        case = cloud.case()
        journal = Journal(tmp_path, case.execution)
        progress = Progress(io.StringIO(), as_text=True)
        try:
            return cloud.run(lambda: execute(case, switchover.PROCEDURE, journal, progress))
        finally:
            journal.close()

    return once


def resumed(going):
    return replace(going, resumes=True)


# When there is a way back.


def test_there_is_one_until_the_point_is_recorded(cloud, going):
    assert way_back.is_there(going)
    assert way_back.is_there(resumed(going))
    assert [step.name for step in switchover.back(going)] == [
        *("assign-back", "reopen-database", "see-service"),
    ]


def test_there_is_none_for_what_a_failover_began(going):
    began = replace(resumed(going), begun="failover-1")
    assert not way_back.is_there(began)
    assert switchover.back(began) == ()


def test_there_is_none_after_the_promotion(going):
    assert not way_back.is_there(replace(going, promoted=True))


def test_there_is_none_where_another_execution_may_have_asked_for_the_promotion(cloud, going):
    cloud.objects[POINT] = b"{}"
    assert not way_back.is_there(resumed(going))
    # This execution knows itself that it did not, or was refused.
    assert way_back.is_there(going)


def test_there_is_one_for_what_goes_on_and_wrote_the_point_itself(cloud, going):
    began = resumed(going)
    began.record(SILENT, {})
    assert POINT in cloud.objects
    assert way_back.is_there(began)


def test_there_is_none_where_that_cannot_be_seen(cloud, going):
    cloud.refusals["objects.exists"] = simulated.unreachable("objects.exists", HERE)
    assert not way_back.is_there(resumed(going))


# What it refuses.


def assign(cloud, regions, **fields):
    for region in regions:
        cloud.tables[region][ASSIGNMENT] |= fields


def test_a_site_that_needs_its_claim_gets_it_back_whatever_was_published_last(cloud, going):
    assert cloud.old_claim == 0.0
    turned = replace(going, case=going.case.turned)
    WayBack(going=turned).hand_back(SILENT)
    for table in cloud.tables.values():
        assert (table[ASSIGNMENT]["site"], table[ASSIGNMENT]["claim"]) == ("dr", True)


def test_a_newer_epoch_of_somebody_else_is_not_overwritten(cloud, going):
    assign(cloud, [WITNESS], site="dr", epoch=4)
    with pytest.raises(RefusedError, match="already has an epoch of 3 or more in us-east-2"):
        WayBack(going=going).hand_back(SILENT)
    assert cloud.tables[WITNESS][ASSIGNMENT]["site"] == "dr"


def test_a_table_that_does_not_answer_keeps_it_from_being_seen_as_handed_back(cloud, going):
    cloud.dark = {THERE}
    with pytest.raises(simulated.errors.UnreachableError):
        WayBack(going=going).is_handed_back()


@pytest.mark.parametrize("behind", REGIONS)
def test_it_is_handed_back_only_once_every_table_says_so(cloud, going, behind):
    back = WayBack(going=going)
    assert back.is_handed_back().holds
    assign(cloud, [region for region in REGIONS if region != behind], epoch=3)
    assert not back.is_handed_back().holds
    assign(cloud, REGIONS, epoch=3)
    assert back.is_handed_back().holds
    assign(cloud, REGIONS, site="dr", epoch=4)
    assert not back.is_handed_back().holds


def test_where_no_site_was_ever_assigned_there_is_nothing_to_hand_back(cloud, going):
    for table in cloud.tables.values():
        table.clear()
    assert WayBack(going=going).is_handed_back().text == "no site is assigned"
    assert WayBack(going=going).is_whole().holds


def test_an_old_site_that_does_not_serve_again_is_said(cloud, going, monkeypatch):
    monkeypatch.setattr(way_back, "_SERVED_AGAIN_SECONDS", 0.02)
    cloud.closed.add(OLD)
    with pytest.raises(StepFailedError, match=r"api: HTTP 503 after 0 s"):
        WayBack(going=going).await_service(SILENT)


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        ("metrics.latest", "metrics.latest"),
        ("gate.open_", "gate.open_"),
    ],
)
def test_what_cannot_be_taken_back_says_so_beside_why_it_failed(cloud, switch_over, refusal, said):
    cloud.refusals["databases.promote"] = simulated.rejected("InvalidParameterCombination")
    cloud.refusals[refusal] = simulated.rejected("Broken", refusal, THERE)
    outcome = switch_over()
    assert outcome.exit_code == 4
    assert "RDS refused the promotion" in outcome.error
    assert "; it could not be taken back: " in outcome.error
    assert said in outcome.error
    cloud.refusals.clear()
    assert switch_over().exit_code == 0


def test_the_database_is_opened_only_after_its_site_is_assigned(cloud, switch_over):
    cloud.refusals["databases.promote"] = simulated.rejected("InvalidParameterCombination")
    assert switch_over().exit_code == 4
    back = [call for call in cloud.calls if call in cloud.writes and call.step in BACK]
    order = [call.function for call in back if "execution" not in call.subject]
    assert order == ["tables.put"] * 3 + ["gate.open_"]


BACK = {"assign-back", "reopen-database", "see-service"}


@pytest.mark.parametrize("step", ["assign-site", "assign-back"])
def test_the_tables_that_a_failover_reads_take_it_before_the_old_sites(cloud, switch_over, step):
    cloud.refusals["databases.promote"] = simulated.rejected("InvalidParameterCombination")
    switch_over()
    written = [call for call in cloud.calls if (call.step, call.subject) == (step, ASSIGNMENT)]
    order = [call.region for call in written if call.function == "tables.put"]
    assert order == [HERE, WITNESS, THERE]


# What a killed way back left is ended first.


def test_tables_that_lack_the_way_back_are_brought_up_to_date(cloud, going):
    back = Assignment(site="primary", epoch=3, claim=False, settled=True, execution="switchover-1")
    assign(cloud, [HERE], epoch=3, execution=back.execution)
    seen = WayBack(going=going).is_whole()
    assert (seen.holds, seen.text) == (
        False,
        "epoch 3 has not reached us-east-1, us-east-2",
    )
    WayBack(going=going).make_whole(SILENT)
    assert {cloud.tables[region][ASSIGNMENT]["epoch"] for region in REGIONS} == {3}


def test_a_database_that_was_left_closed_at_the_active_site_is_opened(cloud, going):
    cloud.closed |= {OLD}
    seen = WayBack(going=going).is_whole()
    assert (seen.holds, seen.text) == (False, "primary is active and its database is closed")
    WayBack(going=going).make_whole(SILENT)
    assert OLD not in cloud.closed


def test_a_database_is_never_opened_at_a_site_that_is_not_assigned(cloud, going):
    cloud.closed |= {OLD}
    assign(cloud, REGIONS, site="dr", epoch=2)
    assert WayBack(going=going).is_whole().holds
    WayBack(going=going).make_whole(SILENT)
    assert OLD in cloud.closed
