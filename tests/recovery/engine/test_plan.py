"""A plan ends done or says how it did not, whatever step fails or is killed."""

import errno
import os
from pathlib import Path

import pytest

from recovery.engine.errors import BUG, OutsideError, RefusedError, StepFailedError
from recovery.engine.journal import Journal, read
from recovery.engine.plan import Outcome, Seen, Step, conclude, run
from recovery.engine.progress import Progress


class KilledError(BaseException):
    """Stands for SIGKILL: nothing of ours may catch it."""


class World:
    """What steps have brought about; survives a kill, as the real one does."""

    def __init__(self, names=("look", "assign", "promote", "shift"), commits="promote"):
        self.names = names
        self.commits = commits
        self.done = []
        self.kill_before = self.kill_after = None
        self.fail = {}
        self.deviates = {}

    def steps(self):
        return tuple(
            Step(
                name=name,
                act=lambda report, name=name: self.act(name, report),
                done=lambda name=name: Seen(holds=name in self.done, text=f"{name}?"),
                reads_only=name == "look",
                commits=name == self.commits,
            )
            for name in self.names
        )

    def act(self, name, report):
        if self.kill_before == name:
            raise KilledError
        if name in self.fail:
            raise self.fail[name]
        if name in self.deviates:
            report.deviate(self.deviates[name])
            return
        self.done.append(name)
        if self.kill_after == name:
            raise KilledError


class Token:
    def __init__(self):
        self.lost = False

    def renew(self):
        if self.lost:
            raise StepFailedError("lease lost")


@pytest.fixture
def go(tmp_path):
    runs = iter(range(1000))

    def start(world, token=None, *, committed=False):
        journal = Journal(tmp_path, f"execution-{next(runs)}")
        with Path("/dev/null").open("w") as sink:
            try:
                outcome = run(
                    "rlg-data",
                    world.steps(),
                    token=token or Token(),
                    journal=journal,
                    progress=Progress(sink, as_text=True),
                    entering=lambda step: None,
                    changed=committed,
                    committed=committed,
                    account=lambda step: {"calls": f"those of {step}"},
                )
            finally:
                journal.close()
                start.records = read(journal.path.read_bytes())
        return outcome

    return start


@pytest.mark.parametrize("moment", ["kill_before", "kill_after"])
@pytest.mark.parametrize("name", ["look", "assign", "promote", "shift"])
def test_killed_anywhere_and_run_again_it_finishes_and_does_nothing_twice(go, name, moment):
    world = World()
    setattr(world, moment, name)
    with pytest.raises(KilledError):
        go(world)
    world.kill_before = world.kill_after = None
    assert go(world).exit_code == 0
    assert world.done == list(world.names)


def test_what_already_holds_is_skipped(go):
    world = World()
    world.done = ["look", "assign"]
    outcome = go(world)
    assert [step.skipped for step in outcome.steps] == [True, True, False, False]


@pytest.mark.parametrize(
    ("name", "code"), [("look", 3), ("assign", 4), ("promote", 5), ("shift", 5)]
)
@pytest.mark.parametrize("error", [OutsideError("reset"), StepFailedError("no"), OSError("disk")])
def test_the_place_of_a_failure_gives_its_exit_code(go, name, code, error):
    world = World()
    world.fail[name] = error
    assert go(world).exit_code == code


def test_a_refusal_after_something_was_changed_is_no_refusal(go):
    world = World()
    world.fail["assign"] = RefusedError("taken")
    assert go(world).exit_code == 4


def test_nothing_runs_after_a_failed_step(go):
    world = World()
    world.fail["promote"] = OutsideError("reset")
    go(world)
    assert world.done == ["look", "assign"]


def test_resumed_after_the_point_of_no_return_an_early_failure_is_stranded(go):
    world = World()
    world.fail["assign"] = OutsideError("reset")
    assert go(world, committed=True).exit_code == 5


def test_a_step_that_acts_without_effect_fails(go):
    world = World()
    world.act = lambda name, report: None
    outcome = go(world)
    assert outcome.exit_code == 3
    assert "it acted, yet look?" in outcome.error


def test_a_deviation_lets_the_plan_finish_and_shows_in_the_exit_code(go):
    world = World()
    world.deviates["shift"] = "half the hosts"
    outcome = go(world)
    assert outcome.exit_code == 6
    assert outcome.deviations == ["shift: half the hosts"]


def test_without_the_lease_nothing_is_done(go):
    world, token = World(), Token()
    token.lost = True
    assert go(world, token).exit_code == 3
    assert world.done == []


def test_a_point_of_no_return_that_is_refused_was_not_passed(go):
    world = World()
    world.fail["promote"] = RefusedError("RDS refused the promotion")
    assert go(world).exit_code == 4


def ends(records):
    """Return the record that ends each step."""
    return {each.step: each for each in records if each.event in {"holds", "done", "failed"}}


def test_every_step_ends_in_one_record_with_what_it_took_and_the_account_given_of_it(go):
    world = World()
    world.done = ["look"]
    world.fail["promote"] = OutsideError("reset")
    go(world)
    found = ends(go.records)
    assert [each.event for each in found.values()] == ["holds", "done", "failed"]
    for name, record in found.items():
        assert set(record.facts) == {"text", "seconds", "calls"}
        assert record.facts["calls"] == f"those of {name}"
        assert record.facts["seconds"] >= 0


@pytest.fixture
def concluded(tmp_path, capsys):
    def conclude_as(**facts):
        journal = Journal(tmp_path, "execution-1")
        conclude(Outcome(product="rlg-data", **facts), journal, Progress(), {"calls": "a"})
        journal.close()
        return read(journal.path.read_bytes())[-1]

    return conclude_as


def test_a_products_end_is_journalled(concluded):
    record = concluded(exit_code=6, deviations=["one", "two"], epoch=2)
    assert (record.product, record.step, record.event) == ("rlg-data", "execution", "ended")
    assert record.facts == {
        "exit_code": 6,
        "error": None,
        "deviations": 2,
        "epoch": 2,
        "calls": "a",
    }


def test_what_a_bug_said_is_not_journalled_as_it_may_quote_anything(concluded):
    record = concluded(exit_code=BUG, error="KeyError: 'hunter2'", recorded_error="KeyError")
    assert record.facts["error"] == "KeyError"


def test_an_end_that_the_disk_does_not_take_is_said(tmp_path, monkeypatch, capsys):
    journal = Journal(tmp_path, "execution-1")

    def full(file, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        conclude(Outcome(product="rlg-data"), journal, Progress(), {})
    journal.close()
    assert "not journalled: the journal" in capsys.readouterr().err
