"""The product's defences, each taken away: a suite that finds nothing then is worth nothing."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from recovery import execution, failback
from recovery.cloud import errors
from recovery.steps import new_replica, promote, takeover
from recovery.steps.proof import Proof
from tests.recovery.suites import stories


def repeats_nothing(patch):
    """A throttled call is not repeated."""
    patch.setattr(stories, "PAUSES", 0)


def looks_once(patch):
    """What a step did must show at once."""
    patch.setattr(stories, "SETTLES_SECONDS", 0.0)


def takes_500_for_an_answer(patch):
    """An HTTP 5xx is taken for AWS's last word, and not for a silence."""
    patch.setattr(errors, "_SERVER_ERROR", 1000)


def waits_for_nobody(patch):
    """Failover promotes without the wait for the old site's guards."""
    proven = Proof(proven=True, text="planted")
    patch.setattr(takeover.Takeover, "_waited", lambda _: proven)


def forgets_the_promotion(patch):
    """A resumed run takes itself for one that has not promoted yet."""

    def begin(case):
        found = execution.takeover_of(case)
        found.promoted = False
        return found

    _carried_out(patch, "failover", begin=begin)


def minds_its_own_snapshot(patch):
    """A snapshot that is there already is an error."""
    patch.setattr(promote, "ConflictError", errors.NotFoundError)


def leaves_the_old_database_open(patch):
    """Switchover closes nothing."""
    patch.setattr("recovery.steps.switch.Switch.is_closed", _holds)


def does_not_catch_up(patch):
    """Switchover promotes whatever the replica lacks."""
    patch.setattr("recovery.steps.switch.Switch.is_caught_up", _holds)


def _holds(_):
    return promote.Seen(holds=True, text="planted")


def tells_no_loss(patch):
    """Reprotect writes no loss ledger."""
    patch.setattr("recovery.steps.reprotection.Reprotection.is_ledger_written", _holds)


def minds_its_own_replica(patch):
    """A replica that is there already is an error."""
    patch.setattr(new_replica, "ConflictError", errors.NotFoundError)


def keeps_the_claim(patch):
    """Reprotect leaves every claim as it is."""
    patch.setattr("recovery.steps.reprotection.Reprotection.is_switch_armed", _holds)


def carries_no_assignment(patch):
    """Reprotect leaves the table that was away behind."""
    patch.setattr("recovery.steps.reprotection.Reprotection.is_carried", _holds)


def protects_nobody_away(patch):
    """Failback ends when the product is home."""
    patch.setattr(failback, "PHASES", failback.PHASES[:2])


def goes_no_way_back(patch):
    """A switchover that failed leaves the product closed."""
    _carried_out(patch, "switchover", back=None)


def _carried_out(patch, name, **otherwise):
    plan = stories.PLANS[name]
    changed = replace(plan, procedure=replace(plan.procedure, **otherwise))
    patch.setitem(stories.PLANS, name, changed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """One defence taken away, and where that must show."""

    take_away: Callable
    suite: str
    plan: str = ""
    kinds: tuple[str, ...] = ()
    """Of troubles; empty: all."""


PLANTED = (
    Planted(take_away=repeats_nothing, suite="faults", plan="failover", kinds=("throttled",)),
    Planted(take_away=looks_once, suite="faults", plan="failover", kinds=("stale-answers",)),
    Planted(
        take_away=takes_500_for_an_answer,
        suite="faults",
        plan="failover",
        kinds=("internal-failure-after-effect",),
    ),
    Planted(take_away=waits_for_nobody, suite="kills", plan="failover"),
    Planted(take_away=forgets_the_promotion, suite="faults", plan="failover"),
    Planted(
        take_away=minds_its_own_snapshot, suite="faults", plan="failover", kinds=("done-twice",)
    ),
    Planted(take_away=leaves_the_old_database_open, suite="kills", plan="switchover"),
    Planted(take_away=does_not_catch_up, suite="kills", plan="switchover"),
    Planted(take_away=tells_no_loss, suite="kills", plan="reprotect"),
    Planted(
        take_away=minds_its_own_replica, suite="faults", plan="reprotect", kinds=("done-twice",)
    ),
    Planted(take_away=does_not_catch_up, suite="trips"),
    Planted(take_away=keeps_the_claim, suite="trips"),
    Planted(take_away=carries_no_assignment, suite="trips"),
    Planted(take_away=protects_nobody_away, suite="trips"),
    Planted(take_away=goes_no_way_back, suite="faults", plan="switchover", kinds=("denied",)),
)
