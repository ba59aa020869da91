"""Virtual time: events in the order of their moments, and tasks that block in it.

Real code that sleeps, waits for an answer or starts threads runs as tasks. Each is a thread, but
only the one that holds the token runs, and it gives the token back when it blocks: so a story is
the same each time it is told.
"""

import contextvars
import functools
import heapq
import itertools
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any


class Killed(BaseException):
    """The task's process ends here: no `except Exception` sees it."""


class Process:
    """What is killed and frozen together, and reads one clock."""

    def __init__(self, name, place, rate=1.0, offset=0.0):
        self.name, self.place = name, place
        self.rate, self.offset = rate, offset
        self.dead = False
        self.frozen_until = 0.0
        self.tasks = {}

    def clock(self, now):
        return self.offset + now * self.rate


class Task:
    def __init__(self, clockwork, process, work):
        self.process = process
        self.turn = 0
        """Which blocking it is in: an older reason to wake it is void."""
        self._clockwork = clockwork
        self._work: Callable[[], object] = work
        self._go = threading.Semaphore(0)
        self._context = contextvars.copy_context()
        self._begun = False
        self.over = False

    def resume(self):
        """Run it until it blocks or ends."""
        clockwork = self._clockwork
        if not self._begun:
            if self.process.dead:
                return self._end()
            self._begun = True
            _run_in_a_thread(self._whole)
        clockwork.current = self
        self._go.release()
        clockwork.back.acquire()
        clockwork.current = None
        return None

    def block(self):
        """Give the token back until somebody wakes this task."""
        self._clockwork.back.release()
        self._go.acquire()
        if self.process.dead:
            raise Killed

    def _whole(self):
        self._go.acquire()
        try:
            self._context.run(self._work)
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - a story ends by it, in the main thread
            self._clockwork.failed = self._clockwork.failed or error
        self._end()
        self._clockwork.back.release()

    def _end(self):
        self.over = True
        self.process.tasks.pop(self, None)


class Clockwork:
    def __init__(self):
        self.now = 0.0
        self.current: Any = None
        """The task that runs."""
        self.failed = None
        self.back = threading.Semaphore(0)
        self._events = []
        self._numbers = itertools.count()

    def at(self, moment, event):
        heapq.heappush(self._events, (max(moment, self.now), next(self._numbers), event))

    def after(self, seconds, event):
        self.at(self.now + seconds, event)

    def run(self, until):
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
            if self.failed:
                raise self.failed
        self.now = until

    def spawn(self, process, work):
        task = Task(self, process, work)
        process.tasks[task] = None
        self.at(self.now, lambda: self._resume(task, 0))
        return task

    def wake(self, task, turn):
        self.at(self.now, lambda: self._resume(task, turn))

    def kill(self, process):
        """End a process: each of its tasks unwinds without another call."""
        if not process.dead:
            process.dead = True
            for task in list(process.tasks):
                task.resume()

    def _resume(self, task, turn):
        if task.over or task.turn != turn:
            return
        if task.process.frozen_until > self.now and not task.process.dead:
            self.at(task.process.frozen_until, lambda: self._resume(task, turn))
            return
        task.resume()

    # What tasks call.

    def wait(self, seconds=None):
        """Block the current task until it is woken, or the seconds of its clock are over."""
        task = self.current
        if task.process.dead:
            raise Killed
        task.turn += 1
        if seconds is not None:
            turn = task.turn
            self.after(max(seconds, 1e-6) / task.process.rate, lambda: self._resume(task, turn))
        task.block()

    def monotonic(self):
        return self.current.process.clock(self.now) if self.current else self.now

    def sleep(self, seconds):
        self.wait(seconds)

    def waiter(self):
        """Return what wakes the current task from its next `wait`."""
        task = self.current
        turn = task.turn + 1
        return lambda: self.wake(task, turn)


class Future:
    """An answer that may come; stands in for concurrent.futures.Future."""

    def __init__(self, clockwork):
        self._clockwork = clockwork
        self.done, self._value, self._error = False, None, None
        self._waiters = []

    def set(self, value=None, error=None):
        if not self.done:
            self.done, self._value, self._error = True, value, error
            for wake in self._waiters:
                wake()

    def result(self, timeout=None):
        if not self.done:
            if timeout is None or timeout > 0:
                self._waiters.append(self._clockwork.waiter())
                self._clockwork.wait(timeout)
            if not self.done:
                raise TimeoutError
        if self._error:
            raise self._error
        return self._value


def asking(clockwork, answered):
    """Return what stands in for recovery.engine.parallel.Asking."""

    class Asking:
        def __init__(self, threads=0):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def ask(self, question):
            return self.run(lambda: answered(question))

        def run(self, work):
            future = Future(clockwork)

            def answer():
                try:
                    future.set(work())
                except Exception as error:  # noqa: BLE001 - its asker gets it
                    future.set(error=error)

            clockwork.spawn(clockwork.current.process, answer)
            return future

    return Asking


def threads(clockwork):
    """Return what stands in for the parts of `threading` that a lease uses."""
    return SimpleNamespace(
        Lock=functools.partial(Lock, clockwork),
        Event=functools.partial(Event, clockwork),
        Thread=functools.partial(Thread, clockwork),
    )


class Lock:
    def __init__(self, clockwork):
        self._clockwork, self._held, self._waiters = clockwork, False, []

    def __enter__(self):
        while self._held:
            self._waiters.append(self._clockwork.waiter())
            self._clockwork.wait()
        self._held = True

    def __exit__(self, *_):
        self._held = False
        if self._waiters:
            self._waiters.pop(0)()


class Event:
    def __init__(self, clockwork):
        self._future = Future(clockwork)

    def set(self):
        self._future.set(True)

    def wait(self, timeout):
        try:
            return self._future.result(timeout)
        except TimeoutError:
            return False


class Thread:
    def __init__(self, clockwork, *, target, args=(), name="", daemon=True):
        self._clockwork, self._work = clockwork, lambda: target(*args)

    def start(self):
        self._clockwork.spawn(self._clockwork.current.process, self._work)


_idle = []


def _run_in_a_thread(work):
    """Run the work in a thread that has ended its last one, or a new one."""
    if _idle:
        _idle.pop().put(work)
        return
    _Worker().put(work)


class _Worker:
    def __init__(self):
        self._work: Any = None
        self._given = threading.Semaphore(0)
        threading.Thread(target=self._loop, daemon=True, name="model").start()

    def put(self, work):
        self._work = work
        self._given.release()

    def _loop(self):
        while True:
            self._given.acquire()
            work, self._work = self._work, None
            work()
            _idle.append(self)
