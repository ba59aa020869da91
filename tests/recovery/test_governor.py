"""A governor, its ward and its command as real processes, and a test that plays the tables."""

import http.client
import os
import signal
import socket
import sys

import pytest

from recovery.governor import WARD_LOST
from recovery.ward import boot_clock
from tests.recovery.governed import TTL, Governed
from tests.recovery.lives import PATIENCE_SECONDS, Life

FOREVER = "echo $$; exec sleep 60"
DEAF = f"trap '' TERM; {FOREVER}"
AWAY = "setsid sh -c 'trap \"\" TERM; echo away; exec sleep 60' & wait"
GRACE = TTL / 6


@pytest.fixture
def life(tmp_path):
    life = Life(tmp_path)
    yield life
    life.close()


@pytest.fixture
def start(life):
    """Start a governor of a script."""
    started = []

    def start(script=FOREVER, ports=()):
        started.append(Governed.start(life.command(script), ports))
        return started[-1]

    yield start
    for each in started:
        with each.process as process:
            process.send_signal(signal.SIGCONT)
            process.kill()


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def ask(port, path, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request(method, path, body=b"{}" if method == "POST" else None)
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()
    finally:
        connection.close()


def test_nothing_runs_without_an_assignment(start, life):
    governed = start()
    governed.says("idle ports", "answer")
    governed.hear("primary")
    governed.hear(tables=["a"])
    assert life.is_silent(0.5)


def test_the_command_runs_while_the_site_is_assigned_and_answers_come(start, life):
    governed = start()
    began = boot_clock()
    governed.hear()
    life.says()
    while boot_clock() < began + 1.5 * TTL:
        governed.hear()
        assert life.is_silent(TTL / 6)


def test_a_deaf_command_is_dead_when_the_last_answers_are_a_ttl_old(start, life):
    governed = start(DEAF)
    until = governed.hear()
    life.says()
    assert life.end() <= until
    assert ("command", "stopping") in governed.says("command", "stopped")


def test_when_answers_stop_the_command_has_a_grace_to_end_in_before_the_ttl_is_over(start, life):
    governed = start("trap 'echo asked; exit 0' TERM; echo begun; while :; do sleep 0.02; done")
    until = governed.hear()
    life.says()
    assert life.says() == "asked"
    assert until - 1.5 * GRACE < boot_clock() < until
    assert life.end() <= until


def test_a_newer_epoch_of_the_other_site_in_one_table_stops_the_command_at_once(start, life):
    governed = start()
    until = governed.hear()
    life.says()
    governed.hear("primary", 4, tables=["c"])
    assert life.end() < until - GRACE
    governed.says("command", "stopped")
    assert governed.process.poll() is None


def test_a_deaf_command_outlives_a_newer_epoch_by_the_grace_at_most(start, life):
    governed = start(DEAF)
    governed.hear()
    life.says()
    told = boot_clock()
    governed.hear("primary", 4, tables=["c"])
    governed.says("command", "stopping")
    stopping = boot_clock()
    assert told + GRACE / 2 < life.end() <= stopping + GRACE


def test_late_news_put_no_deadline_off(start, life):
    governed = start(DEAF)
    until = governed.hear()
    life.says()
    while boot_clock() < until - GRACE / 2:
        assert life.is_silent(0.02)
    governed.hear("primary", 4, tables=["c"])
    assert life.end() <= until


def test_a_newer_epoch_of_the_own_site_stops_nothing(start, life):
    governed = start()
    governed.hear()
    life.says()
    governed.hear(epoch=4, tables=["a"])
    assert life.is_silent(0.3)
    until = governed.hear(epoch=4)
    assert life.is_silent(TTL - 2 * GRACE)
    assert boot_clock() < until


def test_the_command_is_started_again_when_the_site_is_assigned_again(start, life):
    governed = start()
    governed.hear()
    first = life.says()
    governed.hear("primary", 4)
    governed.says("command", "stopped")
    life.renew()
    governed.hear(epoch=5)
    assert life.says() != first


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137)]
)
def test_a_command_that_ends_by_itself_ends_the_guard_with_its_status(start, script, status):
    governed = start(script)
    governed.hear()
    assert governed.end() == status


def test_everything_is_killed_when_the_guard_is(start, life):
    governed = start(f"trap '' TERM; {AWAY}")
    governed.hear()
    assert life.says() == "away"
    governed.process.kill()
    life.end()


def test_everything_is_dead_in_time_when_the_guard_is_frozen_and_starts_anew_afterwards(
    start, life
):
    governed = start(f"trap '' TERM; {AWAY}")
    until = governed.hear()
    assert life.says() == "away"
    governed.process.send_signal(signal.SIGSTOP)
    assert life.end() <= until
    governed.process.send_signal(signal.SIGCONT)
    governed.says("idle ports", "answer")
    life.renew()
    governed.hear()
    assert life.says() == "away"


def test_everything_is_killed_when_the_ward_is_and_the_guard_ends_in_failure(start, life):
    governed = start(f"trap '' TERM; {AWAY}")
    until = governed.hear()
    assert life.says() == "away"
    os.kill(governed.ward(), signal.SIGKILL)
    assert life.end() <= until
    assert governed.end() == WARD_LOST


def test_everything_is_dead_in_time_when_the_ward_is_frozen(start, life):
    governed = start(f"trap '' TERM; {AWAY}")
    until = governed.hear()
    assert life.says() == "away"
    os.kill(governed.ward(), signal.SIGSTOP)
    assert life.end() <= until
    assert governed.end() == WARD_LOST


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_guard_that_is_told_to_end_lets_the_command_end_first(start, life, number):
    governed = start("trap 'echo last; exit 3' TERM; echo begun; while :; do sleep 0.02; done")
    governed.hear()
    life.says()
    governed.process.send_signal(number)
    assert life.says() == "last"
    assert governed.end() == 3


def test_a_guard_that_is_told_to_end_waits_for_a_deaf_command_no_longer_than_the_grace(start, life):
    governed = start(DEAF)
    until = governed.hear()
    life.says()
    governed.process.send_signal(signal.SIGTERM)
    assert life.end() < until - GRACE
    assert governed.end() == 137


def test_an_idle_guard_that_is_told_to_end_does(start):
    governed = start()
    governed.says("idle ports", "answer")
    governed.process.send_signal(signal.SIGTERM)
    assert governed.end() == 143


def test_idle_ports_answer_health_checks_and_refuse_all_else(start, port):
    governed = start(ports=[port])
    governed.says("idle ports", "answer")
    status, _, body = ask(port, "/well?deep=1")
    assert (status, b'"assigned": null' in body) == (200, True)
    governed.hear("primary", 4)
    for method in ("GET", "POST", "DELETE"):
        status, headers, body = ask(port, "/api/entries", method)
        while b"null" in body:
            status, headers, body = ask(port, "/api/entries", method)
        assert (status, headers["Retry-After"]) == (503, "5")
        assert b'"assigned": "primary"' in body


def test_a_host_that_hears_too_little_to_serve_its_own_site_is_not_well(start, port):
    governed = start(ports=[port])
    governed.says("idle ports", "answer")
    assert ask(port, "/well")[0] == 200
    governed.hear(tables=["a"])
    status, _, body = ask(port, "/well")
    while b"null" in body:
        status, _, body = ask(port, "/well")
    assert (status, b'"assigned": "dr"' in body) == (503, True)


def test_ports_are_free_for_the_command_and_answer_again_after_it(start, life, port):
    serve = f"echo begun; exec {sys.executable} -m http.server -b 127.0.0.1 {port} 2>&1"
    governed = start(serve, ports=[port])
    governed.says("idle ports", "answer")
    assert ask(port, "/well")[0] == 200
    governed.hear()
    life.says()
    assert life.says().startswith("Serving HTTP")
    assert ask(port, "/")[1]["Server"].startswith("SimpleHTTP")
    governed.hear("primary", 4)
    governed.says("command", "stopped")
    governed.says("idle ports", "answer")
    assert ask(port, "/well")[0] == 200


def test_a_taken_port_is_told_and_tried_again(start, port):
    with socket.create_server(("127.0.0.1", port)):
        governed = start(ports=[port])
        governed.says("idle ports", "taken")
    governed.says("idle ports", "answer")
    assert ask(port, "/well")[0] == 200
