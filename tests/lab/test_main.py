"""The commands say what is wrong with what they were given, before they do anything."""

import subprocess
import sys

import pytest


def lab(directory, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "lab", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "command", [["env"], ["status"], ["down"], ["kill", "us-east-1"], ["cut", "a", "b"]]
)
def test_without_a_lab_a_command_says_how_to_start_one(tmp_path, command):
    done = lab(tmp_path, *command)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == ("lab: no lab runs from this directory; start one: python -m lab up\n")


def test_why_the_last_lab_ended_is_told(tmp_path):
    (tmp_path / ".lab").mkdir()
    (tmp_path / ".lab" / "ended.txt").write_text("the lab's process aws was killed by SIGKILL\n")
    assert "ended by itself: the lab's process aws was killed" in lab(tmp_path, "status").stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["up", "--load", "shop=dump.sql"], "PRODUCT=FILE, of rlg-data, rlg-fans"),
        (["up", "--load", "rlg-data=absent.sql"], "there is no file"),
        (["failover", "--load", "rlg-data"], "there is no file"),
        (["up", "--empty", "--customers", "1"], "--empty has no products"),
        (["up", "--speed", "fast"], "invalid pace value"),
        (["up", "--speed", "-1"], "-1 is no pace"),
        (["failover", "--customers", "0"], "give 1 or more"),
        (["up", "--customers", "-1"], "-1 is negative"),
        (["kill", "us-east-1", "--api", "explode"], "invalid choice"),
        ([], "COMMAND"),
    ],
)
def test_wrong_usage_is_told_apart(tmp_path, arguments, said):
    done = lab(tmp_path, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / ".lab").exists()
