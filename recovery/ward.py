"""The parent of a guarded command: `python -m recovery.ward CHANNEL UNTIL COMMAND [ARG…]`.

The guard starts one for each run of its command, and writes to it over CHANNEL, an open socket:

    until 5000.25    the tenure was prolonged to this second of the boot clock
    stop 4711.5      SIGTERM to the command's process group now; be dead by that second

The ward answers once, when the command and all that came of it are gone: `ended STATUS`, or
`expired STATUS` where the deadline did it. Then it ends. It kills the whole tree, also what left
the session, at the deadline, at the end of file that the guard's death is, and when the command
itself ends, which must therefore stay in the foreground.

What holds, whatever happens to the guard:

- Guard killed: the channel ends, and the ward kills.
- Guard frozen (SIGSTOP), or deaf: no prolongation comes, and the ward kills at the deadline.
- Ward killed: the command dies by its parent-death signal, and the guard kills what is left.
- Ward frozen: a timer of the kernel kills it at the deadline, stopped or not; then as above.

What is assumed:

- Linux, and a libc that has timer_create(2) itself: glibc 2.34, or musl.
- CLOCK_BOOTTIME runs at the rate of the clocks elsewhere, up to the drift bound. It counts while
  the host is suspended. A hypervisor that pauses the host may stop it: then the host, and with it
  the command, is late by the pause when it goes on, and only the database can refuse it.
- Guard and ward are not both frozen. If they are, the command itself still dies in time, but
  what it started lives until one of them goes on, or systemd ends the unit's control group.
- The command is not set-user-ID and has no file capabilities: the kernel clears the parent-death
  signal of such a program (prctl(2)). Let the unit, not the command, choose the user.

Only a little of the standard library is imported: one ward runs beside each running command.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time

KILLING_SECONDS = 0.1
"""SIGKILL is sent so long before the deadline, as dying takes time too."""
LAST_RESORT_SECONDS = 0.05
"""A ward that has not sent it by so long before the deadline is killed by the kernel."""
_BURIAL_SECONDS = 30.0
"""A ward that has sent it may take so long to see that all are dead, and say so."""
CANNOT_RUN, NOT_FOUND = 126, 127
"""Exit statuses of a command that could not be started, as a shell has them."""
_BOOKKEEPING_SECONDS = 0.005
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_TIMER_ABSTIME = 1
_IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""What a terminal or a service manager sends to everybody; the guard decides, not the ward."""
_SET_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Run one command; everything there is to say goes through the channel."""
    channel, until, *command = sys.argv[1:]
    Ward(int(channel)).run(command, float(until))
    os._exit(0)


class Ward:
    """One command, from its start until nothing is left of it."""

    def __init__(self, channel: int) -> None:
        os.set_inheritable(channel, False)
        os.set_blocking(channel, False)
        adopt_orphans()
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        self._channel = channel
        self._heard = b""
        self._woken, waking = os.pipe()
        for end in (self._woken, waking):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGALRM):
            signal.signal(number, _wake)
        self._kill, self._last_resort = _Timer(signal.SIGALRM), _Timer(signal.SIGKILL)
        self._until = 0.0
        self._child = 0
        self._status: int | None = None
        self._stopping = False

    def run(self, command: list[str], until: float) -> None:
        """Start the command and stay until it, and all that came of it, is gone."""
        self._until = until
        if self._is_late():
            self._answer("expired")
            return
        self._arm()
        self._child = _start(command)
        events = select.poll()
        events.register(self._channel, select.POLLIN)
        events.register(self._woken, select.POLLIN)
        while True:
            events.poll()
            with contextlib.suppress(BlockingIOError):
                os.read(self._woken, 4096)
            gone = self._take_in_the_dead()
            heard = self._listen()
            late = self._is_late()
            if gone or late or not heard or (self._status is not None and not self._stopping):
                self._kill_all()
                self._answer("expired" if late and not gone else "ended")
                return

    def _listen(self) -> bool:
        """Do what the guard orders; return whether it is there."""
        try:
            said = os.read(self._channel, 4096)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        *lines, self._heard = (self._heard + said).split(b"\n")
        for line in lines:
            order, _, moment = line.partition(b" ")
            if order == b"stop":
                self._stop(float(moment))
            elif not self._stopping:
                self._until = float(moment)
                self._arm()
        return bool(said)

    def _stop(self, until: float) -> None:
        self._stopping = True
        self._until = min(until, self._until)
        self._arm()
        if self._status is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child, signal.SIGTERM)

    def _kill_all(self) -> None:
        while not self._take_in_the_dead():
            kill_descendants()
            self._last_resort.set(boot_clock() + _BURIAL_SECONDS)
            time.sleep(_BOOKKEEPING_SECONDS)

    def _arm(self) -> None:
        self._last_resort.set(self._until - LAST_RESORT_SECONDS)
        self._kill.set(self._until - KILLING_SECONDS)

    def _is_late(self) -> bool:
        return boot_clock() >= self._until - KILLING_SECONDS

    def _take_in_the_dead(self) -> bool:
        """Reap whoever died, keep the command's status, and return whether nobody is left."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return False
                if pid == self._child:
                    self._status = in_shells_words(os.waitstatus_to_exitcode(status))
        except ChildProcessError:
            return True

    def _answer(self, how: str) -> None:
        with contextlib.suppress(OSError):
            os.write(self._channel, f"{how} {self._status or 0}\n".encode())


def boot_clock() -> float:
    """Return seconds since boot; unlike the monotonic clock it counts while the host is frozen."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def in_shells_words(status: int) -> int:
    """Return an exit status as a shell has it: 128 and the number for an end by a signal."""
    return 128 - status if status < 0 else status


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent ends."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def kill_descendants() -> None:
    """Send SIGKILL to every process that came of this one, as far as it is to be seen now."""
    for pid in _descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def end_descendants(seconds: float) -> bool:
    """Kill and reap every process that came of this one; return whether none is left in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        kill_descendants()
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return True
        time.sleep(_BOOKKEEPING_SECONDS)
    return False


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib costs a megabyte
        if name.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(_parent(name), []).append(int(name))
    found = [root]
    for pid in found:
        found += children.get(pid, ())
    return found[1:]


def _parent(pid: str) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - as above
        # The command stands in parentheses and may hold any byte; state and parent follow it.
        return int(file.read().rpartition(b")")[2].split()[1])


def _start(command: list[str]) -> int:
    """Start the command in a session of its own, to die with this process, and return its id.

    The parent-death signal is tied to the thread that forks (prctl(2)): the ward has only one.
    """
    ward = os.getpid()
    if child := os.fork():
        return child
    try:
        os.setsid()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != ward:
            os._exit(128 + signal.SIGKILL)  # it ended before the signal was asked for
        for number in (*_IGNORED, *_SET_BY_PYTHON):
            signal.signal(number, signal.SIG_DFL)
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        said = f"recovery.guard: {command[0]} cannot be started: {error.strerror}\n"
        os.write(2, said.encode(errors="surrogateescape"))
        os._exit(NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_RUN)


def _wake(_number: int, _frame: object) -> None:
    """Do nothing: that a signal came is written to the wakeup descriptor."""


class _Timer:
    """Sends this process a signal at a moment of the boot clock; SIGKILL also while stopped."""

    def __init__(self, number: signal.Signals) -> None:
        event = _Event(signal=number)
        self._id = ctypes.c_void_p()
        made = _libc.timer_create(time.CLOCK_BOOTTIME, ctypes.byref(event), ctypes.byref(self._id))
        _check(made)

    def set(self, moment: float) -> None:
        """Set it anew; a moment that has passed is now."""
        nanoseconds = max(1, int(moment * 1e9))
        spec = _Schedule(seconds=nanoseconds // 10**9, nanoseconds=nanoseconds % 10**9)
        _check(_libc.timer_settime(self._id, _TIMER_ABSTIME, ctypes.byref(spec), None))


class _Event(ctypes.Structure):
    """`struct sigevent`, 64 bytes; notification 0 is by signal (sigevent(7))."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notification", ctypes.c_int),
        ("padding", ctypes.c_byte * 48),
    )


class _Schedule(ctypes.Structure):
    """`struct itimerspec`: no interval, then the moment (timer_settime(2))."""

    _fields_ = (
        ("interval_seconds", ctypes.c_long),
        ("interval_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )


def _prctl(option: int, value: int) -> None:
    _check(_libc.prctl(option, value, 0, 0, 0))


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main()
