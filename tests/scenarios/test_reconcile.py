"""After a failover the standby's stack is brought in line while the other region is dark.

One lab, told in order. `python -m lab pulumi` answers in Pulumi's place: a lab provision.
"""

import json

import pytest

from recovery.reconciliation.operations import INSTANCE
from tests.scenarios.stage import leftovers, new_lab

DEAD, TARGET = "us-east-1", "us-west-2"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A lab whose primary region is dead, and whose products have moved."""
    lab = new_lab(tmp_path_factory)
    lab.up("--speed", "1000")
    assert lab.run("kill", DEAD, "--api", "hang").returncode == 0
    moved = lab.recovery("failover", "--region", TARGET)
    assert moved.returncode == 0, moved.stdout + moved.stderr
    run_dir = lab.run_dir
    yield lab
    assert lab.down().returncode == 0
    assert leftovers(run_dir) == []


def reconcile(lab, *arguments):
    return lab.recovery("reconcile", "--region", TARGET, *arguments)


def told(done):
    assert done.returncode in {0, 6}, done.stdout + done.stderr
    found = json.loads(done.stdout)
    return {each["stack"]: each for each in found["stacks"]}


def asked(lab, *words):
    done = lab.run("pulumi", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def configured(lab):
    found = asked(lab, "config", "--json", "--stack", "dr")
    return found["standby:role"]["value"], found["standby:peer"]["value"]


def test_what_to_commit_and_to_do_is_printed_and_nothing_is_done(lab):
    before = asked(lab, "stack", "export", "--stack", "dr")
    stacks = told(reconcile(lab, "--json"))
    values = {each["key"]: each["wanted"] for each in stacks["dr"]["settings"]}
    assert values == {"standby:role": "active", "standby:peer": "dark"}
    operations = {(each["operation"], each["urn"]) for each in stacks["dr"]["operations"]}
    assert {kind for kind, _ in operations} == {"refresh"}
    assert len([urn for _, urn in operations if INSTANCE in urn]) == 2
    assert stacks["primary"]["standing"] == stacks["link"]["standing"] == "dark"
    assert configured(lab) == ("standby", "lit")
    assert asked(lab, "stack", "export", "--stack", "dr") == before


def test_ci_is_told_that_there_is_drift(lab):
    done = reconcile(lab, "--check")
    assert done.returncode == 6, done.stdout + done.stderr
    assert "standby:role: active" in done.stdout


def test_ci_is_told_when_nobody_can_tell(lab):
    done = reconcile(lab, "--check", "--pulumi", "false")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "ended with 1" in done.stderr


def test_applied_the_next_preview_replaces_deletes_and_changes_nothing(lab):
    done = reconcile(lab, "--apply")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no replace, no delete, no change" in done.stdout
    assert configured(lab) == ("active", "dark")
    preview = asked(lab, "preview", "--json", "--stack", "dr")
    assert preview["steps"] == []
    assert preview["changeSummary"].keys() == {"same"}
    # It is a lab provision, and says so.
    assert "no preview of Pulumi's" in preview["diagnostics"][0]["message"]
    assert reconcile(lab, "--check").returncode == 0
