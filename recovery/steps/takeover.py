"""A site taking a product over: the steps that lean on what an earlier one found.

Each method pair is one step's act and done. What survives a kill is in the world, not here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime

from recovery import notify, verify
from recovery.assignment import Assignment
from recovery.engine import wait
from recovery.engine.errors import RefusedError, StepFailedError
from recovery.engine.gates import Go
from recovery.engine.plan import Report, Seen
from recovery.steps import check, fence, point, promote, proof
from recovery.steps.case import Case
from recovery.steps.check import Assessment
from recovery.steps.fence import Fencing
from recovery.steps.naming import Naming
from recovery.steps.proof import Proof


@dataclass(slots=True, kw_only=True)
class Takeover:
    """One product's way to the case's site, in the epoch of `target`."""

    case: Case
    target: Assignment
    resumes: bool
    """Whether an earlier execution took this epoch."""
    promoted: bool
    """Whether it got as far as the promotion."""
    begun: str = ""
    """The execution that took this epoch."""
    assessment: Assessment | None = None
    fencing: Fencing | None = None
    proof: Proof | None = None
    """Whether one writer is proven, once this execution has waited for it."""
    naming: Naming = field(init=False)
    """Which control tables name the target."""
    verified: str | None = None
    """What was found, once this execution has verified the service."""
    recorded: bool = False
    """Whether it is this execution that wrote the recovery point: there was none before."""
    told: set[str] = field(default_factory=set[str])
    """What this execution told people of: no unanswered look at it may end the plan."""
    approvals: list[Go] = field(default_factory=list[Go])

    def __post_init__(self) -> None:
        self.naming = Naming(case=self.case, target=self.target)

    def is_checked(self) -> Seen:
        """Say whether the checks passed, now or in the execution that goes on here."""
        if self.promoted:
            return Seen(holds=True, text=f"goes on with epoch {self.target.epoch}, promoted")
        if self.assessment is None:
            return Seen(holds=False, text="the standby has not been looked at")
        loss = self.assessment.loss
        return Seen(holds=True, text=loss.text if loss else "nothing speaks against it")

    def check(self, report: Report, assess: Callable[[Case], Assessment] = check.assess) -> None:
        """Assess until nothing is left to wait for; what will not pass is a refusal."""
        waits: str | None = None

        def assessed() -> Assessment | None:
            nonlocal waits
            found = assess(self.case)
            if found.refusal:
                raise RefusedError(found.refusal)
            if found.waits and found.waits != waits:
                report.say(f"{found.waits}; waiting")
            waits = found.waits
            return None if waits else found

        found = wait.until(assessed, seconds=self.case.rto_seconds)
        if found is None:
            raise RefusedError(
                f"{waits}; it was not over within the RTO ({self.case.rto_seconds:.0f} s): look "
                "at the instance's events in RDS, then run again"
            )
        for finding in found.findings:
            report.say(f"{finding.check}: {finding.text}")
        self.assessment = found

    def was_told(self, what: str) -> Seen:
        """Say whether people know that it began, or ended."""
        told = what in self.told or notify.was_told(
            self.case.here, self.case.site, self._message(what)
        )
        return Seen(holds=told, text=f"people {'know' if told else 'do not know'} that it {what}")

    def tell_begin(self, report: Report, note: str = "resumed") -> None:
        """Tell people what is about to happen."""
        loss = self.assessment.loss if self.assessment else None
        self._tell(
            report,
            "begins",
            f"{self.case.operator} moves {self.case.product.title} to {self.case.site.region} "
            f"({loss.text if loss else note}). Execution {self.case.execution}.",
        )

    def tell_end(self, report: Report) -> None:
        """Tell people where the product serves now."""
        self._tell(
            report,
            "ended",
            f"{self.case.product.title} serves from {self.case.site.region}. "
            f"Execution {self.case.execution}.",
        )

    def _tell(self, report: Report, what: str, text: str) -> None:
        verb = self.case.verb.capitalize()
        title = f"{verb} of {self.case.product.title} to {self.case.site.region} {what}"
        failed = notify.tell(self.case.here, self.case.site, self._message(what), title, text)
        if failed:
            report.deviate(f"people were not told: {failed}")
        else:
            self.told.add(what)

    def _message(self, what: str) -> str:
        return f"{self.case.product.name}-{self.target.epoch}-{self.case.verb}-{what}"

    def is_assigned(self, *, settled: bool) -> Seen:
        """Say whether both tables that can be reached name this site in this epoch."""
        return self.naming.is_assigned(settled=settled)

    def is_settled(self) -> Seen:
        """Say whether the assignment is marked as finished."""
        return self.naming.is_assigned(settled=True)

    def assign(self, report: Report) -> None:
        """Write the new epoch into the tables that can be reached."""
        self.naming.write(self.target, report)

    def settle(self, report: Report) -> None:
        """Mark the assignment as finished: the plan came to its end, whatever deviates."""
        self.naming.write(replace(self.target, settled=True), report)

    def fence(self, report: Report) -> None:
        """Try to fence the peer, and tell every result.

        StepFailedError where fewer than two tables name this site, and the peer's names a rival
        or a newer epoch: nobody can accept that.
        """
        self.fencing = fence.fence(self.case, self.target)
        if self.fencing.confirmed(fence.ASSIGNMENT):
            self.naming.note(self.case.there.name)
        report.say(self.fencing.text)
        for attempt in self.fencing.attempts:
            if attempt.failed:
                report.say(f"{attempt.what}: {attempt.failed}")
        if self.fencing.overtaken and self.naming.since is None:
            raise StepFailedError(f"{self.case.peer.region}: {self.fencing.overtaken}")

    def is_fencing_recorded(self) -> Seen:
        """Say whether fencing was tried in this execution, or recorded by an earlier one.

        What was recorded holds while two tables name the epoch: else it may be long overtaken.
        """
        if self.fencing is not None:
            return Seen(holds=True, text=self.fencing.text)
        if self.promoted:
            return Seen(holds=True, text=f"goes on with epoch {self.target.epoch}, promoted")
        if self.naming.since is None:
            return Seen(holds=False, text="fewer than two tables are known to name this site")
        return self.is_recorded()

    def is_outwaited(self) -> Seen:
        """Say whether one writer is proven or accepted, now or as an earlier execution recorded."""
        if self.promoted:
            return Seen(holds=True, text=f"goes on with epoch {self.target.epoch}, promoted")
        if self.proof is not None:
            said = "one writer" if self.proof.proven else "one writer is NOT PROVEN"
            return Seen(holds=True, text=f"{said}: {self.proof.text}")
        if self.naming.since is not None and self.is_recorded().holds:
            return Seen(holds=True, text="an earlier execution waited, and recorded it")
        return Seen(holds=False, text=f"guards in {self.case.peer.region} may still serve")

    def outwait(self, report: Report) -> None:
        """Prove that the old site serves no more; what cannot be proven has to be accepted."""
        found = self._waited()
        if self.fencing is not None and self.fencing.answered:
            took = proof.still_takes_writes(self.case)
            report.say(f"write probe: {took or 'nothing at the old balancer takes a write'}")
            found = Proof(proven=False, text=took) if took else found
        if not found.proven:
            accepted = self.case.accepted.split_brain
            said = f"one writer is not proven: {found.text}"
            if accepted is None:
                raise StepFailedError(
                    f"{said}; see that {self.case.peer.region} is off, then add "
                    "--accept-split-brain 'NAME: reason'"
                )
            report.deviate(f"{said}; accepted by {accepted}")
            if self.naming.since is None:
                self.naming.stand_alone()
        self.proof = found

    def _waited(self) -> Proof:
        if self.naming.since is None:
            self.is_assigned(settled=False)  # a table may have taken it although no answer came
        if owing := self.naming.owing:
            said = f"the table in {owing} may have been enough alone, and has not taken this epoch"
            return Proof(proven=False, text=said)
        tables = sorted(self.naming.regions)
        if self.naming.since is None:
            names = ", ".join(tables) or "none"
            return Proof(proven=False, text=f"{len(tables)} of 3 tables ({names}) took it")
        return proof.outwait(self.case, len(tables), self.naming.since)

    def is_recorded(self) -> Seen:
        """Say whether the recovery point of the epoch is written."""
        recorded = point.exists(self.case, self.target.epoch)
        return Seen(
            holds=recorded,
            text=f"recovery point of epoch {self.target.epoch} "
            f"{'is' if recorded else 'is not'} recorded",
        )

    def record(self, report: Report, known: Mapping[str, object] | None = None) -> None:
        """Write down what the standby holds, before it is promoted; `known` facts go first."""
        loss = self.assessment.loss if self.assessment else None
        if loss is None and known is None:
            report.say("the database is no replica any more; what it lacked was never recorded")
        self.recorded = True
        point.write(
            self.case,
            self.target.epoch,
            {
                "execution": self.case.execution,
                "operator": self.case.operator,
                "recorded_at": datetime.now(UTC).isoformat(),
                "outage_began": loss and loss.outage_began,
                "last_heartbeat": loss and loss.last_heartbeat,
                "predicted_loss_seconds": loss and loss.seconds,
                "accepted_loss_seconds": self.case.accepted.data_loss_seconds,
                "fencing": self.fencing.text if self.fencing else "not tried",
                "one_writer": self.is_outwaited().text,
                "accepted_split_brain": self.case.accepted.split_brain,
                "approvals": [asdict(each) for each in self.approvals],
                **(known or {}),
            },
        )

    def promote(self, report: Report) -> None:
        """Promote the database, unless another execution was given a newer epoch meanwhile."""
        now = check.standing(self.case)
        if now is not None and now.epoch > self.target.epoch:
            raise RefusedError(
                f"{now.site} was assigned in epoch {now.epoch} by {now.execution} meanwhile, and "
                f"this is epoch {self.target.epoch}: see recovery.status"
            )
        promote.promote(self.case, report)

    def is_verified(self) -> Seen:
        """Say whether this execution verified the service."""
        if self.verified:
            return Seen(holds=True, text=self.verified)
        return Seen(holds=False, text="not verified in this execution")

    def verify(self, report: Report) -> None:
        """Verify as customers would; what is not well deviates."""
        verdict = verify.verify(self.case)
        for finding in verdict.findings:
            said = f"{finding.what}: {finding.detail}"
            if finding.outcome == "ok":
                report.say(said)
            else:
                report.deviate(f"{finding.outcome}: {said}")
        passed = sum(finding.outcome == "ok" for finding in verdict.findings)
        self.verified = f"{passed} of {len(verdict.findings)} checks passed"
