"""A ward and what it watches over, as real processes; the test is in the guard's place."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from recovery import ward
from recovery.ward import boot_clock
from tests.recovery.lives import PATIENCE_SECONDS, Life

LONG = 60.0
FOREVER = "echo $$; exec sleep 60"
DEAF = f"trap '' TERM; {FOREVER}"
AWAY = "setsid sh -c 'trap \"\" TERM; echo away; exec sleep 60' &"


class Guarded:
    """The guard's end of a ward."""

    def __init__(self, command, until):
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(PATIENCE_SECONDS)
        with theirs:
            number = str(theirs.fileno())
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", ward.__file__, number, repr(until), *command],
                pass_fds=[theirs.fileno()],
            )

    def order(self, what, moment):
        self.channel.send(f"{what} {moment!r}\n".encode())

    def answer(self):
        return self.channel.recv(100).decode()


@pytest.fixture
def life(tmp_path):
    life = Life(tmp_path)
    yield life
    life.close()


@pytest.fixture
def start(life):
    """Start a script under a ward that kills it in so many seconds."""
    started = []

    def start(script, seconds=LONG):
        until = boot_clock() + seconds
        started.append(Guarded(life.command(script), until))
        started[-1].until = until
        return started[-1]

    yield start
    for each in started:
        each.channel.close()
        each.process.send_signal(signal.SIGCONT)
        each.process.wait(PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$; sleep 60", 143), ("exec /no/where", 127)],
)
def test_a_command_that_ends_by_itself_is_told_with_its_exit_status(start, script, status):
    guarded = start(script)
    assert guarded.answer() == f"ended {status}\n"
    assert guarded.process.wait(PATIENCE_SECONDS) == 0


@pytest.mark.parametrize(("command", "status"), [("/no/where", 127), ("/etc/passwd", 126)])
def test_a_command_that_cannot_be_started_is_told_as_a_shell_does(command, status):
    guarded = Guarded([command], boot_clock() + LONG)
    assert guarded.answer() == f"ended {status}\n"
    guarded.process.wait(PATIENCE_SECONDS)
    guarded.channel.close()


def test_a_deaf_command_is_dead_by_the_deadline(start, life):
    guarded = start(DEAF, 2.0)
    life.says()
    assert life.end() <= guarded.until
    assert guarded.answer() == "expired 137\n"


def test_a_deadline_that_is_put_off_is_kept_then(start, life):
    guarded = start(DEAF, 2.0)
    life.says()
    later = guarded.until + 1.0
    guarded.order("until", later)
    assert guarded.until < life.end() <= later


def test_a_command_whose_time_is_over_is_never_started(start, life):
    guarded = start(FOREVER, 0.0)
    assert guarded.answer() == "expired 0\n"
    assert life.is_silent(0.0)


def test_an_order_to_stop_lets_the_command_finish(start, life):
    guarded = start("trap 'echo finished; exit 3' TERM; echo begun; while :; do sleep 0.05; done")
    life.says()
    guarded.order("stop", boot_clock() + LONG)
    assert life.says() == "finished"
    assert guarded.answer() == "ended 3\n"


def test_who_does_not_stop_is_dead_when_the_grace_is_over(start, life):
    guarded = start(DEAF)
    life.says()
    grace_ends = boot_clock() + 1.0
    guarded.order("stop", grace_ends)
    assert grace_ends - 1.0 < life.end() <= grace_ends
    assert guarded.answer() == "expired 137\n"


def test_an_order_to_stop_never_puts_the_deadline_off(start, life):
    guarded = start(DEAF, 2.0)
    life.says()
    guarded.order("stop", guarded.until + LONG)
    guarded.order("until", guarded.until + LONG)
    assert life.end() <= guarded.until


def test_what_left_the_session_dies_with_the_command(start, life):
    guarded = start(f"{AWAY} wait")
    assert life.says() == "away"
    guarded.order("stop", boot_clock() + 1.0)
    life.end()
    assert guarded.answer().startswith("expired")


def test_what_a_command_leaves_behind_is_killed(start, life):
    guarded = start(f"{AWAY} exit 0")
    life.end()
    assert guarded.answer() == "ended 0\n"


def test_everything_dies_with_the_guard(start, life):
    guarded = start(f"trap '' TERM; {AWAY} wait")
    assert life.says() == "away"
    guarded.channel.close()
    life.end()
    assert guarded.process.wait(PATIENCE_SECONDS) == 0


def test_the_command_dies_with_its_ward(start, life):
    guarded = start(DEAF)
    life.says()
    guarded.process.kill()
    life.end()


def test_a_frozen_ward_is_killed_by_the_kernel_and_the_command_with_it_in_time(start, life):
    guarded = start(DEAF, 2.0)
    life.says()
    guarded.process.send_signal(signal.SIGSTOP)
    assert life.end() <= guarded.until
    assert guarded.process.wait(PATIENCE_SECONDS) == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_what_is_sent_to_everybody_does_not_end_the_ward(start, life, number):
    guarded = start(FOREVER)
    life.says()
    guarded.process.send_signal(number)
    guarded.order("stop", boot_clock() + LONG)
    assert guarded.answer() == "ended 143\n"


def test_a_command_hears_the_signals_that_its_ward_is_deaf_to(start, life):
    start(FOREVER)
    status = Path(f"/proc/{life.says()}/status").read_text()
    ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE)
    assert [number for number in numbers if ignored & 1 << number - 1] == []


def test_a_command_gets_no_end_of_the_channel(start, life):
    start(FOREVER)
    descriptors = Path(f"/proc/{life.says()}/fd")
    held = {str(each.readlink()) for each in descriptors.iterdir() if int(each.name) > 2}
    assert not [each for each in held if each.startswith(("socket:", "pipe:"))]


def test_a_ward_stays_small(start, life):
    guarded = start(FOREVER)
    life.says()
    sizes = Path(f"/proc/{guarded.process.pid}/smaps_rollup").read_text()
    assert int(sizes.partition("Private_Dirty:")[2].split()[0]) < 8 * 1024


def test_descendants_end_also_where_their_parents_did():
    script = (
        "import os, subprocess, time\n"
        "from recovery import ward\n"
        "ward.adopt_orphans()\n"
        "subprocess.run(['sh', '-c', 'setsid sleep 60 & setsid sleep 60 &'])\n"
        "print(ward.end_descendants(20.0), flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"True\n"
