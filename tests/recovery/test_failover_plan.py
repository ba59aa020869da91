"""The whole failover, killed and failed at every call it makes, and run again."""

import argparse
import io
import json
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from recovery import assign, failover, naming
from recovery.engine.errors import StepFailedError
from recovery.engine.journal import Journal
from recovery.engine.progress import Progress
from recovery.execution import execute, takeover_of
from recovery.names import UnresolvedError
from recovery.steps import proof
from recovery.verification import findings, recording
from tests.recovery import simulated
from tests.recovery.simulated import HERE, THERE, WITNESS, Cloud, Fault, Killed

ASSIGNMENT = naming.assignment_item("rlg-data")
BEGINS, ENDED = "rlg-data-2-failover-begins", "rlg-data-2-failover-ended"
PUTS, PROMOTES = ("tables.put", ASSIGNMENT), "databases.promote"
ASKS_THE_PEER = {"check-standby", "fence-peer"}


def recorded():
    """Every call of an undisturbed failover, and those of them that change something."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        cloud = Cloud().install(monkeypatch)
        case, progress = cloud.case(), Progress(io.StringIO(), as_text=True)
        with tempfile.TemporaryDirectory() as folder:
            journal = Journal(Path(folder), case.execution)
            cloud.run(lambda: execute(case, failover.PROCEDURE, journal, progress))
            journal.close()
    return sorted(cloud.calls), sorted(cloud.writes)


CALLS, WRITES = recorded()


@pytest.fixture
def cloud(monkeypatch):
    return Cloud().install(monkeypatch)


@pytest.fixture
def fail_over(cloud, tmp_path):
    """Run the command once for one product; return its outcome."""

    def once(case=None):
        made = case or cloud.case()
        journal = Journal(tmp_path, made.execution)
        progress = Progress(io.StringIO(), as_text=True)
        try:
            return cloud.run(lambda: execute(made, failover.PROCEDURE, journal, progress))
        finally:
            journal.close()

    return once


def assigned(cloud, region):
    found = cloud.tables[region][ASSIGNMENT]
    return found["site"], found["epoch"], found["settled"]


def assert_recovered(cloud):
    assert cloud.promotions == ["rlg-data-dr-1"]
    assert list(cloud.snapshots) == ["rlg-data-dr-1-active-2"]
    assert assigned(cloud, HERE) == ("dr", 2, True)
    assert assigned(cloud, WITNESS) == ("dr", 2, True)
    assert {BEGINS, ENDED} <= set(cloud.published)
    assert cloud.claims == {("rlg-data", "dr"): 1.0}
    assert cloud.groups[HERE, "rlg-data-dr"][0] == 2


def assert_nothing_but_check_and_fence_asked_the_peer(cloud):
    """What goes on after a promotion asks its table first whether it was overtaken."""
    asked = {(call.step, call.function) for call in cloud.calls if call.region == THERE}
    assert {step for step, _ in asked - {("open", "tables.read")}} <= ASKS_THE_PEER


def test_an_undisturbed_failover_recovers(cloud, fail_over):
    outcome = fail_over()
    assert (outcome.exit_code, outcome.error) == (0, None)
    assert_recovered(cloud)
    assert cloud.published == [BEGINS, ENDED]
    assert cloud.promotion_requests == 1


def is_over(cloud):
    """Say whether both tables already say that the failover has ended."""
    return all(assigned(cloud, region) == ("dr", 2, True) for region in (HERE, WITNESS))


def assert_goes_on(cloud, fail_over):
    """Run again: it recovers, or says that nothing is left to do."""
    was_over = is_over(cloud)
    outcome = fail_over()
    if was_over:
        assert (outcome.exit_code, "already active" in outcome.error) == (3, True)
    else:
        assert (outcome.exit_code, outcome.error) == (0, None)


@pytest.mark.parametrize(
    ("call", "kind"),
    [(call, "kill-before") for call in CALLS] + [(call, "kill-after") for call in WRITES],
    ids=str,
)
def test_killed_at_any_call_the_same_command_goes_on(cloud, fail_over, call, kind):
    cloud.fault = Fault(call, kind)
    with pytest.raises(Killed):
        fail_over()
    assert_goes_on(cloud, fail_over)
    assert_recovered(cloud)
    assert_nothing_but_check_and_fence_asked_the_peer(cloud)


@pytest.mark.parametrize("kind", ["unreachable", "throttled", "lost"])
@pytest.mark.parametrize("call", CALLS, ids=str)
def test_any_call_may_fail_once(cloud, fail_over, call, kind):
    cloud.fault = Fault(call, kind)
    outcome = fail_over()
    assert cloud.fired
    if outcome.exit_code == 6:
        assert_deviates_for_a_reason(outcome, call)
    elif outcome.exit_code != 0:
        assert outcome.exit_code in {3, 4, 5}
        assert (outcome.exit_code == 5) == (len(cloud.promotions) == 1)
        if outcome.exit_code == 3:
            assert not cloud.promotions
            assert not cloud.published
            assert assigned(cloud, HERE) == ("primary", 1, True)
        assert_goes_on(cloud, fail_over)
    if not is_over(cloud):  # the settling of the witness's table went astray
        assert_goes_on(cloud, fail_over)
    assert cloud.promotions == ["rlg-data-dr-1"]
    assert assigned(cloud, HERE) == ("dr", 2, True)
    assert assigned(cloud, WITNESS) == ("dr", 2, True)
    assert_nothing_but_check_and_fence_asked_the_peer(cloud)


def assert_deviates_for_a_reason(outcome, call):
    """Going on with less is right for messages, the witness and the snapshot, if it is said."""
    (deviation,) = outcome.deviations
    assert call.step in deviation
    assert (
        call.function in {"topics.publish", "objects.write"}
        or call.region == WITNESS
        or call.step == "snapshot-database"
    )


def test_a_run_on_another_machine_waits_for_the_lease_of_a_killed_one(
    cloud, fail_over, monkeypatch
):
    monkeypatch.setattr("recovery.execution.this_process", simulated.process_elsewhere)
    monkeypatch.setattr("recovery.execution.TTL_SECONDS", 0.2)
    promote = next(call for call in WRITES if call.function == "databases.promote")
    cloud.fault = Fault(promote, "kill-after")
    with pytest.raises(Killed):
        fail_over()
    assert fail_over().exit_code == 0
    assert_recovered(cloud)


@pytest.mark.parametrize("dark", [set(), {THERE}], ids=["peer-lit", "peer-dark"])
def test_no_step_but_check_and_fence_asks_the_peers_region(cloud, fail_over, dark):
    cloud.dark = dark
    assert fail_over().exit_code == 0
    assert {call.step for call in cloud.calls if call.region == THERE} == ASKS_THE_PEER


def test_a_peer_that_was_fenced_does_not_keep_the_new_active_from_being_recorded(
    cloud, fail_over, monkeypatch
):
    for part in ("files", "data"):
        taken = findings.ok(part, "recorded")
        monkeypatch.setattr(f"recovery.verification.{part}.record", lambda _, taken=taken: taken)
    assert fail_over().exit_code == 0
    assert assigned(cloud, THERE) == ("dr", 2, False)
    assert [each.outcome for each in recording.record(cloud.case())] == ["ok", "ok"]


def recovery_point(cloud):
    return json.loads(cloud.objects[naming.recovery_point_key("rlg-data", 2)])


def test_the_old_hosts_are_cut_off_from_the_address_that_their_database_has(cloud, fail_over):
    assert fail_over().exit_code == 0
    assert cloud.cut_off == {(THERE, "acl-primary", 100): (simulated.THEIRS, 5432)}
    assert recovery_point(cloud)["fencing"] == (
        "confirmed: assignment in its table, balancer refuses, hosts scaled to none, "
        "hosts cut off from its database"
    )


@pytest.mark.parametrize("function", ["network.deny", "names.resolve", "the topology"])
def test_a_network_that_cannot_be_closed_is_told_and_holds_nothing_up(
    cloud, fail_over, monkeypatch, function
):
    case = cloud.case()
    if function == "the topology":
        case = without_fence(case)
    elif function == "names.resolve":
        monkeypatch.setattr("recovery.names.resolve", no_database_resolves(cloud))
    else:
        cloud.refusals[function] = simulated.rejected("NetworkAclEntryLimitExceeded")
    assert fail_over(case).exit_code == 0
    assert_recovered(cloud)
    assert cloud.cut_off == {}
    assert recovery_point(cloud)["fencing"].endswith("; not: hosts cut off from its database")


def without_fence(case):
    """Return the case as a topology tells it that was published before there was a fence."""
    sites = case.product.deployments
    old = {name: replace(each, fence=None) for name, each in sites.items()}
    return replace(case, product=replace(case.product, deployments=old))


def no_database_resolves(cloud):
    def resolve(name, resolver=None):
        if name.endswith(THERE):
            raise UnresolvedError(f"{name} has no address")
        return cloud.resolve(name, resolver)

    return resolve


def test_a_dark_peer_is_left_unfenced_and_its_guards_are_outwaited(cloud, fail_over):
    cloud.dark = {THERE}
    assert fail_over().exit_code == 0
    assert_recovered(cloud)
    point = recovery_point(cloud)
    assert point["fencing"].startswith("nothing answered")
    assert point["one_writer"].startswith("one writer: 2 of 3 tables name this site; outwaited")


@pytest.mark.parametrize("dark", [set(), {THERE}, {WITNESS}], ids=str)
def test_no_promotion_before_two_tables_are_a_ttl_and_the_drift_old(cloud, fail_over, dark):
    cloud.dark = dark
    assert fail_over().exit_code in {0, 6}
    tables = [call for call in cloud.calls if (call.function, call.subject) == PUTS]
    second = cloud.answered_at[[call for call in tables if call.region not in dark][1]]
    promoted = next(at for call, at in cloud.began_at.items() if call.function == PROMOTES)
    assert promoted - second >= simulated.GUARD.ttl_seconds + simulated.GUARD.drift_seconds


def test_hosts_that_are_gone_are_outwaited_too_as_workers_may_run_elsewhere(cloud, fail_over):
    cloud.groups[THERE, "rlg-data-primary"] = [0, frozenset()]
    assert fail_over().exit_code == 0
    assert "outwaited" in recovery_point(cloud)["one_writer"]


def test_with_one_table_left_nobody_can_prove_one_writer_and_it_is_refused(cloud, fail_over):
    cloud.dark = {THERE, WITNESS}
    outcome = fail_over()
    assert outcome.exit_code == 3
    assert "see that us-east-1 is off, then add --accept-split-brain" in outcome.error
    assert not cloud.writes - {call for call in cloud.writes if "execution" in call.subject}


ACCEPTED = "Ada Lovelace: the region is off"


def test_a_person_accepts_what_one_table_cannot_prove_and_it_is_recorded(cloud, fail_over):
    cloud.dark = {THERE, WITNESS}
    outcome = fail_over(cloud.case(split_brain=ACCEPTED))
    assert outcome.exit_code == 6
    (said,) = [each for each in outcome.deviations if "outwait-guards" in each]
    assert said.endswith(f"1 of 3 tables (us-west-2) took it; accepted by {ACCEPTED}")
    assert recovery_point(cloud)["accepted_split_brain"] == ACCEPTED
    assert "NOT PROVEN" in recovery_point(cloud)["one_writer"]
    assert cloud.tables[HERE][ASSIGNMENT]["alone"] == HERE
    assert cloud.promotions == ["rlg-data-dr-1"]


@pytest.mark.parametrize("said", ["", "Ada Lovelace", "Ada Lovelace:", ": the region is off"])
def test_an_acceptance_without_a_name_or_a_reason_is_wrong_usage(said):
    with pytest.raises(argparse.ArgumentTypeError, match="write 'Ada Lovelace: the region is off'"):
        failover._acceptance(said)


def test_acceptance_makes_no_table_enough_where_two_took_it(cloud, fail_over):
    assert fail_over(cloud.case(split_brain=ACCEPTED)).exit_code == 0
    assert {cloud.tables[region][ASSIGNMENT]["alone"] for region in (HERE, WITNESS)} == {""}


def enough_alone(cloud):
    return {region: table[ASSIGNMENT].get("alone", "") for region, table in cloud.tables.items()}


def test_acceptance_makes_no_table_enough_where_the_peers_took_it(cloud, fail_over):
    cloud.dark = {WITNESS}
    assert fail_over(cloud.case(split_brain=ACCEPTED)).exit_code == 6
    assert set(enough_alone(cloud).values()) == {""}


def test_a_table_that_was_enough_is_an_ordinary_one_once_the_witness_settles(cloud, fail_over):
    cloud.dark = {THERE, WITNESS}
    cloud.before["settle-assignment", "tables.read"] = lambda: cloud.dark.remove(WITNESS)
    assert fail_over(cloud.case(split_brain=ACCEPTED)).exit_code == 6
    assert assigned(cloud, HERE) == assigned(cloud, WITNESS) == ("dr", 2, True)
    assert set(enough_alone(cloud).values()) == {""}


def peer_stood_alone(cloud):
    """Let the peer's table have been enough, and the others know of it."""
    for table in cloud.tables.values():
        table[ASSIGNMENT] |= {"alone": THERE}


def test_guards_that_obey_one_dark_table_alone_are_not_outwaited(cloud, fail_over):
    peer_stood_alone(cloud)
    cloud.dark = {THERE}
    for _ in range(2):  # the second goes on with what the first wrote
        outcome = fail_over()
        assert outcome.exit_code == 4
        assert f"the table in {THERE} may have been enough alone" in outcome.error
    assert not cloud.promotion_requests
    outcome = fail_over(cloud.case(split_brain=ACCEPTED))
    assert (outcome.exit_code, cloud.promotions) == (6, ["rlg-data-dr-1"])
    assert enough_alone(cloud)[HERE] == enough_alone(cloud)[WITNESS] == THERE


@pytest.mark.parametrize("told", [HERE, WITNESS])
def test_a_move_that_never_ended_may_have_been_accepted_alone(cloud, fail_over, told):
    for region, table in cloud.tables.items():
        table[ASSIGNMENT] |= {"settled": False, "epoch": 1 if region == told else 0}
    cloud.dark = {THERE}
    outcome = fail_over()
    assert outcome.exit_code == 4
    assert f"the table in {THERE} may have been enough alone" in outcome.error
    cloud.dark = set()
    assert fail_over().exit_code == 0


def test_a_settled_table_says_that_the_move_before_ended(cloud, fail_over):
    cloud.tables[HERE][ASSIGNMENT] |= {"settled": False}  # as fencing leaves it
    cloud.dark = {THERE}
    assert fail_over().exit_code == 0


def test_guards_that_obeyed_one_table_are_outwaited_from_its_change_on(cloud, fail_over):
    peer_stood_alone(cloud)
    assert fail_over().exit_code == 0
    took = max(
        at
        for call, at in cloud.answered_at.items()
        if (call.function, call.subject, call.step) == (*PUTS, "fence-peer")
    )
    promoted = next(at for call, at in cloud.began_at.items() if call.function == PROMOTES)
    assert promoted - took >= simulated.GUARD.ttl_seconds + simulated.GUARD.drift_seconds
    assert set(enough_alone(cloud).values()) == {""}


def killed_before_the_promotion(cloud, fail_over):
    """Let a failover be killed when its wait is recorded, and nothing is promoted yet."""
    cloud.fault = Fault(next(call for call in WRITES if call.function == PROMOTES), "kill-before")
    with pytest.raises(Killed):
        fail_over()
    assert recovery_point(cloud)["one_writer"].startswith("one writer: 3 of 3 tables")


def test_a_recorded_wait_proves_nothing_once_a_single_table_tells_of_it(cloud, fail_over):
    killed_before_the_promotion(cloud, fail_over)
    cloud.dark = {WITNESS, THERE}
    assert "one of three control tables answers" in fail_over().error
    outcome = fail_over(cloud.case(split_brain=ACCEPTED))
    assert outcome.exit_code == 6
    assert any("one writer is not proven" in said for said in outcome.deviations)
    assert enough_alone(cloud)[HERE] == HERE


def test_a_recorded_wait_is_done_again_where_the_peers_table_confirms_the_epoch(cloud, fail_over):
    killed_before_the_promotion(cloud, fail_over)
    cloud.dark = {WITNESS}
    outcome = fail_over()
    assert outcome.exit_code == 6
    assert all("witness's table did not take" in said for said in outcome.deviations)
    assert cloud.promotions == ["rlg-data-dr-1"]


def test_old_services_may_take_writes_until_their_guards_have_run_out_of_time(
    cloud, fail_over, monkeypatch
):
    wait = proof.outwait

    def outwait(*arguments):
        cloud.old_balancer = 503
        return wait(*arguments)

    cloud.old_balancer = 401
    monkeypatch.setattr("recovery.steps.proof.outwait", outwait)
    assert fail_over().exit_code == 0
    assert cloud.promotions == ["rlg-data-dr-1"]


def test_an_old_service_that_still_takes_writes_holds_the_promotion_up(cloud, fail_over):
    cloud.old_balancer = 401
    outcome = fail_over()
    assert outcome.exit_code == 4
    assert "POST /api/entries/${nonce} at the old balancer answers 401" in outcome.error
    assert not cloud.promotion_requests
    outcome = fail_over(cloud.case(split_brain=ACCEPTED))
    assert outcome.exit_code == 6
    assert cloud.promotions == ["rlg-data-dr-1"]


def killed_after_the_promotion(cloud, fail_over):
    claims = next(call for call in WRITES if call.function == "metrics.publish")
    cloud.fault = Fault(claims, "kill-before")
    with pytest.raises(Killed):
        fail_over()
    cloud.calls.clear()


def test_a_promoted_failover_that_goes_on_asks_the_peer_once_whether_it_was_overtaken(
    cloud, fail_over
):
    killed_after_the_promotion(cloud, fail_over)
    assert fail_over().exit_code == 0
    (asked,) = [call for call in cloud.calls if call.region == THERE]
    assert (asked.step, asked.function) == ("open", "tables.read")


def test_a_promoted_failover_goes_on_while_the_peer_is_silent(cloud, fail_over):
    killed_after_the_promotion(cloud, fail_over)
    cloud.dark = {THERE}
    assert fail_over().exit_code == 0


def test_a_promoted_failover_that_was_overtaken_does_not_go_on(cloud, fail_over):
    killed_after_the_promotion(cloud, fail_over)
    assign_elsewhere(cloud, THERE)
    outcome = fail_over()
    assert outcome.exit_code == 3
    assert "the table in us-east-1 gives epoch 3 to primary" in outcome.error
    assert not cloud.claims


def test_it_assigns_fences_and_records_before_it_commits(cloud, fail_over):
    assert fail_over().exit_code == 0
    order = [
        next(position for position, call in enumerate(cloud.calls) if matches(call))
        for matches in (
            lambda call: (
                (call.function, call.subject, call.region) == ("tables.put", ASSIGNMENT, WITNESS)
            ),
            lambda call: (
                (call.function, call.subject, call.region) == ("tables.put", ASSIGNMENT, HERE)
            ),
            lambda call: call.function == "balancers.refuse",
            lambda call: call.function == "objects.write" and "recovery-points" in call.subject,
            lambda call: call.function == "databases.promote",
            lambda call: call.function == "metrics.publish",
            lambda call: call.function == "databases.create_snapshot",
        )
    ]
    assert order == sorted(order)
    fenced = [n for n, call in enumerate(cloud.calls) if call.step == "fence-peer"]
    assert max(fenced) < cloud.calls.index(
        next(call for call in cloud.calls if call.function == "databases.promote")
    )


def test_one_step_commits_and_everything_that_must_precede_it_does(cloud):
    going = cloud.run(lambda: takeover_of(cloud.case()))
    steps = failover.plan(going)
    names = [step.name for step in steps]
    assert [step.name for step in steps if step.commits] == ["promote-database"]
    before = names[: names.index("promote-database")]
    assert before[:2] == ["check-standby", "assign-site"]
    assert before[-2:] == ["outwait-guards", "record-point"]
    assert "fence-peer" in before
    assert names[-1] == "settle-assignment"


def test_a_dark_witness_is_said_and_does_not_stop_it(cloud, fail_over):
    cloud.dark = {WITNESS}
    outcome = fail_over()
    assert outcome.exit_code == 6
    assert all("witness's table did not take" in said for said in outcome.deviations)
    assert "2 of 3 tables" in recovery_point(cloud)["one_writer"]
    assert assigned(cloud, HERE) == ("dr", 2, True)
    assert assigned(cloud, WITNESS) == ("primary", 1, True)
    assert cloud.promotions == ["rlg-data-dr-1"]


def assign_elsewhere(cloud, *regions):
    for region in regions:
        cloud.tables[region][ASSIGNMENT] |= {"site": "primary", "epoch": 3, "settled": False}


def leave_unfinished(cloud, **items):
    """Let a failover to here stand unsettled, with a newer epoch in the peer's table."""
    here = {"site": "dr", "epoch": 2, "settled": False}
    cloud.tables[HERE][ASSIGNMENT] |= here
    cloud.tables[THERE][ASSIGNMENT] |= {"site": "primary", "epoch": 3} | items


@pytest.mark.parametrize("source", ["arn:primary", None], ids=["replica", "promoted"])
@pytest.mark.parametrize("accepted", [None, ACCEPTED], ids=["plain", "accepted"])
def test_an_unfinished_epoch_that_the_peers_table_has_overtaken_is_not_gone_on_with(
    cloud, fail_over, source, accepted
):
    leave_unfinished(cloud)
    cloud.databases["rlg-data-dr-1"] = replace(cloud.databases["rlg-data-dr-1"], source=source)
    cloud.dark = {WITNESS}
    outcome = fail_over(cloud.case(split_brain=accepted))
    assert outcome.exit_code == (4 if source else 3)
    assert "the table in us-east-1 gives epoch 3 to primary" in outcome.error
    assert "us-west-2 knows of epoch 2 at most" in outcome.error
    assert "run python -m recovery.assign --region us-west-2 --complete" in outcome.error
    assert not cloud.writes - {call for call in cloud.writes if "execution" in call.subject}


def test_the_way_out_of_an_overtaken_epoch_is_to_complete_the_tables(cloud, fail_over):
    leave_unfinished(cloud)
    cloud.dark = {WITNESS}
    with pytest.raises(StepFailedError, match=WITNESS):
        cloud.run(lambda: assign.complete(cloud.case()))
    assert fail_over().exit_code == 6  # the witness is dark
    assert assigned(cloud, HERE) == ("dr", 4, True)


def test_an_epoch_that_the_peer_has_for_itself_is_not_gone_on_with_while_the_witness_is_dark(
    cloud, fail_over
):
    leave_unfinished(cloud, epoch=2)
    cloud.dark = {WITNESS}
    outcome = fail_over(cloud.case(split_brain=ACCEPTED))
    assert outcome.exit_code == 4
    assert "epoch 2 is dr's here and primary's in us-east-1" in outcome.error
    cloud.dark = set()
    assert fail_over().exit_code == 0
    assert assigned(cloud, WITNESS) == ("dr", 2, True)


def test_no_failover_begins_below_an_epoch_that_the_peers_table_has(cloud, fail_over):
    cloud.tables[THERE][ASSIGNMENT] |= {"epoch": 2}
    cloud.dark = {WITNESS}
    outcome = fail_over(cloud.case(split_brain=ACCEPTED))
    assert outcome.exit_code == 3
    assert "gives epoch 2 to primary" in outcome.error


def test_an_epoch_that_the_peer_was_given_meanwhile_stops_it_whatever_is_accepted(cloud, fail_over):
    cloud.dark = {WITNESS}
    cloud.before["assign-site", "tables.put"] = lambda: assign_elsewhere(cloud, THERE)
    outcome = fail_over(cloud.case(split_brain=ACCEPTED))
    assert outcome.exit_code == 4
    assert "us-east-1: rlg-data already has an epoch of 2 or more" in outcome.error
    assert not cloud.promotion_requests


def test_an_unfinished_epoch_goes_on_while_peer_and_witness_are_silent(cloud, fail_over):
    leave_unfinished(cloud)
    cloud.dark = {WITNESS, THERE}
    outcome = fail_over(cloud.case(split_brain=ACCEPTED))
    assert (outcome.exit_code, cloud.promotions) == (6, ["rlg-data-dr-1"])


@pytest.mark.parametrize("tables", [(HERE, WITNESS), (HERE,), (WITNESS,)], ids=str)
@pytest.mark.parametrize(
    "moment",
    [
        ("assign-site", "tables.put"),
        ("fence-peer", "balancers.refuse"),
        ("request-capacity", "hosts.scale"),
        ("promote-database", "databases.describe"),
    ],
    ids=" ".join,
)
def test_a_newer_epoch_of_another_site_stops_it_before_the_promotion(
    cloud, fail_over, tables, moment
):
    cloud.before[moment] = lambda: assign_elsewhere(cloud, *tables)
    outcome = fail_over()
    assert outcome.exit_code == 4
    assert "epoch" in outcome.error
    assert not cloud.promotion_requests
    assert assigned(cloud, tables[0]) == ("primary", 3, False)


def test_a_promotion_that_rds_refuses_for_good_fails_before_the_point_of_no_return(
    cloud, fail_over
):
    cloud.refusals["databases.promote"] = simulated.rejected("InvalidParameterCombination")
    outcome = fail_over()
    assert outcome.exit_code == 4
    assert "RDS refused the promotion" in outcome.error
    assert not cloud.promotions
    assert not cloud.claims
    assert assigned(cloud, HERE) == ("dr", 2, False)
    cloud.refusals.clear()
    assert fail_over().exit_code == 0
    assert_recovered(cloud)


def test_a_snapshot_over_the_quota_deviates_and_settles(cloud, fail_over):
    cloud.refusals["databases.create_snapshot"] = simulated.rejected("SnapshotQuotaExceeded")
    outcome = fail_over()
    assert outcome.exit_code == 6
    assert "SnapshotQuotaExceeded" in outcome.deviations[0]
    assert is_over(cloud)


def test_a_service_that_is_not_well_deviates_and_settles(cloud, fail_over):
    cloud.finding = findings.failed("journey", "sign-in answers 500")
    outcome = fail_over()
    assert outcome.exit_code == 6
    assert outcome.deviations == ["verify-service: failed: journey: sign-in answers 500"]
    assert_recovered(cloud)


@pytest.mark.parametrize("checking", [False, True], ids=["at-once", "while-the-first-checks"])
def test_of_two_operators_one_promotes_and_the_other_is_refused(
    cloud, fail_over, monkeypatch, checking
):
    monkeypatch.setattr("recovery.execution.this_process", simulated.process_elsewhere)
    monkeypatch.setattr("recovery.execution.TTL_SECONDS", 1.0)
    second_ended = threading.Event()
    outcomes = []

    def second():
        outcomes.append(fail_over())
        second_ended.set()

    other = threading.Thread(target=second)
    if checking:
        # The first stands still in its check; its renewals must keep the second away.
        monkeypatch.setattr("recovery.web.get", _waits(other, second_ended))
        outcomes.append(fail_over())
    else:
        other.start()
        outcomes.append(fail_over())
    other.join()
    assert sorted(outcome.exit_code for outcome in outcomes) == [0, 3]
    assert_recovered(cloud)
    assert cloud.promotion_requests == 1


def _waits(other, ended):
    def get(*_, **__):
        if not other.is_alive() and not ended.is_set():
            other.start()
            assert ended.wait(10)
        return SimpleNamespace(status=503)

    return get


def test_a_bug_in_one_products_run_leaves_the_others_whole(monkeypatch, tmp_path, capsys):
    cloud = Cloud(("rlg-data", "rlg-fans")).install(monkeypatch)
    monkeypatch.setenv("STANDBY_STATE", str(tmp_path))
    monkeypatch.delenv("STANDBY_TRACE", raising=False)
    pair = (cloud.case("rlg-data"), cloud.case("rlg-fans"))
    # A product whose site is missing from its deployments: a KeyError deep in a step.
    broken = replace(pair[1], product=replace(pair[1].product, deployments={}))
    monkeypatch.setattr("recovery.opening.cases", lambda *_, **__: (pair[0], broken))
    monkeypatch.setattr("recovery.opening.prepare", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["failover", "--region", HERE, "--json"])
    assert cloud.run(failover.main) == 1
    report = json.loads(capsys.readouterr().out)
    whole, ended = report["products"]
    assert (whole["product"], whole["exit_code"]) == ("rlg-data", 0)
    assert len(whole["steps"]) == 15
    assert ended["exit_code"] == 1
    assert ended["error"].startswith("a bug: KeyError")
    assert_recovered(cloud)
