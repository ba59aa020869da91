"""The whole switchover, killed and failed at every call it makes, and run again."""

import io
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from recovery import failover, naming, switchover
from recovery.engine.journal import Journal
from recovery.engine.progress import Progress
from recovery.execution import execute, takeover_of
from tests.recovery import simulated
from tests.recovery.planned import BYTES_BEHIND, NEW, OLD, SESSIONS, Pair
from tests.recovery.simulated import HERE, THERE, WITNESS, Fault, Killed

ASSIGNMENT = naming.assignment_item("rlg-data")
REGIONS = (HERE, WITNESS, THERE)


def recorded():
    """Every call of an undisturbed switchover, and those of them that change something."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        cloud = Pair().install(monkeypatch)
        case, progress = cloud.case(), Progress(io.StringIO(), as_text=True)
        with tempfile.TemporaryDirectory() as folder:
            journal = Journal(Path(folder), case.execution)
            outcome = cloud.run(lambda: execute(case, switchover.PROCEDURE, journal, progress))
            journal.close()
    return sorted(cloud.calls), sorted(cloud.writes), [step.name for step in outcome.steps]


CALLS, WRITES, STEPS = recorded()


@pytest.fixture
def cloud(monkeypatch):
    return Pair().install(monkeypatch)


@pytest.fixture
def run(cloud, tmp_path):
    def once(made, move):
        journal = Journal(tmp_path, made.execution)
        progress = Progress(io.StringIO(), as_text=True)
        try:
            return cloud.run(lambda: execute(made, move, journal, progress))
        finally:
            journal.close()

    return once


@pytest.fixture
def switch_over(cloud, run):
    """Run the command once for one product; return its outcome."""
    return lambda: run(cloud.case(), switchover.PROCEDURE)


@pytest.fixture
def fail_over(cloud, run):
    return lambda: run(cloud.failover_case(), failover.PROCEDURE)


def assigned(cloud, region):
    found = cloud.tables[region][ASSIGNMENT]
    return found["site"], found["epoch"], found["settled"]


def assert_moved(cloud):
    """The new site serves, alone, and has all that the old one ever acknowledged."""
    assert cloud.promotions == [NEW]
    assert cloud.at_promotion == [(True, 0, 0)]
    assert NEW not in cloud.closed
    assert OLD in cloud.closed
    assert assigned(cloud, HERE)[::2] == ("dr", True)
    assert assigned(cloud, WITNESS) == assigned(cloud, HERE)
    assert cloud.claims == {("rlg-data", "dr"): 1.0}


def assert_served_at_the_old_site(cloud):
    assert not cloud.promotions
    assert not cloud.closed
    assert {assigned(cloud, region)[0] for region in REGIONS} == {"primary"}
    assert len({assigned(cloud, region)[1:] for region in REGIONS}) == 1
    assert cloud.get("rlg-data.example", 443, "/").status == 200


def is_over(cloud):
    return all(assigned(cloud, region)[::2] == ("dr", True) for region in (HERE, WITNESS))


def test_an_undisturbed_switchover_moves_the_product(cloud, switch_over):
    outcome = switch_over()
    assert (outcome.exit_code, outcome.error, outcome.deviations) == (0, None, [])
    assert_moved(cloud)
    assert cloud.groups[THERE, "rlg-data-primary"][0] == 1
    assert cloud.published == ["rlg-data-2-switchover-begins", "rlg-data-2-switchover-ended"]
    assert {assigned(cloud, region)[:2] for region in REGIONS} == {("dr", 2)}


def assert_goes_on(cloud, switch_over):
    """Run again: it ends well, or says that nothing is left to do."""
    was_over = is_over(cloud)
    outcome = switch_over()
    if was_over:
        assert (outcome.exit_code, "already active" in outcome.error) == (3, True)
    else:
        assert (outcome.exit_code, outcome.error) == (0, None)


@pytest.mark.parametrize(
    ("call", "kind"),
    [(call, "kill-before") for call in CALLS] + [(call, "kill-after") for call in WRITES],
    ids=str,
)
def test_killed_at_any_call_the_same_command_goes_on(cloud, switch_over, call, kind):
    cloud.fault = Fault(call, kind)
    with pytest.raises(Killed):
        switch_over()
    assert_goes_on(cloud, switch_over)
    assert_moved(cloud)


@pytest.mark.parametrize("kind", ["unreachable", "throttled", "lost"])
@pytest.mark.parametrize("call", CALLS, ids=str)
def test_any_call_may_fail_once(cloud, switch_over, call, kind):
    cloud.fault = Fault(call, kind)
    outcome = switch_over()
    assert cloud.fired
    if outcome.exit_code == 4:
        assert "it was taken back" in outcome.error
        assert_served_at_the_old_site(cloud)
    elif outcome.exit_code == 3:
        assert_served_at_the_old_site(cloud)
        assert assigned(cloud, HERE) == ("primary", 1, True)
    else:
        assert outcome.exit_code in {0, 5, 6}
        assert cloud.promotions == [NEW]
    if not is_over(cloud):
        assert_goes_on(cloud, switch_over)
    assert_moved(cloud)


@pytest.mark.parametrize("step", STEPS)
def test_where_the_old_region_dies_failover_goes_on_or_nothing_is_left_to_do(
    cloud, switch_over, fail_over, step
):
    cloud.dies_at = step
    outcome = switch_over()
    if outcome.exit_code not in {0, 6}:
        assert not cloud.promotions
        cloud.dies_at = None
        outcome = fail_over()
        assert (outcome.exit_code, outcome.error) == (0, None)
    assert cloud.promotions == [NEW]
    assert NEW not in cloud.closed
    assert is_over(cloud)
    assert cloud.claims == {("rlg-data", "dr"): 1.0}


@pytest.mark.parametrize("step", STEPS[STEPS.index("promote-database") :])
def test_once_the_point_is_recorded_the_switchover_itself_ends_without_the_old_region(
    cloud, switch_over, step
):
    cloud.dies_at = step
    assert switch_over().exit_code in {0, 6}
    assert_moved(cloud)


def test_a_killed_switchover_whose_point_is_recorded_ends_without_the_old_region(
    cloud, switch_over
):
    cloud.fault = Fault(
        next(call for call in WRITES if call.step == "promote-database"), "kill-before"
    )
    with pytest.raises(Killed):
        switch_over()
    cloud.dark = {THERE}
    assert switch_over().exit_code == 6  # the old hosts could not be scaled in
    assert_moved(cloud)


# The way back.


def test_a_replica_that_does_not_catch_up_leaves_the_product_at_the_old_site(
    cloud, switch_over, monkeypatch
):
    monkeypatch.setattr("recovery.steps.switch.CATCH_UP_SECONDS", 0.02)
    monkeypatch.setattr("recovery.database.gate.bytes_behind", lambda *_: 512)
    outcome = switch_over()
    assert outcome.exit_code == 4
    assert "rlg-data-dr-1 lacks 512 bytes up to 0/3000" in outcome.error
    assert outcome.error.endswith("it was taken back")
    assert_served_at_the_old_site(cloud)
    assert assigned(cloud, HERE) == ("primary", 3, True)
    assert cloud.sessions == SESSIONS


def test_sessions_that_do_not_end_leave_the_product_at_the_old_site(
    cloud, switch_over, monkeypatch
):
    def close(session, name, *, seconds):
        cloud._set_gate(session.id, "closed")
        return 1

    monkeypatch.setattr("recovery.database.gate.close", close)
    outcome = switch_over()
    assert outcome.exit_code == 4
    assert "1 sessions are left in rlgdata at rlg-data-primary-1" in outcome.error
    assert_served_at_the_old_site(cloud)


def test_a_promotion_that_rds_refuses_leaves_the_product_at_the_old_site(cloud, switch_over):
    cloud.refusals["databases.promote"] = simulated.rejected("InvalidParameterCombination")
    outcome = switch_over()
    assert outcome.exit_code == 4
    assert "RDS refused the promotion" in outcome.error
    assert_served_at_the_old_site(cloud)
    cloud.refusals.clear()
    assert switch_over().exit_code == 0
    assert_moved(cloud)


BACK = ("assign-back", "reopen-database", "see-service")


@pytest.mark.parametrize("kind", ["kill-before", "unreachable"])
@pytest.mark.parametrize("number", range(1, 25))
def test_a_way_back_that_is_cut_off_anywhere_ends_well_when_run_again(
    cloud, switch_over, monkeypatch, number, kind
):
    seen = []
    act = cloud._faulted

    def faulted(call, process, work):
        if call.step in BACK and len(seen) < number:
            seen.append(call)
            if len(seen) == number:
                cloud.fault = Fault(call, kind)
        return act(call, process, work)

    monkeypatch.setattr(cloud, "_faulted", faulted)
    cloud.refusals["databases.promote"] = simulated.rejected("InvalidParameterCombination")
    try:
        outcome = switch_over()
    except Killed:
        outcome = None
    assert not cloud.promotions
    cloud.refusals.clear()
    if outcome and outcome.error.endswith("it was taken back"):
        assert_served_at_the_old_site(cloud)
    outcome = switch_over()
    assert (outcome.exit_code, outcome.error) == (0, None)
    assert_moved(cloud)


def test_what_may_have_been_promoted_is_never_taken_back(cloud, switch_over):
    cloud.fault = Fault(
        next(call for call in WRITES if call.function == "databases.promote"), "kill-after"
    )
    with pytest.raises(Killed):
        switch_over()
    cloud.refusals["tables.read"] = simulated.unreachable("tables.read", HERE)
    assert switch_over().exit_code in {3, 4, 5}
    cloud.refusals = {"objects.exists": simulated.unreachable("objects.exists", HERE)}
    assert switch_over().exit_code == 4
    assert OLD in cloud.closed
    assert assigned(cloud, THERE)[0] == "dr"
    cloud.refusals.clear()
    assert switch_over().exit_code == 0
    assert_moved(cloud)


def test_what_a_failover_began_is_neither_gone_on_with_nor_taken_back(
    cloud, switch_over, fail_over
):
    cloud.dies_at = "check-standby"
    cloud.refusals["databases.promote"] = simulated.rejected("InvalidParameterCombination")
    assert fail_over().exit_code == 4
    cloud.dies_at, cloud.dark = None, set()
    cloud.refusals.clear()
    outcome = switch_over()
    assert outcome.exit_code == 4
    assert "go on with python -m recovery.failover --region us-west-2" in outcome.error
    assert assigned(cloud, HERE) == ("dr", 2, False)
    assert OLD not in cloud.closed


def test_the_old_site_keeps_its_claim_on_the_way_back(cloud, switch_over):
    cloud.refusals["databases.promote"] = simulated.rejected("InvalidParameterCombination")
    cloud.old_claim = 1.0
    assert switch_over().exit_code == 4
    assert cloud.tables[HERE][ASSIGNMENT]["claim"] is True


# The order.


def test_it_closes_catches_up_and_records_before_it_commits_and_opens_before_traffic(cloud):
    going = cloud.run(lambda: takeover_of(cloud.case()))
    names = [step.name for step in switchover.plan(going)]
    assert [step.name for step in switchover.plan(going) if step.commits] == ["promote-database"]
    at = names.index
    assert at("await-hosts") < at("assign-site") < at("close-database")
    assert names[at("close-database") : at("promote-database")] == [
        "close-database", "catch-up", "record-point",
    ]  # fmt: skip
    assert at("promote-database") < at("open-database") < at("shift-traffic")
    assert names[-1] == "settle-assignment"


def test_no_step_after_the_promotion_needs_the_old_region(cloud, switch_over):
    assert switch_over().exit_code == 0
    after = STEPS[STEPS.index("promote-database") :]
    asking = {call.step for call in cloud.calls if call.region == THERE and call.step in after}
    assert asking == {"scale-in-peer"}


# Refusals.


REFUSALS = {
    "service": (
        lambda cloud: setattr(cloud, "get", lambda *_, **__: simulated.SimpleNamespace(status=503)),
        "api: HTTP 503; a switchover moves what works",
    ),
    "streaming": (lambda cloud: setattr(cloud, "streams", False), "does not stream"),
    "owner": (lambda cloud: setattr(cloud, "owns", False), "may not close rlgdata"),
    "image": (
        lambda cloud: cloud.refusals.__setitem__(
            "hosts.image_state", simulated.unreachable("hosts.image_state", HERE)
        ),
        "no answer",
    ),
    "old": (lambda cloud: cloud.dark.add(THERE), "no answer"),
    "witness": (lambda cloud: cloud.dark.add(WITNESS), "no answer"),
    "replica": (
        lambda cloud: cloud.databases.__setitem__(
            NEW, replace(cloud.databases[NEW], status="modifying")
        ),
        "rlg-data-dr-1 is modifying; a switchover begins from available",
    ),
    "unsettled": (
        lambda cloud: [table[ASSIGNMENT].update(settled=False) for table in cloud.tables.values()],
        "primary is active in epoch 1, and assign-1 has not settled it",
    ),
    "here": (
        lambda cloud: [table[ASSIGNMENT].update(site="dr") for table in cloud.tables.values()],
        "us-west-2 is already active",
    ),
}


@pytest.mark.parametrize("why", REFUSALS)
def test_it_is_refused_before_anything_is_changed(cloud, switch_over, monkeypatch, why):
    change, said = REFUSALS[why]
    change(cloud)
    monkeypatch.setattr("recovery.web.get", cloud.get)
    outcome = switch_over()
    assert outcome.exit_code == 3
    assert said in outcome.error
    assert not [call for call in cloud.writes if "execution" not in call.subject]


def test_a_product_on_mysql_is_refused(cloud, run):
    made = cloud.case()
    made = replace(made, product=replace(made.product, engine="mysql"))
    outcome = run(made, switchover.PROCEDURE)
    assert outcome.exit_code == 3
    assert "rlg-data runs on mysql, and a switchover can close only postgres" in outcome.error


def test_a_replica_far_behind_is_refused(cloud, switch_over, monkeypatch):
    beat = simulated.Heartbeat(
        at=simulated.datetime.now(simulated.UTC) - simulated.timedelta(seconds=42),
        site="primary",
        epoch=1,
        beats=9,
    )
    monkeypatch.setattr("recovery.database.heartbeat.read", lambda _: beat)
    outcome = switch_over()
    assert outcome.exit_code == 3
    assert "42.0 s behind" in outcome.error


def test_a_backup_under_way_is_waited_for(cloud, switch_over):
    cloud.databases[OLD] = replace(cloud.databases[OLD], status="backing-up")
    looks = iter(range(3))
    describe = cloud.databases

    class Ends(dict):
        def get(self, name):
            if name == OLD and next(looks, None) is None:
                self[OLD] = replace(self[OLD], status="available")
            return super().get(name)

    cloud.databases = Ends(describe)
    assert switch_over().exit_code == 0
    assert_moved(cloud)


def test_the_log_is_waited_for(cloud, switch_over):
    assert switch_over().exit_code == 0
    looks = [call for call in cloud.calls if call.function == "gate.bytes_behind"]
    assert len(looks) == BYTES_BEHIND
