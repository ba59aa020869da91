"""A plan in a simulated cloud that is killed, or lied to, and run again until it has ended.

What must hold then, whatever happened on the way, is asserted here, once for all suites.
"""

import contextlib
import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from recovery import failover, reprotect, switchover
from recovery.engine.errors import DEVIATED, FAILED, RECOVERED, REFUSED, STRANDED
from recovery.engine.journal import Journal
from recovery.engine.lease import Lease
from recovery.engine.progress import Progress
from recovery.execution import Procedure, execute
from recovery.steps.case import Case
from tests.recovery import simulated
from tests.recovery.simulated import Fault, Killed
from tests.recovery.suites.clouds import Troubled, TroubledPair, TroubledParted
from tests.recovery.suites.troubles import Operation, Trouble

LEASE_SECONDS = 0.1
SETTLES_SECONDS = 0.3
PAUSES = 3
RUNS = 6
"""A command is run again so often at most; the last of them meet no trouble any more."""
OVER = {RECOVERED, DEVIATED}


_KEEP = Lease._keep


def _kept(lease):
    """The lease's own thread, which ends with its process."""
    with contextlib.suppress(Killed):
        _KEEP(lease)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A command that is told of."""

    name: str
    cloud: Callable[[], Troubled]
    procedure: Procedure[Any]
    is_taken_back: bool
    """Whether a run that failed leaves the old site serving."""


PLANS = {
    "failover": Plan(
        name="failover", cloud=Troubled, procedure=failover.PROCEDURE, is_taken_back=False
    ),
    "switchover": Plan(
        name="switchover", cloud=TroubledPair, procedure=switchover.PROCEDURE, is_taken_back=True
    ),
    "reprotect": Plan(
        name="reprotect", cloud=TroubledParted, procedure=reprotect.PROCEDURE, is_taken_back=False
    ),
}


@dataclass(slots=True, kw_only=True)
class Told:
    """How a story went: the exit code of each run, `killed` where it did not come to one."""

    codes: list[object] = field(default_factory=list)
    wrong: str = ""
    """What should not have been; empty: nothing."""


class Scene:
    """One plan in one cloud, run as often as it takes."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._patch = pytest.MonkeyPatch()
        self._folder = tempfile.TemporaryDirectory()
        self.cloud = plan.cloud().install(self._patch)
        for place, value in {
            "recovery.execution.TTL_SECONDS": LEASE_SECONDS,
            "recovery.cloud.call._THROTTLED_PAUSES_ONCE": (0.001,) * PAUSES,
            "recovery.engine.plan.SETTLES_SECONDS": SETTLES_SECONDS,
            "recovery.engine.lease.Lease._keep": _kept,
            "recovery.steps.switch.CATCH_UP_SECONDS": 0.5,
            "recovery.steps.capacity.PATIENCE_SECONDS": 0.5,
            "recovery.steps.promote._SNAPSHOT_SECONDS": 0.5,
            "recovery.steps.promote._OPENING_SECONDS": 0.3,
            "recovery.steps.traffic.BUDGET_SECONDS": 0.5,
            "recovery.steps.rearm.PATIENCE_SECONDS": 0.5,
            "recovery.steps.claims.PATIENCE_SECONDS": 0.5,
            "recovery.steps.verify_protection.BEAT_SECONDS": 0.5,
            "recovery.steps.verify_protection.FILE_SECONDS": 0.5,
            "recovery.steps.reprotection.CHECK_SECONDS": 0.5,
        }.items():
            self._patch.setattr(place, value)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._patch.undo()
        self._folder.cleanup()

    @property
    def folder(self) -> str:
        """Where the journals are."""
        return self._folder.name

    def run(self, case: Case | None = None, procedure: Procedure[Any] | None = None) -> object:
        """Run the plan's command, or another, once; return its exit code, or `killed`."""
        case, how = case or self.cloud.case(), procedure or self.plan.procedure
        journal = Journal(Path(self.folder), case.execution)
        progress = Progress(io.StringIO(), as_text=True)
        try:
            return self.cloud.run(lambda: execute(case, how, journal, progress)).exit_code
        except Killed:
            return "killed"
        finally:
            journal.close()

    def elsewhere(self):
        """Let the next run be another operator's, on another machine."""
        self._patch.setattr("recovery.execution.this_process", simulated.process_elsewhere)


def operations(plan: Plan):
    """Return the operations of an undisturbed run, each with whether it writes, and all calls."""
    with Scene(plan) as scene:
        assert scene.run() == RECOVERED
        cloud = scene.cloud
        writes = {(call.step, call.function, call.region) for call in cloud.writes}
        found = {
            Operation(call.step, call.function, call.region): (
                call.step,
                call.function,
                call.region,
            )
            in writes
            for call in cloud.calls
            if call.step
        }
        return found, sorted(cloud.calls), sorted(cloud.writes)


def troubled(plan: Plan, trouble: Trouble, kill: Fault | None = None) -> Told:
    """Run the plan with the trouble, after a killed run perhaps, then without until it is over."""
    told = Told()
    with Scene(plan) as scene:
        if kill:
            scene.cloud.fault = kill
            scene.run()
            scene.cloud.fault = None
        over, before = scene.cloud.is_over(), scene.cloud.assignments()
        may_be_promoted = scene.cloud.is_point_recorded()  # then nothing is taken back any more
        asked = scene.cloud.promotions_unseen()
        scene.cloud.trouble = trouble
        code = scene.run()
        told.codes.append(code)
        told.wrong = _wrong_at_an_end(scene.cloud, code, before, asked)
        if trouble.kind.harmless and trouble.fired and not over and code != RECOVERED:
            told.wrong = told.wrong or f"it should have been got over, and ended with {code}"
        taken_back = plan.is_taken_back and code == FAILED and not may_be_promoted
        if taken_back and trouble.kind.times == 1:
            told.wrong = told.wrong or scene.cloud.wrong_when_taken_back()
        scene.cloud.trouble = None
        _to_the_end(scene, told)
    return told


def killed(plan: Plan, faults: list[Fault], *, elsewhere: bool) -> Told:
    """Run the plan, kill it at each fault in turn, then let it end."""
    told = Told()
    with Scene(plan) as scene:
        for fault in faults:
            scene.cloud.fault, scene.cloud.fired = fault, False
            told.codes.append(scene.run())
            if elsewhere:
                scene.elsewhere()
        scene.cloud.fault = None
        _to_the_end(scene, told)
    return told


def _to_the_end(scene: Scene, told: Told) -> None:
    """Run again until it is over; what then does not hold is wrong."""
    for _ in range(RUNS):
        if told.wrong or scene.cloud.is_over():
            break
        told.codes.append(scene.run())
        told.wrong = told.wrong or scene.cloud.wrong_ever()
    told.wrong = told.wrong or _wrong_in_the_end(scene)


def _wrong_at_an_end(cloud: Troubled, code: object, before: object, asked: int) -> str:
    """Say what an exit code promises and does not hold."""
    if code not in {RECOVERED, REFUSED, FAILED, STRANDED, DEVIATED}:
        return f"it ended with {code}"
    if code == REFUSED and cloud.assignments() != before:
        return "it was refused, and the assignment is another one"
    if code == FAILED and len(cloud.promotions) > asked:
        return f"it ended with {code}, and a database was promoted"
    return cloud.wrong_ever()


def _wrong_in_the_end(scene: Scene) -> str:
    """Say what is wrong once the plan is over, or that it is not."""
    if wrong := scene.cloud.wrong_ever():
        return wrong
    if not scene.cloud.is_over():
        return f"not over after {RUNS} runs without a trouble"
    return scene.cloud.wrong_in_the_end()
