"""The process that keeps a lab: starts the others, watches them, and takes everything down.

`python -m lab.supervisor` is started by the lab's commands, never by a person. It says how far it
is on standard output, one JSON object per line, until the lab is ready; from then on it is a
daemon. The lab ends when it is told to (SIGTERM), when a process that the lab cannot do without
ends, and, if it is bound to its owner, when that one ends. If it is killed itself, the watchdog
does the same work.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab import claim, control, environment, state, sweep

if TYPE_CHECKING:
    from socket import socket

_READY_SECONDS = 30.0
_RETRY_SECONDS = 0.05
_LAST_WORDS = 400
"""Characters of a dead process's log that its obituary quotes."""


def main() -> None:
    """Keep one lab until it is to end."""
    parser = argparse.ArgumentParser(prog="python -m lab.supervisor", description=__doc__)
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True, help="the state file to keep")
    parser.add_argument("--owner", type=int, required=True, help="process that started the lab")
    parser.add_argument("--bound", action="store_true", help="end with the owner")
    parser.add_argument("--speed", type=float, required=True)
    parser.add_argument("--customers", type=int, required=True, help="per product")
    parser.add_argument("--zone", required=True, help="hosted zone that is there beforehand")
    parser.add_argument("--region", action="append", required=True)
    parser.add_argument("--empty", action="store_true", help="prepare nothing")
    parser.add_argument("--load", action="append", default=[], metavar="PRODUCT=FILE")
    given = parser.parse_args()
    order = Order(
        run_dir=given.run_dir,
        state_file=given.state,
        owner=given.owner,
        bound=given.bound,
        speed=given.speed,
        customers=given.customers,
        surroundings=("--zone", given.zone, *(f"--region={each}" for each in given.region)),
        empty=given.empty,
        loads=tuple(given.load),
    )
    with contextlib.closing(claim.hold()) as lock:
        os.chdir(order.run_dir)
        asyncio.run(_keep(order, lock))


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What lab is wanted, and by whom."""

    run_dir: Path
    state_file: Path
    owner: int
    bound: bool
    speed: float
    customers: int
    surroundings: tuple[str, ...]
    """Arguments for AWS: the zone and the regions that exist before the stacks do."""
    empty: bool
    """AWS, the network and the resolver, with nothing in them."""
    loads: tuple[str, ...]


async def _keep(order: Order, lock: socket) -> None:
    def let_go() -> None:
        """End a knock: a queue that is full would make the next one wait for ever."""
        lock.accept()[0].close()

    asyncio.get_running_loop().add_reader(lock, let_go)
    await Supervisor(order).keep()


class _FailedError(Exception):
    """The lab cannot be started; the message says why."""


class Supervisor:
    """Starts a lab and keeps it."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._ready = False
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._watching: list[asyncio.Task[int]] = []
        self._logs = order.run_dir / "logs"
        self._over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done when the lab is to end: with the reason, empty when somebody asked for it."""

    async def keep(self) -> None:
        """Start the lab, stay until it is to end, and leave nothing behind."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._end, "")
        self._follow_owner()
        starting = asyncio.create_task(self._start())
        starting.add_done_callback(self._end_if_failed)
        reason = await self._over
        self._take_down(reason)

    async def _start(self) -> None:
        """Bring everything up; raise _FailedError as soon as a part cannot do its work."""
        order = self._order
        here = ("--run-dir", str(order.run_dir))
        self._logs.mkdir(exist_ok=True)
        pid = str(os.getpid())
        await self._spawn("watchdog", str(order.run_dir), pid, str(order.state_file))
        self._save()
        # Nobody wants to wait for AWS while the lab is made; its pace begins when it is ready.
        await self._spawn("aws", *here, "--speed", "0", *order.surroundings)
        await self._spawn("net", *here)
        await self._spawn("dns", *here)
        self._save()
        await self._aws_answers()
        self._say("AWS, the network and the resolver run")
        if not order.empty:
            await self._finish("prepare", *here, *(f"--load={load}" for load in order.loads))
        await asyncio.to_thread(control.post, "speed", {"speed": order.speed})
        if order.customers:
            await self._spawn("customers", *here, "--each", str(order.customers))
        self._ready = True
        self._save()
        self._tell({"ready": True})
        _let_go_of_output()

    async def _spawn(self, name: str, *arguments: str) -> None:
        """Start a process that the lab cannot do without: when it ends, so does the lab."""
        process = await self._launch(name, *arguments)
        watching = asyncio.create_task(process.wait())
        watching.add_done_callback(lambda done: self._mourn(name, done.result()))
        self._watching.append(watching)

    async def _finish(self, name: str, *arguments: str) -> None:
        """Run a process until it has done its work, passing on what it says."""
        process = await self._launch(name, *arguments)
        assert process.stdout is not None
        async for line in process.stdout:
            self._say(line.decode().rstrip())
        if status := await process.wait():
            raise _FailedError(self._obituary(name, status))
        del self._processes[name]

    async def _launch(self, name: str, *arguments: str) -> asyncio.subprocess.Process:
        with (self._logs / f"{name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", _MODULES[name], *arguments),
                cwd=self._order.run_dir,
                env=os.environ | environment.environment(self._order.run_dir, "SELF"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if name in _FINITE else log,
                stderr=log,
            )
        self._processes[name] = process
        return process

    async def _aws_answers(self) -> None:
        """Return once AWS is ready."""
        for _ in range(round(_READY_SECONDS / _RETRY_SECONDS)):
            with contextlib.suppress(control.NotAnsweringError):
                await asyncio.to_thread(control.get, "ready")
                return
            await asyncio.sleep(_RETRY_SECONDS)
        msg = f"the lab's AWS is not ready after {_READY_SECONDS:.0f} s"
        raise _FailedError(msg)

    def _follow_owner(self) -> None:
        """End with the owner if bound to it, or while the lab is not ready yet."""
        loop = asyncio.get_running_loop()
        try:
            owner = os.pidfd_open(self._order.owner)
        except ProcessLookupError:
            self._end("")
            return

        def gone() -> None:
            loop.remove_reader(owner)
            if self._order.bound or not self._ready:
                self._end("")

        loop.add_reader(owner, gone)

    def _end_if_failed(self, starting: asyncio.Task[None]) -> None:
        if error := starting.exception():
            self._end(str(error) or repr(error))

    def _end(self, reason: str) -> None:
        if not self._over.done():
            self._over.set_result(reason)

    def _mourn(self, name: str, status: int) -> None:
        """End with a process, unless it is the customers who have had enough."""
        if (name, status) != ("customers", 0):
            self._end(self._obituary(name, status))

    def _obituary(self, name: str, status: int) -> str:
        if status < 0:
            return f"the lab's process {name} was killed by {signal.Signals(-status).name}"
        log = (self._logs / f"{name}.log").read_text(errors="replace").strip()
        last = log.splitlines()[-1][:_LAST_WORDS] if log else "it said nothing"
        # What prepares the lab says for itself why it could not.
        return last if name in _FINITE else f"the lab's process {name} ended with {status}: {last}"

    def _take_down(self, reason: str) -> None:
        """Leave nothing but, if the lab was not asked to end, the reason and the logs."""
        folder = self._order.state_file.parent
        if reason:
            (folder / state.ENDED_FILE.name).write_text(f"{reason}\n")
            kept = folder / state.LOGS_FOLDER.name
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(self._logs, kept)
        watchdog = self._processes.get("watchdog")
        spare = {os.getpid(), *([watchdog.pid] if watchdog else [])}
        sweep.sweep(self._order.run_dir, spare)
        self._order.state_file.unlink(missing_ok=True)
        if watchdog and watchdog.returncode is None:
            watchdog.kill()
        if reason:
            self._tell({"failed": reason})

    def _save(self) -> None:
        processes = {name: process.pid for name, process in self._processes.items()}
        now = state.State(
            run_dir=str(self._order.run_dir),
            supervisor=os.getpid(),
            processes=processes,
            speed=self._order.speed,
            ready=self._ready,
        )
        state.write(now, self._order.state_file)

    def _say(self, text: str) -> None:
        self._tell({"progress": text})

    def _tell(self, event: dict[str, object]) -> None:
        """Tell the owner; one that has gone is noticed elsewhere."""
        with contextlib.suppress(BrokenPipeError):
            os.write(1, json.dumps(event).encode() + b"\n")


_MODULES = {
    "watchdog": "lab.watchdog",
    "aws": "lab.aws",
    "net": "lab.net",
    "dns": "lab.net.dns",
    "prepare": "lab.prepare",
    "customers": "lab.customers",
}
"""Name of a process → module that it runs."""
_FINITE = {"prepare"}


def _let_go_of_output() -> None:
    """Be a daemon: whoever reads the supervisor's output gets its end."""
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)


if __name__ == "__main__":
    main()
