"""What an operator may ask of a switchover, and what its budget counts."""

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from recovery import naming, switchover
from recovery.engine import chain, gates
from recovery.engine.gates import NO_CONTROLS, Controls
from recovery.engine.journal import Journal
from recovery.engine.progress import Progress
from recovery.execution import execute, outline
from recovery.steps import capacity, promote, traffic
from tests.recovery import cases, simulated
from tests.recovery.planned import NEW, OLD, Pair
from tests.recovery.simulated import HERE, THERE, WITNESS, Fault, Killed

ASSIGNMENT = naming.assignment_item("rlg-data")
PLAN = outline(cases.case(), switchover.PROCEDURE)
STEPS = [step.name for step in PLAN]
SKIPPABLE = [step.name for step in PLAN if step.may_be_skipped]
ACTING = [name for name in STEPS if name not in {"complete-assignment", "scale-out"}]
"""Those that act where nothing was left undone, and hosts serve as soon as the database does."""
GAP = promote.FORECAST + capacity.FORECAST + traffic.FORECAST


@pytest.fixture
def cloud(monkeypatch):
    monkeypatch.setattr(gates, "LOOK_SECONDS", 0.01)
    return Pair().install(monkeypatch)


@pytest.fixture
def switch_over(cloud, tmp_path):
    """Run the command once; return its outcome and its journal's records."""

    def once(controls=NO_CONTROLS, case=None, rto_seconds=7200):
        made = case or cloud.case()
        made = replace(made, product=replace(made.product, rto_seconds=rto_seconds))
        journal = Journal(tmp_path, made.execution)
        progress = Progress(io.StringIO(), as_text=True)
        try:
            outcome = cloud.run(
                lambda: execute(made, switchover.PROCEDURE, journal, progress, controls=controls)
            )
        finally:
            journal.close()
        return outcome, chain.examine(journal.path.read_bytes()).records

    return once


def approve(cloud, case, step):
    given = {"step": step, "by": "Ada Lovelace", "identity": "arn:aws:iam::1:user/ada"}
    key = naming.approval_key(case.execution, "rlg-data", step)
    cloud.objects[key] = json.dumps(given).encode()


# What may be left out, and where it stops.


def test_what_proves_safety_may_not_be_left_out():
    assert [
        *("request-capacity", "await-hosts", "tell-people", "scale-out", "verify-service"),
        *("snapshot-database", "tell-people-again", "scale-in-peer"),
    ] == SKIPPABLE


@pytest.mark.parametrize("step", [step for step in STEPS if step not in SKIPPABLE])
def test_leaving_it_out_all_the_same_is_refused_and_changes_nothing(cloud, switch_over, step):
    outcome, _ = switch_over(Controls(skips={step: "no time"}))
    assert outcome.exit_code == 3
    assert not [call for call in cloud.writes if "execution" not in call.subject]


@pytest.mark.parametrize("step", SKIPPABLE)
def test_a_step_left_out_makes_no_call_and_the_move_deviates(cloud, switch_over, step):
    if step == "request-capacity":
        cloud.groups[HERE, "rlg-data-dr"][0] = 2
    outcome, _ = switch_over(Controls(skips={step: "Ada does it by hand"}))
    assert (outcome.exit_code, outcome.error) == (6, None)
    assert outcome.deviations == [f"{step}: skipped: Ada does it by hand"]
    assert not [call for call in cloud.calls if call.step == step]
    assert cloud.at_promotion == [(True, 0, 0)]
    assert NEW not in cloud.closed


@pytest.mark.parametrize("step", ACTING)
def test_it_stops_before_any_step_that_acts_until_somebody_approves(cloud, switch_over, step):
    case = cloud.case()
    approve(cloud, case, step)
    outcome, records = switch_over(Controls(approve_at=(step,)), case)
    assert (outcome.exit_code, outcome.error) == (0, None)
    stops = [each.event for each in records if each.step == step]
    assert stops.index("paused") < stops.index("approved") < stops.index("acting")


def test_unapproved_in_the_gap_it_is_taken_back_and_the_old_site_serves(cloud, switch_over):
    outcome, _ = switch_over(Controls(approve_at=("promote-database",)), rto_seconds=0.3)
    assert outcome.exit_code == 4
    assert "nobody approved it within the RTO" in outcome.error
    assert outcome.error.endswith("it was taken back")
    assert not cloud.promotion_requests
    assert not cloud.closed


# The budget.


def between(records, first, last):
    """Return the seconds from one step's end to another's."""
    ended = {each.step: each.at for each in records if each.event in {"done", "holds"}}
    return (
        datetime.fromisoformat(ended[last]) - datetime.fromisoformat(ended[first])
    ).total_seconds()


def budgets(records):
    return [each for each in records if each.event == "budget"]


def test_only_the_interruption_spends_the_rto_and_is_forecast(cloud, switch_over):
    outcome, records = switch_over()
    assert outcome.exit_code == 0
    assert outcome.forecast_seconds == GAP.total_seconds()
    assert not budgets(records)
    assert 0 < outcome.spending.spent_seconds <= between(records, "tell-people", "verify-service")


def test_before_the_gap_nothing_is_spent_however_long_it_takes(cloud, switch_over):
    cloud.refusals["hosts.scale"] = simulated.rejected("ScalingActivityInProgress")
    outcome, _ = switch_over()
    assert outcome.exit_code == 4
    assert outcome.spending.spent_seconds == 0


def test_a_gap_that_cannot_fit_is_said_before_it_begins(cloud, switch_over):
    outcome, records = switch_over(rto_seconds=GAP.total_seconds() - 10)
    assert outcome.exit_code == 0
    (said,) = budgets(records)
    assert said.step == STEPS[0]
    assert said.facts["text"].startswith("the RTO cannot be kept: 0 s spent")


def began_earlier(cloud, seconds):
    """Let the assignment be written that long ago."""
    then = datetime.now(UTC) - timedelta(seconds=seconds)
    for region in (HERE, WITNESS, THERE):
        cloud.tables[region][ASSIGNMENT]["written_at"] = then.isoformat()
    return then


@pytest.mark.parametrize("step", ["close-database", "promote-database", "shift-traffic"])
def test_what_goes_on_with_a_killed_one_counts_from_when_that_one_cut_customers_off(
    cloud, switch_over, step
):
    switched = [call for call in recorded_writes() if call.step == step]
    cloud.fault = Fault(switched[0], "kill-before")
    with pytest.raises(Killed):
        switch_over()
    then = began_earlier(cloud, 500)
    outcome, _ = switch_over()
    assert outcome.exit_code == 0
    assert 500 <= outcome.spending.spent_seconds < 530
    if step == "close-database":
        point = json.loads(cloud.objects[naming.recovery_point_key("rlg-data", 2)])
        assert datetime.fromisoformat(point["outage_began"]) == then


def test_tables_that_lack_the_assignment_take_it_with_the_time_already_spent(cloud, switch_over):
    last = next(
        call
        for call in recorded_writes()
        if (call.step, call.subject, call.region) == ("assign-site", ASSIGNMENT, THERE)
    )
    cloud.fault = Fault(last, "kill-before")
    with pytest.raises(Killed):
        switch_over()
    began_earlier(cloud, 500)
    outcome, records = switch_over()
    assert outcome.exit_code == 0
    assert ("assign-site", "acting") in [(each.step, each.event) for each in records]
    assert 500 <= outcome.spending.spent_seconds < 530


def test_what_is_taken_back_spends_until_the_old_site_serves_again(cloud, switch_over):
    cloud.refusals["databases.promote"] = simulated.rejected("InvalidParameterCombination")
    outcome, records = switch_over()
    assert outcome.exit_code == 4
    assert OLD not in cloud.closed
    assert outcome.spending.spent_seconds >= between(records, "assign-site", "reopen-database")


def recorded_writes():
    from tests.recovery.test_switchover_plan import WRITES  # noqa: PLC0415 - recorded when asked

    return WRITES
