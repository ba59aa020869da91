"""A rehearsal that is broken off in the middle says so, and leaves nothing."""

import os
import signal
import time

import pytest

from lab import sweep
from tests.scenarios.stage import await_nothing_left, command


@pytest.fixture
def under_way(bare):
    """A rehearsal in which the region is dead and recovery runs, the run folder, recovery's id."""
    # The pace of AWS is slow enough that recovery is met in the middle of its wait for RDS.
    story = bare.start("failover", "--speed", "20", "--api", "refuse", process_group=0)
    assert story.stdout is not None
    heard = []
    for line in story.stdout:
        heard.append(line)
        if '"promote-database"' in line:
            break
    else:
        pytest.fail(f"the story ended with {story.wait()}: {''.join(heard)}")
    run_dir = bare.run_dir
    (recovery,) = [p for p in sweep.processes_in(run_dir) if "recovery.failover" in command(p)]
    yield bare, story, run_dir, recovery
    story.kill()
    story.communicate()


def test_by_an_interrupt_from_the_keyboard(under_way):
    lab, story, run_dir, _ = under_way
    os.killpg(story.pid, signal.SIGINT)
    said, _ = story.communicate(timeout=60)
    assert (story.returncode, "interrupted" in said) == (130, True)
    await_nothing_left(lab, run_dir)


def test_by_a_kill_of_its_own(under_way):
    lab, story, run_dir, _ = under_way
    story.kill()
    story.wait()
    await_nothing_left(lab, run_dir)


def test_by_a_kill_of_the_customers(under_way):
    lab, story, run_dir, _ = under_way
    os.kill(lab.state["processes"]["customers"], signal.SIGKILL)
    said, _ = story.communicate(timeout=60)
    assert story.returncode == 1
    assert "lab: the lab's process customers was killed by SIGKILL" in said
    await_nothing_left(lab, run_dir)


def test_by_a_kill_of_recovery(under_way):
    lab, story, run_dir, recovery = under_way
    os.kill(recovery, signal.SIGKILL)
    began = time.monotonic()
    said, _ = story.communicate(timeout=120)
    assert story.returncode == 1
    assert "NOT recovered as promised" in said
    assert time.monotonic() - began < 60
    await_nothing_left(lab, run_dir)
