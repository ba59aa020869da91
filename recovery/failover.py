"""Move products to a site whose peer has failed: `python -m recovery.failover --region REGION`.

The plan below is the runbook. It loses at most the predicted loss, never waits for the failed
region, and can be killed at any point: the same command run again goes on from what it sees.
"""

from __future__ import annotations

import argparse
import time
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from recovery import assignment, journalling, leasing, notify, opening, summary, verify
from recovery.assignment import Assignment
from recovery.cloud import client
from recovery.engine import cli, wait
from recovery.engine.errors import OutsideError, RefusedError, worst
from recovery.engine.journal import Journal
from recovery.engine.lease import TTL_SECONDS, Lease, this_process
from recovery.engine.parallel import answers, at_once
from recovery.engine.plan import Outcome, Report, Seen, Step, run
from recovery.engine.progress import Progress
from recovery.steps import capacity, check, fence, point, promote, reach, traffic
from recovery.steps.case import Accepted, Case
from recovery.steps.check import Assessment
from recovery.steps.fence import Fencing


def plan(case: Case, target: Assignment, *, resumes: bool) -> tuple[Step, ...]:
    """Return the steps that make the case's site the active one, in their order."""
    going = _Going(case=case, target=target, resumes=resumes)
    epoch = target.epoch
    return (
        Step(name="check-standby", reads_only=True, act=going.check, done=going.is_checked),
        Step(name="tell-people", act=going.tell_begin, done=lambda: going.was_told("begins")),
        Step(name="assign-site", act=going.assign, done=lambda: going.is_assigned(settled=False)),
        Step(name="fence-peer", act=going.fence, done=going.is_fencing_recorded),
        Step(name="record-point", act=going.record, done=going.is_recorded),
        Step(
            name="request-capacity",
            act=lambda _: capacity.request(case),
            done=lambda: capacity.is_requested(case),
        ),
        Step(
            name="promote-database",
            act=lambda report: promote.promote(case, report),
            done=lambda: promote.standby_is_writer(case),
            commits=True,
        ),
        Step(
            name="scale-out",
            act=lambda report: capacity.await_healthy(case, report),
            done=lambda: capacity.is_healthy(case),
        ),
        Step(
            name="shift-traffic",
            act=lambda _: traffic.claim(case),
            done=lambda: traffic.is_here(case),
        ),
        Step(name="verify-service", act=going.verify, done=going.is_verified),
        Step(
            name="snapshot-database",
            act=lambda _: promote.begin_snapshot(case, epoch),
            done=lambda: promote.is_snapshot_begun(case, epoch),
        ),
        Step(name="settle-assignment", act=going.settle, done=going.is_settled),
        Step(name="tell-people-again", act=going.tell_end, done=lambda: going.was_told("ended")),
    )


@dataclass(slots=True, kw_only=True)
class _Going:
    """One product's failover under way: what a later step needs of an earlier one."""

    case: Case
    target: Assignment
    resumes: bool
    assessment: Assessment | None = None
    fencing: Fencing | None = None
    verified: bool = False
    findings: list[str] = field(default_factory=list[str])

    def is_checked(self) -> Seen:
        if self.resumes:
            return Seen(holds=True, text=f"goes on with epoch {self.target.epoch}")
        if self.assessment is None:
            return Seen(holds=False, text="the standby has not been looked at")
        loss = self.assessment.loss
        return Seen(holds=True, text=loss.text if loss else "nothing speaks against it")

    def check(self, report: Report) -> None:
        """Assess until nothing is left to wait for; what will not pass is a refusal."""

        def assessed() -> Assessment | None:
            found = check.assess(self.case)
            if found.refusal:
                raise RefusedError(found.refusal)
            return None if found.waits else found

        found = assessed()
        if found is None:
            report.say(f"{self.case.deployment.database} is {check.BACKING_UP}; waiting")
            found = wait.until(assessed, seconds=self.case.rto_seconds)
        if found is None:
            raise RefusedError(
                f"{self.case.deployment.database} is still {check.BACKING_UP} after the RTO "
                f"({self.case.rto_seconds:.0f} s); RDS promotes when the backup has ended"
            )
        for finding in found.findings:
            report.say(f"{finding.check}: {finding.text}")
        self.assessment = found

    def was_told(self, what: str) -> Seen:
        told = notify.was_told(self.case.here, self.case.site, self._message(what))
        return Seen(holds=told, text=f"people {'know' if told else 'do not know'} that it {what}")

    def tell_begin(self, report: Report) -> None:
        loss = self.assessment.loss if self.assessment else None
        self._tell(
            report,
            "begins",
            f"{self.case.operator} moves {self.case.product.title} to {self.case.site.region} "
            f"({loss.text if loss else 'resumed'}). Execution {self.case.execution}.",
        )

    def tell_end(self, report: Report) -> None:
        self._tell(
            report,
            "ended",
            f"{self.case.product.title} serves from {self.case.site.region}. "
            f"Execution {self.case.execution}.",
        )

    def _tell(self, report: Report, what: str, text: str) -> None:
        title = f"Failover of {self.case.product.title} to {self.case.site.region} {what}"
        failed = notify.tell(self.case.here, self.case.site, self._message(what), title, text)
        if failed:
            report.deviate(f"people were not told: {failed}")

    def _message(self, what: str) -> str:
        return f"{self.case.product.name}-{self.target.epoch}-failover-{what}"

    def is_assigned(self, *, settled: bool) -> Seen:
        """Say whether both tables that can be reached name this site in this epoch."""
        for found in self._assignments():
            if isinstance(found, OutsideError):
                continue
            if found is None or (found.site, found.epoch) != (
                self.target.site,
                self.target.epoch,
            ):
                return Seen(holds=False, text="another site is assigned")
            if settled and not found.settled:
                return Seen(holds=False, text=f"epoch {found.epoch} is not settled")
        return Seen(holds=True, text=f"{self.target.site} is assigned in epoch {self.target.epoch}")

    def is_settled(self) -> Seen:
        return self.is_assigned(settled=True)

    def _assignments(self) -> list[Assignment | OutsideError | None]:
        case = self.case
        return answers(
            [
                lambda: assignment.read(case.here, case.site.control_table, case.product.name),
                lambda: assignment.read(
                    case.witness, case.topology.witness.control_table, case.product.name
                ),
            ]
        )

    def assign(self, report: Report) -> None:
        self._write(self.target, report)

    def settle(self, report: Report) -> None:
        if not self.verified:
            report.deviate("left open, so that running again verifies again")
            return
        self._write(replace(self.target, settled=True), report)

    def _write(self, wanted: Assignment, report: Report) -> None:
        """Write the target's table, which must take it, and the witness's, which may be dark."""
        case = self.case
        assignment.write(case.here, case.site.control_table, case.product.name, wanted)
        try:
            assignment.write(
                case.witness,
                case.topology.witness.control_table,
                case.product.name,
                wanted,
            )
        except OutsideError as error:
            report.deviate(f"only one of three tables took the assignment: {error}")

    def fence(self, report: Report) -> None:
        self.fencing = fence.fence(self.case, self.target)
        report.say(self.fencing.text)
        for attempt in self.fencing.attempts:
            if attempt.failed:
                report.say(f"{attempt.what}: {attempt.failed}")

    def is_fencing_recorded(self) -> Seen:
        if self.fencing is not None:
            return Seen(holds=True, text=self.fencing.text)
        return self.is_recorded()

    def is_recorded(self) -> Seen:
        recorded = point.exists(self.case, self.target.epoch)
        return Seen(
            holds=recorded,
            text=f"recovery point of epoch {self.target.epoch} "
            f"{'is' if recorded else 'is not'} recorded",
        )

    def record(self, report: Report) -> None:
        if self.assessment is None:
            # A kill came between assigning and recording: look again while there is a replica.
            self.assessment = check.assess(self.case)
        loss = self.assessment.loss
        if loss is None:
            report.say("the database is no replica any more; what it lacked was never recorded")
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
            },
        )

    def is_verified(self) -> Seen:
        if self.verified:
            return Seen(holds=True, text="; ".join(self.findings))
        return Seen(holds=False, text="not verified in this execution")

    def verify(self, report: Report) -> None:
        verdict = verify.verify(self.case)
        for finding in verdict.findings:
            said = f"{finding.what}: {finding.detail}"
            if finding.outcome == "ok":
                report.say(said)
            else:
                report.deviate(f"{finding.outcome}: {said}")
        self.verified = verdict.ok
        self.findings = [f"{len(verdict.findings)} checks passed"]


def execute(
    case: Case, journal: Journal, progress: Progress, *, lease_seconds: float = TTL_SECONDS
) -> Outcome:
    """Fail one product over under its execution lease; the outcome says how it ended."""
    client.calling_step.set(f"{case.product.name}/open")
    lease = Lease(
        holder=this_process(case.operator),
        execution=case.execution,
        ttl=lease_seconds,
        clock=time.monotonic,
    )
    try:
        _take(lease, case, progress)
        target, resumes = _target(case)
        steps = plan(case, target, resumes=resumes)
        committed = resumes and _is_promoted(case)
    except (RefusedError, OutsideError) as error:
        lease.release()
        progress.say(case.product.name, "open", "refused", str(error))
        return Outcome(
            product=case.product.name, exit_code=RefusedError.exit_code, error=str(error)
        )
    lease.keep()
    try:
        outcome = run(
            case.product.name,
            steps,
            token=lease,
            journal=journal,
            progress=progress,
            entering=lambda step: client.calling_step.set(f"{case.product.name}/{step}"),
            committed=committed,
        )
        outcome.epoch = target.epoch
        return outcome
    finally:
        client.calling_step.set(f"{case.product.name}/close")
        lease.release()


def _take(lease: Lease, case: Case, progress: Progress) -> None:
    lease.take(leasing.ControlTable(case.here, case.site.control_table, case.product.name))
    try:
        lease.take(
            leasing.ControlTable(
                case.witness, case.topology.witness.control_table, case.product.name
            )
        )
    except OutsideError as error:
        progress.say(case.product.name, "open", "says", f"the witness is dark: {error}")


def _target(case: Case) -> tuple[Assignment, bool]:
    """Return the assignment to bring about, and whether an earlier execution began it."""
    now = check.standing(case)
    if now is not None and now.site == case.site.name and not now.settled:
        return replace(now, execution=case.execution), True
    return (
        Assignment(
            site=case.site.name,
            epoch=now.epoch + 1 if now else 1,
            claim=True,
            settled=False,
            execution=case.execution,
        ),
        False,
    )


def _is_promoted(case: Case) -> bool:
    database = reach.described(case)
    return database is not None and database.source is None


def main() -> int:
    """Run the command line; return the exit code."""
    options = _options()
    began = time.monotonic()
    execution = f"failover-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:4]}"
    cases = opening.cases(
        options.region,
        options.product,
        execution=execution,
        resolver=options.resolver,
        accepted=Accepted(
            even_if_healthy=options.even_if_healthy,
            data_loss_seconds=options.accept_data_loss,
            outage_began=options.outage_began,
        ),
    )
    if options.dry_run:
        return _rehearse(cases, as_json=options.json)
    opening.prepare(cases[0])
    progress = Progress()
    journal = journalling.opened(execution, cases[0].here, cases[0].site)
    outcomes = at_once([lambda case=case: execute(case, journal, progress) for case in cases])
    journal.close()
    summary.show(cases, outcomes, journal, time.monotonic() - began, as_json=options.json)
    return worst(outcome.exit_code for outcome in outcomes)


def _rehearse(cases: tuple[Case, ...], *, as_json: bool) -> int:
    """Print what each check says and what each step would find; change nothing."""

    def look(case: Case) -> summary.Rehearsal:
        target, resumes = _target(case)
        assessment = None if resumes else check.assess(case)
        return summary.Rehearsal(
            product=case.product.name,
            assessment=assessment,
            steps=tuple(
                (step.name, answers([step.done])[0]) for step in plan(case, target, resumes=resumes)
            ),
        )

    found = at_once([lambda case=case: look(case) for case in cases])
    summary.show_rehearsals(found, as_json=as_json)
    return worst(rehearsal.exit_code for rehearsal in found)


def _options() -> argparse.Namespace:
    made = cli.parser(
        "failover",
        "Make the site in REGION the active one, because its peer has failed.\n\n"
        "Checks, tells people, fences what can be reached, promotes the databases, scales out,\n"
        "shifts traffic, verifies as a customer would, and reports. Killed at any point, the\n"
        "same command goes on. Never needs an answer from the failed region.",
        region_means="the region to move to, such as us-west-2",
    )
    made.add_argument(
        "--dry-run", action="store_true", help="print every check and step as seen now; no change"
    )
    made.add_argument(
        "--even-if-healthy", action="store_true", help="go on although customers are served now"
    )
    made.add_argument(
        "--accept-data-loss",
        type=_seconds,
        metavar="SECONDS",
        help="accept a predicted loss above the RPO, up to this",
    )
    made.add_argument(
        "--outage-began",
        type=_moment,
        metavar="TIME",
        help="when it began, as 2026-11-23T03:04:05Z (default: when it was last seen healthy)",
    )
    return made.parse_args()


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds; give 0 or more")
    return seconds


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise argparse.ArgumentTypeError(
            f"{text} is no time with a zone; write it as 2026-11-23T03:04:05Z"
        )
    return moment


if __name__ == "__main__":
    cli.main(main)
