"""What an operator types at a stop, on a real pseudo-terminal."""

import os
import pty
import select
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from recovery.engine import chain, gates
from recovery.engine.gates import Gate
from recovery.engine.terminal import Terminal

ROOT = Path(__file__).parents[2]
SECONDS = 30
ADA = "arn:aws:iam::1:user/ada"


class Voice:
    """Keeps what was said; whoever waits for words is told when they come."""

    def __init__(self):
        self.lines = []
        self.changed = threading.Condition()

    def record(self, step, event, text):
        with self.changed:
            self.lines.append(f"{step} {event} {text}")
            self.changed.notify_all()

    show = record

    def wait_for(self, words, times=1):
        def said():
            return sum(words in line for line in self.lines) >= times

        with self.changed:
            assert self.changed.wait_for(said, SECONDS), (words, self.lines)


class Token:
    def renew(self):
        pass


class Keyboard:
    """The operator's end of a terminal, and a gate's."""

    def __init__(self):
        self.ours, self.theirs = pty.openpty()
        self.terminal = Terminal(self.theirs)
        self.given = None
        self.threads = []

    def stop(self, product="rlg-data", *, named):
        """Begin to wait at a gate of this product; return its voice and what it comes to."""
        gate = Gate(
            product=product,
            operator=ADA,
            look=lambda _: self.given,
            elsewhere=lambda _: "approve",
            approved=lambda _: None,
            patience=timedelta(hours=1),
            terminal=self.terminal,
        )
        voice, found = Voice(), []

        def work():
            found.append(
                gate.wait("fence", named=named, committed=False, token=Token(), voice=voice)
            )

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        self.threads.append(thread)
        return voice, found, thread

    def type(self, text):
        os.write(self.ours, text.encode())

    def close(self):
        self.given = gates.Go(step="fence", by="the test", identity="")
        for thread in self.threads:
            thread.join(SECONDS)
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
def keyboard(monkeypatch):
    monkeypatch.setattr(gates, "LOOK_SECONDS", 0.05)
    made = Keyboard()
    yield made
    made.close()


def ended(thread, found):
    thread.join(SECONDS)
    (go,) = found
    return go


def test_enter_lets_a_pause_go_on(keyboard):
    voice, found, thread = keyboard.stop(named=False)
    voice.wait_for("press Enter to go on")
    keyboard.type("\n")
    go = ended(thread, found)
    assert (go.by, go.identity) == ("", ADA)


def test_an_approval_is_a_name_and_enter_alone_is_refused(keyboard):
    voice, found, thread = keyboard.stop(named=True)
    voice.wait_for("type your name")
    keyboard.type("  \n")
    voice.wait_for("what was typed carries no name, which is refused")
    voice.wait_for("type your name", times=2)
    assert not found
    keyboard.type("Ada Lovelace\n")
    go = ended(thread, found)
    assert (go.by, go.identity) == ("Ada Lovelace", ADA)


def test_what_was_typed_before_the_question_answers_nothing(keyboard):
    keyboard.type("\n\n")
    assert select.select([keyboard.theirs], [], [], SECONDS)[0]
    voice, found, thread = keyboard.stop(named=False)
    voice.wait_for("press Enter to go on")
    assert not select.select([keyboard.theirs], [], [], 0)[0]
    assert not found
    keyboard.type("\n")
    ended(thread, found)


def test_of_two_products_one_is_asked_for_at_a_time(keyboard):
    first, found, thread = keyboard.stop("rlg-data", named=False)
    first.wait_for("press Enter")
    second, found_second, thread_second = keyboard.stop("rlg-fans", named=False)
    second.wait_for("fence paused waits for a go")
    assert not [line for line in second.lines if "press Enter" in line]
    keyboard.type("\n")
    ended(thread, found)
    second.wait_for("press Enter")
    assert not found_second
    keyboard.type("\n")
    ended(thread_second, found_second)


def test_a_go_given_elsewhere_ends_the_question_and_leaves_the_keys_to_the_next(keyboard):
    voice, found, thread = keyboard.stop(named=True)
    voice.wait_for("type your name")
    keyboard.given = gates.Go(step="fence", by="Grace Hopper", identity="arn")
    assert ended(thread, found).by == "Grace Hopper"
    keyboard.given = None
    voice, found, thread = keyboard.stop("rlg-fans", named=False)
    voice.wait_for("press Enter")
    keyboard.type("\n")
    ended(thread, found)


def test_after_the_end_of_input_the_go_can_still_be_given_elsewhere(keyboard):
    voice, found, thread = keyboard.stop(named=False)
    voice.wait_for("press Enter")
    keyboard.type("\x04")
    voice.wait_for("nothing more can be typed at this terminal")
    assert not found
    keyboard.given = gates.Go(step="fence", by="Grace Hopper", identity="arn")
    assert ended(thread, found).by == "Grace Hopper"


# The command itself, as a process with a terminal.

PROGRAM = """
import fcntl, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
import pytest
from recovery import failover
from recovery.engine import cli
from tests.recovery.simulated import Cloud
patch = pytest.MonkeyPatch()
cloud = Cloud().install(patch)
case = cloud.case()
patch.setattr("recovery.opening.cases", lambda *_, **__: (case,))
patch.setattr("recovery.opening.prepare", lambda _: None)
sys.argv = ["failover", "--region", "us-west-2", "--pause-before", "promote-database"]
cli.main(lambda: cloud.run(failover.main))
"""


@pytest.fixture
def session(tmp_path):
    """The command at a terminal of its own; `until` reads what it prints."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=dict(os.environ) | {"STANDBY_STATE": str(tmp_path)},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""

    def until(words):
        nonlocal seen
        deadline = time.monotonic() + SECONDS
        while words.encode() not in seen:
            assert time.monotonic() < deadline, seen
            if select.select([ours], [], [], 1)[0]:
                seen += os.read(ours, 65536)
        return seen.decode()

    def journal():
        (path,) = (tmp_path / "journals").iterdir()
        return [(each.step, each.event) for each in chain.examine(path.read_bytes()).records]

    yield SimpleNamespace(
        until=until,
        journal=journal,
        type=lambda text: os.write(ours, text.encode()),
        wait=lambda: process.wait(SECONDS),
    )
    process.kill()
    process.wait()
    os.close(ours)


def test_ctrl_c_at_a_stop_ends_with_130_and_the_step_has_not_acted(session):
    session.until("press Enter to go on")
    session.type("\x03")
    session.until("interrupted; run the same command again to go on")
    assert session.wait() == 130
    assert session.journal()[-1] == ("promote-database", "paused")


def test_enter_at_a_stop_goes_on_to_the_end(session):
    session.until("press Enter to go on")
    session.type("\n")
    said = session.until("execution failover-")
    assert session.wait() == 0
    assert "spent," in said
    assert ("promote-database", "resumed") in session.journal()
