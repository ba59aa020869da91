"""The command line of a switchover: a dry run, what it refuses, its report."""

import json
import sys
from dataclasses import replace

import pytest

from recovery import switchover
from recovery.cloud import client
from recovery.engine.errors import RefusedError, UsageError
from tests.recovery.planned import NEW, Pair
from tests.recovery.simulated import HERE, THERE, rejected

STEPS = 18


@pytest.fixture
def cloud(monkeypatch):
    return Pair().install(monkeypatch)


@pytest.fixture
def command(cloud, monkeypatch, tmp_path):
    """Run the command; return its exit code."""
    monkeypatch.setenv("STANDBY_STATE", str(tmp_path))
    monkeypatch.delenv("STANDBY_TRACE", raising=False)
    monkeypatch.setattr("recovery.opening.prepare", lambda _: None)
    monkeypatch.setattr(sys, "stdin", None)

    def run(*arguments):
        case = cloud.case()
        case = replace(case, product=replace(case.product, rto_seconds=7200))
        monkeypatch.setattr("recovery.opening.cases", lambda *_, **__: (case,))
        monkeypatch.setattr(sys, "argv", ["switchover", "--region", HERE, *arguments])

        def process():
            client.calling_step.set("rlg-data/dry-run")
            return switchover.main()

        return cloud.run(process)

    return run


def test_a_dry_run_shows_every_check_and_step_and_changes_nothing(cloud, command, capsys):
    assert command("--dry-run", "--approve-at", "promote-database", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert len(found["steps"]) == STEPS
    assert [step["name"] for step in found["steps"] if step["control"]] == ["promote-database"]
    assert {each["check"] for each in found["findings"]} == {
        *("engine", "assignment", "replica", "source", "capacity", "secrets", "service"),
    }
    assert not cloud.writes


def test_a_dry_run_says_why_it_would_be_refused(cloud, command, capsys):
    cloud.streams = False
    assert command("--dry-run") == 3
    assert "a switchover now would be refused: rlg-data-dr-1 does not" in capsys.readouterr().out
    assert not cloud.writes


def test_a_dry_run_with_the_old_region_dark_is_refused_and_no_bug(cloud, command, capsys):
    cloud.dark = {THERE}
    assert command("--dry-run") == 3
    assert "be refused" in capsys.readouterr().out


def test_a_forbidden_skip_is_refused_before_anything_is_asked(cloud, command):
    with pytest.raises(RefusedError, match="close-database proves safety"):
        command("--skip", "close-database", "--because", "no time")
    with pytest.raises(UsageError, match="no step 'outwait-guards'"):
        command("--pause-before", "outwait-guards")
    assert not cloud.calls


def test_the_report_tells_the_proof_and_only_the_interruption(cloud, command, capsys):
    assert command("--json") == 0
    report = json.loads(capsys.readouterr().out)
    (product,) = report["products"]
    assert (product["exit_code"], product["predicted_loss_seconds"]) == (0, 0.0)
    assert product["fencing"] == "the old database is closed"
    assert product["one_writer"].startswith("one writer: rlg-data-primary-1 is closed, and")
    assert product["budget"]["exceeded"] is None
    assert 0 < product["budget"]["spent_seconds"] < report["seconds"]
    assert 0 < product["achieved_rto_seconds"] < report["seconds"]
    assert cloud.promotions == [NEW]


def test_the_report_of_what_was_taken_back_names_the_steps_of_the_way_back(cloud, command, capsys):
    cloud.refusals["databases.promote"] = rejected("InvalidParameterCombination")
    assert command() == 4
    said = capsys.readouterr().out
    assert "FAILED before the point of no return" in said
    assert "it was taken back" in said
    for step in ("assign-back", "reopen-database", "see-service"):
        assert step in said
