"""Sweeping ends what works inside a run folder, and nothing else."""

import os
import subprocess
import sys
import time

import pytest

from lab import sweep

IGNORES_EVERYTHING = (
    "import signal, time\n"
    "for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):\n"
    "    signal.signal(number, signal.SIG_IGN)\n"
    "print(flush=True)\n"
    "time.sleep(60)"
)


@pytest.fixture
def start():
    started = []

    def start(folder, code=IGNORES_EVERYTHING, **options):
        folder.mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=folder,
            stdout=subprocess.PIPE,
            start_new_session=True,
            **options,
        )
        assert process.stdout is not None
        process.stdout.readline()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def run_dir():
    folder = sweep.new_folder()
    yield folder
    sweep.sweep(folder)


def test_every_process_inside_the_folder_ends_and_the_folder_goes(start, run_dir):
    inside = [start(run_dir), start(run_dir / "deep" / "down")]
    sweep.sweep(run_dir)
    assert [process.wait(5) for process in inside] == [-9, -9]
    assert not run_dir.exists()


def test_a_process_outside_goes_on_also_where_the_names_begin_alike(start, run_dir, tmp_path):
    other = sweep.new_folder()
    alike = run_dir.with_name(f"{run_dir.name}-other")
    try:
        outside = [start(other), start(alike), start(tmp_path)]
        sweep.sweep(run_dir)
        assert [process.poll() for process in outside] == [None, None, None]
    finally:
        sweep.sweep(other)
        sweep.sweep(alike)


def test_a_process_whose_folder_is_gone_ends_too(start, run_dir):
    process = start(run_dir / "gone")
    (run_dir / "gone").rmdir()
    sweep.sweep(run_dir)
    assert process.wait(5) == -9


def test_who_sweeps_is_spared(start, run_dir):
    spared, other = start(run_dir), start(run_dir)
    sweep.sweep(run_dir, spare={spared.pid})
    assert (spared.poll(), other.wait(5)) == (None, -9)


def test_a_person_who_looks_at_the_logs_from_a_terminal_is_spared(run_dir):
    terminal, inside = os.openpty()
    looks = "import fcntl, termios, time; fcntl.ioctl(0, termios.TIOCSCTTY); print(flush=True); "
    person = subprocess.Popen(
        [sys.executable, "-c", f"{looks}time.sleep(60)"],
        cwd=run_dir,
        stdin=inside,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert person.stdout is not None
    try:
        person.stdout.readline()
        sweep.sweep(run_dir)
        time.sleep(0.1)
        assert person.poll() is None
    finally:
        person.kill()
        person.wait()
        person.stdout.close()
        os.close(terminal)
        os.close(inside)


def test_sweeping_twice_harms_nothing(run_dir):
    sweep.sweep(run_dir)
    sweep.sweep(run_dir)
