"""A plan in a simulated cloud that is killed, or lied to, and run again until it has ended.

What must hold then, whatever happened on the way, is asserted here, once for all suites.
"""

import contextlib
import io
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from recovery import assign, failover, naming, switchover
from recovery.cloud.call import uses
from recovery.database.errors import DatabaseUnreachableError
from recovery.engine.errors import DEVIATED, FAILED, RECOVERED, REFUSED, STRANDED
from recovery.engine.journal import Journal
from recovery.engine.lease import Lease
from recovery.engine.progress import Progress
from recovery.execution import Procedure, execute
from recovery.steps.takeover import Takeover
from tests.recovery import planned, simulated
from tests.recovery.simulated import GUARD, HERE, THERE, WITNESS, Cloud, Fault, Killed
from tests.recovery.suites.troubles import Operation, Trouble

PRODUCT, NEW = "rlg-data", "rlg-data-dr-1"
ASSIGNMENT = naming.assignment_item(PRODUCT)
RTO_SECONDS = 1
FULL_SCALE = 2
LEASE_SECONDS = 0.1
SETTLES_SECONDS = 0.3
PAUSES = 3
RUNS = 6
"""A command is run again so often at most; the last of them meet no trouble any more."""
OVER = {RECOVERED, DEVIATED}


@uses("sts:GetCallerIdentity")
def _translated(_region, work):
    """Do the work as recovery.cloud does a call: errors translated, throttled ones repeated."""
    return work()


class Troubled(Cloud):
    """A cloud whose calls may meet a trouble, and that remembers when what took effect."""

    trouble: Trouble | None = None

    def __init__(self):
        super().__init__()
        self.assigned_at = {}
        """Region → when its table first named the new site; by the monotonic clock."""
        self.promoted_at = None

    def case(self, name=PRODUCT, **accepted):
        made = super().case(name, **accepted)
        return replace(made, product=replace(made.product, rto_seconds=RTO_SECONDS))

    def call(self, region, function, subject, act, *, writes=False):
        def once():
            return super(Troubled, self).call(region, function, subject, act, writes=writes)

        if function.startswith("gate."):
            return self._in_session(region, once)
        return _translated(replace(region, once=True), once)

    def _in_session(self, session, work):
        """A database knows nothing of AWS's words: what goes wrong there is a broken session."""
        try:
            return work()
        except Exception as error:
            if type(error).__module__.startswith("botocore"):
                raise DatabaseUnreachableError(session.id, str(error)) from error
            raise

    def _faulted(self, call, process, act):
        def noted():
            began, promotions = time.monotonic(), len(self.promotions)
            found = act()
            if len(self.promotions) > promotions:
                self.promoted_at = self.promoted_at or began
            item = self.tables.get(call.region, {}).get(ASSIGNMENT)
            if item and item["site"] == "dr":
                self.assigned_at.setdefault(call.region, time.monotonic())
            return found

        if self.trouble is None:
            return super()._faulted(call, process, noted)
        return self.trouble.meet(call, noted, writes=call in self.writes)

    def waited(self):
        """Say whether guards of the old site could serve no more when it was promoted."""
        if self.promoted_at is None:
            return True
        seconds = GUARD.ttl_seconds + GUARD.drift_seconds
        second = sorted(self.assigned_at.values())[1:2]
        return bool(second) and self.promoted_at >= second[0] + seconds


class TroubledPair(Troubled, planned.Pair):
    """Two sites that are well, and the same."""

    def waited(self):
        """Say whether nothing could write to the old database, and the new one lacked nothing."""
        return all(state == (True, 0, 0) for state in self.at_promotion)


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
    procedure: Procedure[Takeover]
    is_taken_back: bool
    """Whether a run that failed leaves the old site serving."""


PLANS = {
    "failover": Plan(
        name="failover", cloud=Troubled, procedure=failover.PROCEDURE, is_taken_back=False
    ),
    "switchover": Plan(
        name="switchover", cloud=TroubledPair, procedure=switchover.PROCEDURE, is_taken_back=True
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
        }.items():
            self._patch.setattr(place, value)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._patch.undo()
        self._folder.cleanup()

    def run(self) -> object:
        """Run the command once; return its exit code, or `killed`."""
        case = self.cloud.case()
        journal = Journal(Path(self._folder.name), case.execution)
        progress = Progress(io.StringIO(), as_text=True)
        try:
            return self.cloud.run(
                lambda: execute(case, self.plan.procedure, journal, progress)
            ).exit_code
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
        over, before = _is_over(scene.cloud), _assignments(scene.cloud)
        scene.cloud.trouble = trouble
        code = scene.run()
        told.codes.append(code)
        told.wrong = _wrong_at_an_end(scene.cloud, code, before)
        if trouble.kind.harmless and trouble.fired and not over and code != RECOVERED:
            told.wrong = told.wrong or f"it should have been got over, and ended with {code}"
        if plan.is_taken_back and code == FAILED and trouble.kind.times == 1:
            told.wrong = told.wrong or _wrong_at_the_old_site(scene.cloud)
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
        if told.wrong or _is_over(scene.cloud):
            break
        told.codes.append(scene.run())
        told.wrong = told.wrong or _wrong_ever(scene.cloud)
    told.wrong = told.wrong or _wrong_ever(scene.cloud) or _wrong_in_the_end(scene)


def _wrong_at_an_end(cloud: Troubled, code: object, before: object) -> str:
    """Say what an exit code promises and does not hold."""
    if code not in {RECOVERED, REFUSED, FAILED, STRANDED, DEVIATED}:
        return f"it ended with {code}"
    if code == REFUSED and _assignments(cloud) != before:
        return "it was refused, and the assignment is another one"
    if code == FAILED and cloud.promotions:
        return f"it ended with {code}, and a database was promoted"
    return _wrong_ever(cloud)


def _wrong_at_the_old_site(cloud: Troubled) -> str:
    """Say what the old site lacks to serve as before."""
    if cloud.closed:
        return f"taken back, and closed: {cloud.closed}"
    found = {each["site"] for each in _assignments(cloud)}
    return "" if found == {"primary"} else f"taken back, and assigned to {found}"


def _wrong_ever(cloud: Troubled) -> str:
    """Say what must never be, however far a plan came."""
    if len(cloud.promotions) > 1:
        return f"{len(cloud.promotions)} promotions"
    if not cloud.waited():
        return "the old site may still have written when the new one was promoted"
    return ""


def _wrong_in_the_end(scene: Scene) -> str:
    """Say what the right end lacks."""
    cloud = scene.cloud
    if not _is_over(cloud):
        return f"not over after {RUNS} runs without a trouble"
    cloud.run(lambda: assign.complete(cloud.case()))
    if len({(each["site"], each["epoch"], each["settled"]) for each in _assignments(cloud)}) > 1:
        return f"the tables differ: {_assignments(cloud)}"
    lacks = {
        f"promoted: {cloud.promotions}": cloud.promotions != [NEW],
        "the new database is closed": NEW in cloud.closed,
        f"claims: {cloud.claims}": cloud.claims != {(PRODUCT, "dr"): 1.0},
        "not at full scale": cloud.groups[HERE, f"{PRODUCT}-dr"][0] != FULL_SCALE,
        f"snapshots: {list(cloud.snapshots)}": len(cloud.snapshots) > 1,
    }
    return "; ".join(said for said, is_so in lacks.items() if is_so)


def _is_over(cloud: Troubled) -> bool:
    item = cloud.tables[HERE][ASSIGNMENT]
    return (item["site"], item["settled"]) == ("dr", True)


def _assignments(cloud: Troubled):
    return [dict(cloud.tables[region][ASSIGNMENT]) for region in (HERE, WITNESS, THERE)]
