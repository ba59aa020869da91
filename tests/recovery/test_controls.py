"""Where an operator stops a failover, approves it by name, or leaves a step out."""

import io
import json
import sys
import threading
import time
from dataclasses import replace

import pytest

from recovery import approve, failover, naming, report
from recovery.cloud import client
from recovery.engine import chain, gates
from recovery.engine.errors import RefusedError, UsageError
from recovery.engine.gates import Controls, Go
from recovery.engine.journal import Journal
from recovery.engine.progress import Progress
from recovery.execution import execute, outline
from recovery.topology import encode
from tests.recovery import cases, simulated
from tests.recovery.simulated import HERE, WITNESS, Call, Cloud, Fault, Killed

SECONDS = 20
STEPS = [step.name for step in outline(cases.case(), failover.PROCEDURE)]
SKIPPABLE = [step.name for step in outline(cases.case(), failover.PROCEDURE) if step.may_be_skipped]
NAME = "Ada Lovelace"


@pytest.fixture
def cloud(monkeypatch):
    monkeypatch.setattr(gates, "LOOK_SECONDS", 0.01)
    return Cloud().install(monkeypatch)


class Screen(io.StringIO):
    """Standard error; whoever waits for a line is told when it comes."""

    def __init__(self):
        super().__init__()
        self.changed = threading.Condition()

    def write(self, text):
        with self.changed:
            super().write(text)
            self.changed.notify_all()
        return len(text)

    def wait_for(self, *words):
        def said():
            return any(all(word in line for word in words) for line in self.getvalue().split("\n"))

        with self.changed:
            assert self.changed.wait_for(said, SECONDS), (words, self.getvalue())


class Run:
    """One run of the command in a thread of its own."""

    def __init__(self, cloud, folder, case, controls, terminal=None):
        self.cloud, self.case, self.screen = cloud, case, Screen()
        self.outcome = self.error = None
        self.journal = Journal(folder, case.execution)
        progress = Progress(self.screen, as_text=True)

        def work():
            try:
                self.outcome = cloud.run(
                    lambda: execute(
                        case,
                        failover.PROCEDURE,
                        self.journal,
                        progress,
                        controls=controls,
                        terminal=terminal,
                    )
                )
            except Killed as error:
                self.error = error
            finally:
                self.journal.close()

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()

    def go(self, step, by=NAME):
        """Leave a go as another machine does."""
        key = naming.approval_key(self.case.execution, self.case.product.name, step)
        given = {"step": step, "by": by, "identity": "arn:aws:iam::1:user/ada"}
        with self.cloud.lock:
            self.cloud.objects[key] = json.dumps(given).encode()

    def end(self):
        self._thread.join(SECONDS)
        assert not self._thread.is_alive(), self.screen.getvalue()
        return self.outcome

    @property
    def records(self):
        return chain.examine(self.journal.path.read_bytes()).records

    def events(self, *wanted):
        return [(each.step, each.event) for each in self.records if each.event in wanted]


@pytest.fixture
def start(cloud, tmp_path):
    runs = []

    def begin(case=None, terminal=None, **controls):
        made = Controls(**controls)
        runs.append(Run(cloud, tmp_path, case or cloud.case(), made, terminal))
        return runs[-1]

    yield begin
    for run in runs:
        run.end()


def with_rto(case, seconds):
    return replace(case, product=replace(case.product, rto_seconds=seconds))


def assert_recovered(cloud):
    assert cloud.promotions == ["rlg-data-dr-1"]
    for region in (HERE, WITNESS):
        found = cloud.tables[region][naming.assignment_item("rlg-data")]
        assert (found["site"], found["epoch"], found["settled"]) == ("dr", 2, True)


# Pauses.


@pytest.fixture
def every_step_acts(cloud):
    """A switchover left the replica closed: else open-database finds it open, and nothing stops."""
    cloud.closed.add("rlg-data-dr-1")


@pytest.mark.parametrize("step", STEPS)
def test_paused_before_any_step_it_has_not_acted_and_then_goes_on(
    cloud, start, every_step_acts, step
):
    run = start(pause_before=(step,))
    run.screen.wait_for(step, "paused", "--step")
    assert not [call for call in cloud.writes if call.step == step and "exec" not in call.subject]
    assert (step, "acting") not in run.events("acting")
    run.go(step)
    outcome = run.end()
    assert (outcome.exit_code, outcome.error) == (0, None)
    assert_recovered(cloud)
    assert run.events("paused", "resumed") == [(step, "paused"), (step, "resumed")]


@pytest.mark.parametrize("step", STEPS)
def test_killed_while_paused_the_same_command_goes_on(cloud, start, every_step_acts, step):
    case = cloud.case()
    key = naming.approval_key(case.execution, "rlg-data", step)
    cloud.fault = Fault(Call(step, HERE, "objects.read", key, 3), "kill-before")
    killed = start(case, pause_before=(step,))
    killed.end()
    assert killed.error is not None
    again = start(pause_before=(step,))
    again.screen.wait_for(step, "paused", "--step")
    again.go(step)
    assert again.end().exit_code == 0
    assert_recovered(cloud)


def test_a_step_that_holds_already_stops_nothing(cloud, start):
    promote = Call("promote-database", HERE, "databases.promote", "rlg-data-dr-1", 1)
    cloud.fault = Fault(promote, "kill-after")
    start().end()
    done = start(pause_before=("assign-site", "record-point"))
    assert done.end().exit_code == 0
    assert not done.events("paused")


def test_a_database_that_is_open_already_stops_nothing(start):
    done = start(pause_before=("open-database",))
    assert done.end().exit_code == 0
    assert not done.events("paused")


def test_it_says_what_to_type_elsewhere(start):
    run = start(pause_before=("fence-peer",))
    run.screen.wait_for(
        f"python -m recovery.approve {run.case.execution} --region us-west-2 "
        "--product rlg-data --step fence-peer --by 'NAME'"
    )
    run.go("fence-peer")


def test_a_second_operator_is_refused_while_the_first_is_paused(cloud, start, monkeypatch):
    monkeypatch.setattr("recovery.execution.this_process", simulated.process_elsewhere)
    monkeypatch.setattr("recovery.execution.TTL_SECONDS", 1.0)
    second_ended = threading.Event()

    def look(*_):
        # The first stands still, so that only its lease's own renewals keep the second away.
        assert second_ended.wait(SECONDS)
        return Go(step="promote-database", by=NAME, identity="arn")

    monkeypatch.setattr("recovery.approvals.read", look)
    first = start(pause_before=("promote-database",))
    first.screen.wait_for("promote-database", "paused")
    outcome = start().end()
    assert outcome.exit_code == 3
    assert f"is running execution {first.case.execution}" in outcome.error
    assert not cloud.promotion_requests
    second_ended.set()
    assert first.end().exit_code == 0
    assert_recovered(cloud)


def test_a_lease_that_was_lost_ends_the_pause(cloud, start):
    run = start(pause_before=("promote-database",))
    run.screen.wait_for("promote-database", "paused")
    with cloud.lock:
        cloud.tables[HERE][naming.execution_item("rlg-data")] |= {
            "fencing_token": 9,
            "holder": "grace",
        }
    outcome = run.end()
    assert outcome.exit_code == 4
    assert "taken over by another operator" in outcome.error
    assert not cloud.promotion_requests


def test_a_bucket_that_does_not_answer_for_a_while_is_asked_again(cloud, start):
    case = cloud.case()
    key = naming.approval_key(case.execution, "rlg-data", "scale-out")
    cloud.fault = Fault(Call("scale-out", HERE, "objects.read", key, 1), "unreachable")
    run = start(case, pause_before=("scale-out",))
    run.screen.wait_for("scale-out", "says", "cannot look for a go")
    run.go("scale-out")
    assert run.end().exit_code == 0


# Approvals.


def test_an_approval_carries_its_name_into_journal_recovery_point_and_outcome(cloud, start):
    run = start(approve_at=("fence-peer", "promote-database"))
    run.screen.wait_for("fence-peer", "paused", "an approval by name")
    run.go("fence-peer")
    run.screen.wait_for("promote-database", "paused")
    run.go("promote-database", by="Grace Hopper")
    outcome = run.end()
    assert outcome.exit_code == 0
    approved = [each for each in run.records if each.event == "approved"]
    assert [(each.step, each.facts["by"]) for each in approved] == [
        ("fence-peer", NAME),
        ("promote-database", "Grace Hopper"),
    ]
    assert [go.by for go in outcome.approvals] == [NAME, "Grace Hopper"]
    point = json.loads(cloud.objects[naming.recovery_point_key("rlg-data", 2)])
    assert [(go["step"], go["by"]) for go in point["approvals"]] == [("fence-peer", NAME)]


@pytest.mark.parametrize("by", ["", "  ", "\x1b[2J", "x" * 101])
def test_an_approval_by_nobody_is_refused(start, by):
    run = start(approve_at=("fence-peer",))
    run.go("fence-peer", by=by)
    run.screen.wait_for("fence-peer", "says", "carries no name, which is refused")
    assert ("fence-peer", "acting") not in run.events("acting")
    run.go("fence-peer")
    assert run.end().exit_code == 0


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"by": 7}'])
def test_what_is_no_approval_is_refused(cloud, start, content):
    run = start(approve_at=("fence-peer",))
    key = naming.approval_key(run.case.execution, "rlg-data", "fence-peer")
    cloud.objects[key] = content
    run.screen.wait_for("fence-peer", "says", "carries no name, which is refused")
    run.go("fence-peer")
    assert run.end().exit_code == 0


def test_unapproved_within_the_rto_it_fails_before_the_point_of_no_return(cloud, start):
    outcome = start(with_rto(cloud.case(), 0.3), approve_at=("promote-database",)).end()
    assert outcome.exit_code == 4
    assert "nobody approved it within the RTO" in outcome.error
    assert not cloud.promotion_requests


def test_unapproved_within_the_rto_it_waits_on_after_the_point_of_no_return(cloud, start):
    # Not 0.3: the promotion itself must come true within the RTO, on a busy machine too.
    run = start(with_rto(cloud.case(), 2), approve_at=("shift-traffic",))
    run.screen.wait_for("shift-traffic", "says", "which is exceeded")
    run.go("shift-traffic")
    assert run.end().exit_code == 0
    assert_recovered(cloud)


# Steps left out.


@pytest.mark.parametrize("step", SKIPPABLE)
def test_a_step_left_out_makes_no_call_and_deviates_with_its_reason(cloud, start, step):
    run = start(skips={step: "Ada does it by hand"})
    if step == "request-capacity":
        cloud.groups[HERE, "rlg-data-dr"][0] = 2
    outcome = run.end()
    assert (outcome.exit_code, outcome.error) == (6, None)
    assert outcome.deviations == [f"{step}: skipped: Ada does it by hand"]
    assert not [call for call in cloud.calls if call.step == step]
    (left,) = [each for each in outcome.steps if each.left_out]
    assert left.name == step
    assert run.events("skipped") == [(step, "skipped")]
    assert_recovered(cloud)


def test_what_proves_safety_may_not_be_left_out():
    assert not set(SKIPPABLE) & {
        "check-standby",
        "assign-site",
        "fence-peer",
        "outwait-guards",
        "record-point",
        "promote-database",
        "shift-traffic",
        "settle-assignment",
    }


@pytest.mark.parametrize("step", [step for step in STEPS if step not in SKIPPABLE])
def test_a_plan_that_is_run_without_the_command_line_refuses_that_too(cloud, start, step):
    outcome = start(skips={step: "no time"}).end()
    assert outcome.exit_code == 3
    assert not [call for call in cloud.writes if "execution" not in call.subject]


# The command line.


@pytest.fixture
def command(cloud, monkeypatch, tmp_path, capsys):
    """Run the failover command; return its exit code."""
    monkeypatch.setenv("STANDBY_STATE", str(tmp_path))
    case = with_rto(cloud.case(), 7200)
    monkeypatch.setattr("recovery.opening.cases", lambda *_, **__: (case,))
    monkeypatch.setattr("recovery.opening.prepare", lambda _: None)
    monkeypatch.setattr("recovery.discovery.find", lambda _: case.topology)
    monkeypatch.setattr("recovery.cloud.identity.caller", lambda _: "arn:aws:iam::1:user/grace")
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setattr(sys, "stderr", io.StringIO())  # of a run that outlives a fixture's set-up

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["failover", "--region", HERE, *arguments])

        def process():
            client.calling_step.set("rlg-data/dry-run")
            return failover.main()

        return cloud.run(process)

    run.case = case
    return run


@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["run", "dry-run"])
def test_a_forbidden_skip_is_refused_before_anything_is_changed(cloud, command, tmp_path, dry):
    with pytest.raises(RefusedError) as refused:
        command("--skip", "outwait-guards", "--because", "no time", *dry)
    assert str(refused.value).endswith(f"Those that may: {', '.join(SKIPPABLE)}")
    assert not cloud.calls
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--pause-before", "--approve-at", "--skip"])
def test_an_unknown_step_is_wrong_usage_and_the_steps_are_listed(cloud, command, option):
    because = ["--because", "no time"] if option == "--skip" else []
    with pytest.raises(UsageError) as wrong:
        command(option, "promote", *because)
    assert wrong.value.exit_code == 2
    assert str(wrong.value) == f"no step 'promote'; the steps are {', '.join(STEPS)}"
    assert not cloud.calls


@pytest.mark.parametrize(
    "arguments",
    [
        ["--skip", "tell-people"],
        ["--because", "no time"],
        ["--skip", "tell-people", "--because", " "],
    ],
    ids=" ".join,
)
def test_a_step_is_left_out_for_a_reason_only(command, arguments):
    with pytest.raises(SystemExit) as ended:
        command(*arguments)
    assert ended.value.code == 2


CONTROLLED = [
    *("--pause-before", "fence-peer", "--approve-at", "promote-database"),
    *("--skip", "tell-people", "--because", "told by phone"),
]


def test_a_dry_run_shows_stops_and_what_is_left_out(cloud, command, capsys):
    assert command("--dry-run", *CONTROLLED) == 0
    said = {
        line.split()[2]: line for line in capsys.readouterr().out.splitlines() if "would" in line
    }
    assert said["fence-peer"].endswith("; waits for a go")
    assert said["promote-database"].endswith("; waits for an approval by name")
    assert said["tell-people"].endswith("; is skipped: told by phone")
    assert ";" not in said["assign-site"]
    assert command("--dry-run", "--json", *CONTROLLED) == 0
    (found,) = json.loads(capsys.readouterr().out)
    controls = {step["name"]: step["control"] for step in found["steps"]}
    assert controls["promote-database"] == "waits for an approval by name"
    assert controls["assign-site"] is None
    assert not cloud.writes


def eventually(condition):
    deadline = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


@pytest.fixture
def approving(cloud, command, monkeypatch):
    """Approve by the command on another machine, which has no journal."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["approve", *arguments])
        return cloud.run(approve.main)

    cloud.objects[naming.TOPOLOGY_KEY] = encode(command.case.topology)
    listing = [type("Found", (), {"key": naming.journal_key(command.case.execution)})]
    monkeypatch.setattr("recovery.cloud.objects.listing", lambda *_: iter(listing))
    return run


@pytest.fixture
def waiting(cloud, command):
    """A failover in the background, that waits before a step; gives what it came to."""
    codes = []
    thread = threading.Thread(target=lambda: codes.append(command(*CONTROLLED, "--json")))
    thread.start()

    def until(step):
        key = naming.journal_key(command.case.execution)

        def paused():
            records = chain.examine(cloud.objects.get(key, b"")).records
            return records and (records[-1].step, records[-1].event) == (step, "paused")

        eventually(paused)

    def end():
        thread.join(SECONDS)
        return codes[0]

    until.end = end
    return until


def test_another_machine_approves_and_the_reports_tell_it(
    command, waiting, approving, monkeypatch, capsys
):
    there = command.case.execution, "--region", HERE
    waiting("fence-peer")
    assert approving(*there, "--step", "fence-peer", "--by", "Grace Hopper") == 0
    waiting("promote-database")
    assert approving(*there, "--step", "promote-database", "--by", NAME) == 0
    assert waiting.end() == 6
    said = capsys.readouterr().out
    assert f"approved by {NAME} (arn:aws:iam::1:user/grace); it goes on" in said
    (product,) = json.JSONDecoder().raw_decode(said, said.index("{"))[0]["products"]
    assert [(go["step"], go["by"]) for go in product["approvals"]] == [("promote-database", NAME)]
    assert product["deviations"] == ["tell-people: skipped: told by phone"]
    assert product["budget"]["forecast_seconds"] > 240
    assert product["budget"]["exceeded"] is None

    monkeypatch.setattr(sys, "argv", ["report"])
    assert report.main() == 0
    told = capsys.readouterr().out
    assert f"approved  rlg-data promote-database: by {NAME} (arn:aws:iam::1:user/grace)" in told
    assert "  pause     fence-peer\n  approve   promote-database\n" in told
    assert "  skip      tell-people: told by phone\n" in told
    assert "s of the RTO spent, 510.04 s forecast" in told


def test_what_does_not_wait_cannot_be_approved(cloud, command, waiting, approving):
    there = command.case.execution, "--region", HERE
    waiting("fence-peer")
    with pytest.raises(RefusedError, match="what waits: rlg-data before fence-peer"):
        approving(*there, "--step", "promote-database", "--by", NAME)
    with pytest.raises(RefusedError, match="rlg-fans of .* waits before fence-peer"):
        approving(*there, "--step", "fence-peer", "--product", "rlg-fans", "--by", NAME)
    with pytest.raises(RefusedError, match="no execution 'failover-of-nobody' is known"):
        approving("failover-of-nobody", "--region", HERE, "--step", "fence-peer", "--by", NAME)
    assert not [key for key in cloud.objects if key.startswith("approvals/")]
    for step in ("fence-peer", "promote-database"):
        waiting(step)
        assert approving(command.case.execution, "--step", step, "--by", NAME) == 0
    waiting.end()


@pytest.fixture
def killed_at_a_stop(cloud, command):
    key = naming.approval_key(command.case.execution, "rlg-data", "fence-peer")
    cloud.fault = Fault(Call("fence-peer", HERE, "objects.read", key, 2), "kill-before")
    with pytest.raises(Killed):
        command("--pause-before", "fence-peer")
    return key


def test_an_approval_is_written_once(cloud, command, killed_at_a_stop, approving):
    grace = b'{"by": "Grace Hopper", "identity": "arn"}'
    cloud.objects[killed_at_a_stop] = grace
    with pytest.raises(RefusedError, match=r"was approved before, by Grace Hopper \(arn\)"):
        approving(command.case.execution, "--step", "fence-peer", "--by", NAME)
    assert cloud.objects[killed_at_a_stop] == grace


@pytest.mark.parametrize("by", ["", " ", "\n"])
def test_the_command_approves_by_name_only(approving, by):
    with pytest.raises(SystemExit) as ended:
        approving("failover-1", "--step", "fence-peer", "--by", by)
    assert ended.value.code == 2


def test_an_approval_that_nobody_takes_is_said(
    command, killed_at_a_stop, approving, monkeypatch, capsys
):
    monkeypatch.setattr(approve, "TAKEN_SECONDS", 0.05)
    assert approving(command.case.execution, "--step", "fence-peer", "--by", NAME) == 6
    assert "has not taken that yet: does it still run?" in capsys.readouterr().out


# The RTO's budget.


def budgets(run):
    return [each for each in run.records if each.event == "budget"]


def test_a_recovery_that_fits_says_nothing_of_its_budget(cloud, start):
    run = start(with_rto(cloud.case(), 7200))
    assert run.end().exit_code == 0
    assert not budgets(run)
    ended = next(each for each in run.records if each.event == "ended")
    # 90 s ago it was seen well, and a report was due after 60 s.
    assert 29 < ended.facts["spent_seconds"] < 29 + SECONDS
    assert ended.facts["over_budget"] is None


def test_one_that_cannot_fit_says_so_once_before_it_assigns_and_still_recovers(cloud, start):
    # The forecasts alone are longer; the outage's beginning is known from the check on.
    run = start(with_rto(cloud.case(), 100))
    outcome = run.end()
    assert outcome.exit_code == 0
    assert_recovered(cloud)
    (said,) = budgets(run)
    assert said.step == "check-standby"
    assert "the RTO cannot be kept" in said.facts["text"]
    assert outcome.over_budget == said.facts["text"]


def test_spent_counts_from_the_outage_once_that_is_known(cloud, start):
    # Fits from the command's start, and not from the outage's, which was 30 s before.
    case = with_rto(cloud.case(), 0)
    needed = sum(
        step.forecast.total_seconds() for step in outline(case, failover.PROCEDURE) if step.forecast
    )
    run = start(with_rto(case, needed + 25))
    assert run.end().exit_code == 0
    (said,) = budgets(run)
    assert said.step == "assign-site"


def test_an_execution_that_goes_on_counts_from_the_outage_as_recorded(cloud, start):
    claims = Call("shift-traffic", HERE, "metrics.publish", "rlg-data", 1)
    cloud.fault = Fault(claims, "kill-before")
    start(with_rto(cloud.case(), 7200)).end()
    outcome = start(with_rto(cloud.case(), 7200)).end()
    assert outcome.exit_code == 0
    assert outcome.spending.spent_seconds > 29
