"""A preview is read strictly, and each change is what recovery left to the stacks, or drift."""

import json

import pytest

from recovery.reconciliation.operations import BACKUPS, INSTANCE
from recovery.reconciliation.preview import (
    ALARM,
    LEFT_TO_THE_STACKS,
    Change,
    UnreadablePreviewError,
    parse,
)
from tests.recovery.reconciliation.states import urn

ROOT = "urn:pulumi:dr::standby::pulumi:pulumi:Stack::standby-dr"
DATABASE = urn("dr", INSTANCE, "rlg-data-dr-1", urn("dr", "standby:infra:Database", "rlg-data-dr"))


def digest(*steps, summary=None, diagnostics=()):
    counted = {"same": 9} if summary is None else summary
    return json.dumps(
        {
            "config": {"standby:role": "active"},
            "steps": [{"op": "same", "urn": ROOT, "newState": {}}, *steps],
            "diagnostics": list(diagnostics),
            "duration": 12,
            "changeSummary": counted,
        }
    )


def change(op="update", kind=INSTANCE, *properties):
    return Change(op=op, type=kind, name="one", properties=properties)


def test_a_preview_without_changes_says_so():
    # The stack itself is always among the steps, and a read is no change.
    read = {"op": "read", "urn": urn("dr", "pulumi:pulumi:StackReference", "primary")}
    assert parse(digest(read), "dr") == ()


def test_properties_are_those_that_the_provider_tells_by_their_heads():
    step = {
        "op": "update",
        "urn": DATABASE,
        "detailedDiff": {
            "multiAz": {"kind": "update"},
            "tags.a": {},
            'x["y.z"]': {},
            "r[0].id": {},
        },
        "diffReasons": ["multiAz", "tags"],
    }
    (found,) = parse(digest(step), "dr")
    assert (found.op, found.type, found.name) == ("update", INSTANCE, "rlg-data-dr-1")
    assert found.properties == ("multiAz", "r", "tags", "x")


@pytest.mark.parametrize(
    "op", ["create", "delete", "replace", "create-replacement", "delete-replaced", "import"]
)
def test_whatever_is_no_update_in_place_is_seen(op):
    (found,) = parse(digest({"op": op, "urn": DATABASE}), "dr")
    assert found.op == op
    assert found.left is None


def test_only_what_recovery_leaves_to_the_stacks_is_let_through():
    assert change("update", INSTANCE, "multiAz").left
    assert change("update", ALARM, "treatMissingData").left
    assert change("create", BACKUPS).left
    both = change("update", INSTANCE, "backupWindow", "multiAz").left
    assert both is not None
    assert both.count(";") == 1
    for rule in LEFT_TO_THE_STACKS:
        for op in ("delete", "replace"):
            assert change(op, rule.type, *rule.properties).left is None
    assert change("update", INSTANCE, "multiAz", "instanceClass").left is None
    assert change("update", INSTANCE, "replicateSourceDb").left is None
    assert change("update", BACKUPS, "multiAz").left is None
    # An update of which nobody says what it changes could be anything.
    assert change("update", INSTANCE).left is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no JSON of Pulumi's"),
        ("error: no stack named 'dr' found", "no JSON of Pulumi's"),
        ("[]", "no JSON of Pulumi's"),
        ('{"steps": [{"op": "update"}], "changeSummary": {}}', "no JSON of Pulumi's"),
        ("{}", "no changeSummary"),
        (digest({"op": "sublimate", "urn": DATABASE}), "a step 'sublimate'"),
        (digest(summary={"update": 2}), "counts 2 changes and shows none"),
        (
            digest(diagnostics=[{"severity": "error", "message": "role: must be active"}]),
            "failed: role: must be active",
        ),
    ],
)
def test_what_cannot_be_understood_is_an_error_and_never_no_change(text, said):
    with pytest.raises(UnreadablePreviewError, match=said):
        parse(text, "dr")
