"""A stack is brought in line step by step, and never updated into what recovery did not do."""

import json

import pytest

from recovery.engine.errors import StepFailedError
from recovery.reconciliation import alignment
from recovery.reconciliation.checkpoint import MalformedStateError
from recovery.reconciliation.command import CommandError, Ended, Pulumi, as_process
from recovery.reconciliation.operations import BACKUPS, INSTANCE, RULES
from recovery.reconciliation.preview import ALARM
from recovery.reconciliation.wanted import Wanted, wanted
from tests.recovery.reconciliation import states
from tests.recovery.reconciliation.states import Memory, urn

SECOND_ZONE = {
    "op": "update",
    "urn": urn("dr", INSTANCE, "rlg-data-dr-1"),
    "detailedDiff": {"multiAz": {}},
}
ALARMS = {
    "op": "update",
    "urn": urn("dr", ALARM, "rlg-data-dr-replica-lag"),
    "detailedDiff": {"treatMissingData": {}},
}
COPIES = {"op": "create", "urn": urn("link", BACKUPS, "rlg-data-backups-from-dr")}
REPLACEMENT = {"op": "replace", "urn": urn("dr", INSTANCE, "rlg-data-dr-1")}


def of(world, stack):
    return next(each for each in wanted(world) if each.stack == stack)


def align(memory, stack, keep=None):
    return alignment.align(
        memory.pulumi,
        of(memory.world, stack),
        lambda: memory.world,
        say=lambda _: None,
        keep=keep or (lambda _stack, _document: "/kept"),
    )


def examine(memory, stack, *, may_preview=True):
    wanted_ = of(memory.world, stack)
    return alignment.examine(memory.pulumi, wanted_, memory.world, may_preview=may_preview)


def test_looking_changes_nothing():
    for world in (states.BEFORE, states.FAILED_OVER, states.REPROTECTED):
        for stack in ("primary", "dr", "link"):
            memory = Memory(world=world)
            examine(memory, stack)
            assert memory.changing == []


def test_in_peace_all_stacks_are_in_line():
    memory = Memory(world=states.BEFORE)
    assert all(examine(memory, stack).is_in_line for stack in ("primary", "dr", "link"))


def test_what_to_commit_and_to_do_is_told_before_any_preview():
    memory = Memory(world=states.FAILED_OVER)
    found = examine(memory, "dr")
    assert [(each.key, each.now, each.wanted) for each in found.settings] == [
        ("standby:role", "standby", "active"),
        ("standby:peer", "lit", "dark"),
    ]
    assert len(found.operations) == 2
    # Under the old values it would show what nobody wants.
    assert found.changes is None
    assert not any(call.startswith("preview") for call in memory.calls)
    assert not found.is_in_line


def test_values_come_before_the_state_and_the_state_before_the_update():
    memory = Memory(world=states.FAILED_OVER, shows={"dr": [SECOND_ZONE, ALARMS]})
    found = align(memory, "dr")
    assert found.is_in_line
    assert [call.split(" --")[0] for call in memory.changing] == [
        "config set standby:role active",
        "config set standby:peer dark",
        "refresh",
        "up",
    ]


def test_only_what_recovery_changed_is_read_again_as_all_else_may_be_in_a_dark_region():
    memory = Memory(world=states.FAILED_OVER)
    align(memory, "dr")
    (refresh,) = [call for call in memory.calls if call.startswith("refresh")]
    assert refresh.count("--target ") == 2


def test_an_update_is_made_even_where_nothing_changes_if_the_outputs_lag():
    # The link reads the role in them.
    memory = Memory(world=states.FAILED_OVER)
    assert align(memory, "dr").is_in_line
    assert "up --stack dr --skip-preview --yes" in memory.changing


def test_bringing_a_stack_in_line_twice_does_nothing_the_second_time():
    memory = Memory(world=states.FAILED_OVER)
    align(memory, "dr")
    memory.calls.clear()
    assert align(memory, "dr").is_in_line
    assert memory.changing == []


def test_a_stack_whose_preview_would_do_anything_else_is_not_updated():
    memory = Memory(world=states.FAILED_OVER, shows={"dr": [SECOND_ZONE, REPLACEMENT]})
    found = align(memory, "dr")
    assert [change.op for change in found.drift] == ["replace"]
    assert not found.is_in_line
    assert not any(call.startswith("up") for call in memory.calls)


def test_after_a_reprotect_the_replica_takes_the_place_of_the_database_put_aside():
    memory = Memory(world=states.REPROTECTED)
    kept = {}
    assert align(
        memory, "primary", keep=lambda stack, document: kept.setdefault(stack, document) and "/k"
    ).is_in_line
    held = json.loads(json.dumps(memory.states["primary"]))["deployment"]["resources"]
    (database,) = [each for each in held if each["type"] == INSTANCE]
    assert database["id"] == "db-new"
    assert database["outputs"]["replicateSourceDb"] == "rlg-data-dr-1"
    # The launch template depends on it: Pulumi would not have let it leave the state.
    assert not any(call.startswith("state delete") for call in memory.calls)
    before = [e for e in kept["primary"]["deployment"]["resources"] if e["type"] == INSTANCE]
    assert before[0]["id"] == "db-primary"


def test_after_a_reprotect_the_link_turns_round():
    memory = Memory(world=states.REPROTECTED)
    assert align(memory, "link").is_in_line
    held = memory.states["link"]["deployment"]["resources"]
    rules = {each["urn"].rpartition("::")[2]: each["id"] for each in held if each["type"] == RULES}
    assert rules == {
        "rlg-data-files-from-dr": "rlg-data-files-1-us-west-2",
        "rlg-data-frontend-from-dr": "rlg-data-frontend-1-us-west-2",
    }
    assert memory.values["link"]["standby:active"] == "dr"


def test_what_an_update_makes_is_there_when_the_stack_is_looked_at_again():
    memory = Memory(world=states.REPROTECTED, shows={"link": [COPIES]})
    assert align(memory, "link").is_in_line
    assert examine(memory, "link").operations == ()


def test_a_state_restored_from_an_old_export_is_brought_in_line_again():
    memory = Memory(world=states.REPROTECTED)
    for stack in ("dr", "primary", "link"):
        align(memory, stack)
    memory.states, memory.world = states.states(), states.COPYING
    for stack in ("dr", "primary", "link"):
        assert align(memory, stack).is_in_line


@pytest.mark.parametrize("standing", ["dark", "waits"])
def test_a_stack_that_is_to_be_left_alone_is_not_even_asked(standing):
    memory = Memory(world=states.FAILED_OVER)
    left = Wanted(stack="primary", standing=standing, why="because")
    found = alignment.align(
        memory.pulumi, left, lambda: memory.world, say=lambda _: None, keep=lambda *_: ""
    )
    assert memory.calls == []
    assert found.is_in_line == (standing == "dark")


@pytest.mark.parametrize("command", ["config set", "stack import", "refresh", "preview", "up"])
def test_wherever_it_breaks_off_the_next_run_ends_it(command):
    world = states.REPROTECTED
    memory = Memory(world=world, fails={command: Ended(code=255, out="", err="error: broken")})
    with pytest.raises(StepFailedError, match=r"stack primary: .*error: broken.*; run again"):
        align(memory, "primary")
    memory.fails = {}
    assert align(memory, "primary").is_in_line


def test_an_operation_without_effect_is_told():
    memory = Memory(
        world=states.FAILED_OVER, fails={"refresh": Ended(code=0, out="Resources: 1", err="")}
    )
    with pytest.raises(StepFailedError, match=r"had no effect.*/kept"):
        align(memory, "dr")


@pytest.mark.parametrize(
    ("begin", "ended", "said"),
    [
        ("config", Ended(code=255, out="", err="error: no Pulumi.yaml"), "no Pulumi.yaml"),
        ("config", Ended(code=0, out="KEY VALUE", err=""), "printed something else"),
        ("config", Ended(code=0, out="{}", err=""), "run in the folder of Pulumi.yaml"),
        ("preview", Ended(code=255, out="", err="error: passphrase"), "passphrase"),
        ("preview", Ended(code=255, out='{"changeSummary": {}}', err="it broke"), "it broke"),
    ],
)
def test_what_the_command_says_wrong_is_told_with_what_it_said(begin, ended, said):
    memory = Memory(world=states.BEFORE, fails={begin: ended})
    with pytest.raises(CommandError, match=said):
        examine(memory, "dr")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"version": 3, "deployment": {}}, "is empty"),
        ({"version": "3"}, "no state of Pulumi's"),
        (
            {"version": 3, "deployment": {"pending_operations": [{}], "resources": []}},
            "broken off",
        ),
    ],
)
def test_a_state_that_cannot_be_worked_on_is_refused(state, said):
    memory = Memory(world=states.BEFORE)
    memory.states["dr"] = state
    with pytest.raises(MalformedStateError, match=said):
        examine(memory, "dr")


def test_a_command_that_is_not_there_is_told_with_the_option_that_names_another():
    pulumi = Pulumi(line="/nowhere/pulumi", run=as_process)
    with pytest.raises(CommandError, match="name another command with --pulumi"):
        pulumi.export("dr")
