"""What README and RUNBOOK tell people to type works, typed in that order."""

import os
import re
import subprocess
import sys
import time

import pytest

from lab.configuration import PROJECT
from recovery import failover, reprotect, switchover
from recovery.execution import outline
from tests.recovery.cases import case

ON_AWS_ONLY = ("pulumi ",)
"""What the documents say that needs an AWS account; README says that it is untested."""
SECONDS = 300
TARGET_REGION = "us-west-2"
INTERPRETER = re.compile(r"(^| )(\.venv/bin/)?python ")
DUMP = "CREATE TABLE orders (id int PRIMARY KEY);\nINSERT INTO orders VALUES (1), (2);\n"


def commands(document):
    """Return what stands behind a prompt in the document's console blocks, block by block."""
    text = (PROJECT / document).read_text()
    blocks = re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)
    return [re.findall(r"^\$ (.*)$", block, flags=re.MULTILINE) for block in blocks]


class Shell:
    """A person's shell in the checkout: remembers what `eval` set."""

    def __init__(self, folder):
        self.remembered = folder / "environment"
        self.environment = dict(os.environ) | {"STANDBY_STATE": str(folder / "state")}

    def type(self, line):
        typed = INTERPRETER.sub(rf"\1{sys.executable} ", line)
        done = subprocess.run(
            ["bash", "-c", f'{typed}\nstatus=$?; env -0 >"{self.remembered}"; exit $status'],
            cwd=PROJECT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        told = self.remembered.read_text().split("\0")
        self.environment = dict(each.split("=", 1) for each in told if each)
        return done


@pytest.fixture
def shell(tmp_path):
    opened = Shell(tmp_path)
    yield opened
    opened.type("python -m lab down")


def readme(first):
    """Return the block of README that begins with this command."""
    return next(block for block in commands("README.md") if block[0].startswith(first))


def typed(shell, lines):
    for line in lines:
        done = shell.type(line)
        assert done.returncode == 0, f"{line}: {done.returncode}\n{done.stdout}"
    return done


def test_the_one_command_of_a_newcomer_recovers_both_products(shell):
    done = typed(shell, readme("make failover"))
    assert "recovered, no unforeseen loss" in done.stdout


@pytest.mark.timeout(900)  # a whole round trip, as people type it
def test_the_steps_of_readme_and_of_the_runbook_recover_a_killed_region(shell):
    steps = readme("make lab")
    killed = next(at for at, line in enumerate(steps) if "lab kill" in line)
    by_runbook = (line for block in commands("RUNBOOK.md") for line in block)
    assessed, rehearsed, failed_over, completed, reported, *back, told, applied = by_runbook
    assert INTERPRETER.sub("", failed_over) == INTERPRETER.sub("", steps[killed + 1])

    typed(shell, [*steps[: killed + 1], assessed, rehearsed])
    done = typed(shell, [steps[killed + 1]])
    assert done.stdout.count("recovered and verified") == 2
    for where in ("", f" --region {TARGET_REGION}"):
        done = typed(shell, [reported + where])
        assert done.stdout.count("exit 0: done and verified") == 3
    typed(shell, [told])
    done = typed(shell, [applied])
    assert "no replace, no delete, no change" in done.stdout
    done = typed(shell, ["python -m lab heal us-east-1", completed])
    assert done.stdout.count("dr\t2\tTrue") == 6
    rehearsed, protected, planned, home = back
    until = time.monotonic() + SECONDS
    while (done := shell.type(rehearsed)).returncode:  # until its databases have started
        assert time.monotonic() < until, done.stdout
    done = typed(shell, [protected])
    assert done.stdout.count("protected and verified (us-east-1)") == 2
    typed(shell, [planned])
    done = typed(shell, [home])
    assert done.stdout.count("recovered and verified (us-east-1)") == 2
    assert done.stdout.count("protected and verified (us-west-2)") == 2
    done = typed(shell, [applied])
    assert "no replace, no delete, no change" in done.stdout
    typed(shell, steps[killed + 2 :])


def test_a_users_own_database_can_be_rehearsed_with(shell):
    (line,) = readme(".venv/bin/python -m lab up --load")
    dump = PROJECT / line.rpartition("=")[2]
    assert not dump.exists()
    dump.write_text(DUMP)
    try:
        typed(shell, [line])
    finally:
        dump.unlink()


def test_every_other_command_of_the_documents_is_one_for_aws():
    here = {"make failover", *readme("make lab"), *readme(".venv/bin/python -m lab up --load")}
    others = {line for block in commands("README.md") for line in block} - here
    assert others
    ours = {line for line in others if not line.startswith(ON_AWS_ONLY)}
    assert {INTERPRETER.sub("", line) for line in ours} == {
        "-m recovery.assign --region us-east-1 --initial"
    }


@pytest.mark.parametrize(
    ("heading", "verb"),
    [("## 5. ", failover), ("## 7. ", switchover), ("## 8. ", reprotect)],
    ids=["failover", "switchover", "reprotect"],
)
def test_the_runbook_lists_the_steps_of_the_plan_in_their_order(heading, verb):
    text = (PROJECT / "RUNBOOK.md").read_text()
    by_hand = re.findall(r"^\| `([a-z-]+)` \| ", _section(text, heading), flags=re.MULTILINE)
    assert by_hand == [step.name for step in outline(case(), verb.PROCEDURE)]


def _section(text, heading):
    return text.partition(f"\n{heading}")[2].partition("\n## ")[0]
