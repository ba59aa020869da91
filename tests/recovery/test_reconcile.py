"""The command: what it prints, what it does only when told to, and how it ends."""

import json
import sys

import pytest

from recovery import reconcile
from recovery.engine.errors import StepFailedError
from recovery.reconciliation.command import CommandError, Ended
from recovery.reconciliation.operations import INSTANCE
from tests.recovery.reconciliation import states
from tests.recovery.reconciliation.states import Memory, urn

GONE = {"op": "delete", "urn": urn("dr", INSTANCE, "rlg-data-dr-1")}


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command on a Pulumi in memory; return its exit code and what it printed."""
    monkeypatch.setenv("STANDBY_STATE", str(tmp_path))
    monkeypatch.delenv("STANDBY_PULUMI", raising=False)

    def run(memory, *arguments):
        monkeypatch.setattr(sys, "argv", ["reconcile", "--region", "us-west-2", *arguments])
        monkeypatch.setattr("recovery.opening.cases", lambda *_, **__: ())
        monkeypatch.setattr(reconcile, "look", lambda _: memory.world)
        monkeypatch.setattr(reconcile, "as_process", memory)
        return reconcile.main(), capsys.readouterr().out

    return run


def test_it_prints_what_to_commit_and_to_do_and_does_nothing(run):
    memory = Memory(world=states.FAILED_OVER)
    code, out = run(memory)
    assert code == 0
    assert memory.changing == []
    assert "commit in Pulumi.dr.yaml" in out
    assert "standby:role: active             (now standby)" in out
    assert "refresh  urn:pulumi:dr::" in out
    assert "pulumi up --stack dr" in out
    assert "stack primary: leave it alone: us-east-1 does not answer" in out


@pytest.mark.parametrize(
    ("world", "code"), [(states.BEFORE, 0), (states.FAILED_OVER, 6), (states.HEALED, 6)]
)
def test_check_ends_with_6_where_there_is_drift(run, world, code):
    memory = Memory(world=world)
    assert run(memory, "--check")[0] == code
    assert memory.changing == []


@pytest.mark.parametrize("world", [states.BEFORE, states.FAILED_OVER, states.REPROTECTED])
def test_applied_and_checked_all_is_well(run, world):
    memory = Memory(world=world)
    code, out = run(memory, "--apply")
    assert code == 0
    assert "no replace, no delete, no change" in out
    assert run(memory, "--check")[0] == 0


def test_a_stack_that_would_lose_something_is_not_updated_and_the_link_waits(run):
    memory = Memory(world=states.REPROTECTED, shows={"dr": [GONE]})
    code, out = run(memory, "--apply", "--json")
    assert code == 6
    found = {each["stack"]: each for each in json.loads(out)["stacks"]}
    assert [each["op"] for each in found["dr"]["preview"]] == ["delete"]
    assert found["dr"]["preview"][0]["left"] is None
    assert found["primary"]["in_line"]
    assert found["link"]["standing"] == "waits"
    assert not any("--stack link" in call for call in memory.calls)


def test_every_state_that_is_changed_is_kept_as_it_was_for_its_owner_alone(run, tmp_path):
    memory = Memory(world=states.REPROTECTED)
    before = json.loads(json.dumps(memory.states))
    run(memory, "--apply")
    kept = {path.name.partition("-")[0]: path for path in (tmp_path / "states").iterdir()}
    assert {stack: json.loads(path.read_text()) for stack, path in kept.items()} == before
    assert {path.stat().st_mode & 0o777 for path in kept.values()} == {0o600}


def test_where_pulumi_does_not_answer_nobody_can_tell(run):
    broken = {"stack export": Ended(code=255, out="", err="error: no passphrase")}
    with pytest.raises(CommandError, match="no passphrase"):
        run(Memory(world=states.BEFORE, fails=broken), "--check")
    with pytest.raises(StepFailedError, match="no passphrase"):
        run(Memory(world=states.BEFORE, fails=broken), "--apply")


def test_a_product_is_no_stack(run):
    with pytest.raises(SystemExit) as ended:
        run(Memory(world=states.BEFORE), "--product", "rlg-data")
    assert ended.value.code == 2
