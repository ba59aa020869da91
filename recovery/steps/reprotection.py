"""Protecting a product again: the steps that lean on what an earlier one found.

The case's site is the active one, its peer the site to be protected into. Each method pair is one
step's act and done. What survives a kill is in the world, not here.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime

from recovery import assign, naming, notify
from recovery.assignment import Assignment
from recovery.cloud import objects
from recovery.engine import wait
from recovery.engine.errors import OutsideError, RefusedError
from recovery.engine.gates import Go
from recovery.engine.plan import Report, Seen
from recovery.steps import (
    check_protection,
    claims,
    ledger,
    new_replica,
    old_database,
    rearm,
    reverse_files,
    verify_protection,
)
from recovery.steps.case import Case
from recovery.steps.finding import Finding
from recovery.steps.old_database import look

CHECK_SECONDS = 3600.0
"""Backups and changes of a database that are under way are waited for so long."""


@dataclass(slots=True, kw_only=True)
class Reprotection:
    """One product's way to a new standby, in the epoch of `target`."""

    case: Case
    target: Assignment
    resumes: bool
    """Whether an earlier execution changed anything in this epoch."""
    promoted: bool = False
    """Never: nothing here cannot be gone back on, or on with, by running it again."""
    checked: str | None = None
    stands: bool = False
    """Whether the standby was there before anything was changed in this epoch."""
    backfilled: str | None = None
    """What was copied, once this execution has compared the buckets."""
    verified: str | None = None
    told: set[str] = field(default_factory=set[str])
    approvals: list[Go] = field(default_factory=list[Go])

    def is_checked(self) -> Seen:
        """Say whether the checks passed in this execution."""
        return Seen(holds=self.checked is not None, text=self.checked or "nothing was looked at")

    def check(self, report: Report) -> None:
        """Assess until nothing is left to wait for; what will not pass is a refusal."""
        waits = ""

        def assessed() -> list[Finding] | None:
            nonlocal waits
            found = check_protection.assess(self.case, self.target.epoch)
            if against := [each.text for each in found if each.verdict == "refused"]:
                raise RefusedError("; ".join(against))
            passing = "; ".join(each.text for each in found if each.verdict == "wait")
            if passing and passing != waits:
                report.say(f"{passing}; waiting")
            waits = passing
            return None if passing else found

        found = wait.until(assessed, seconds=CHECK_SECONDS)
        if found is None:
            raise RefusedError(f"{waits}; it was not over within {CHECK_SECONDS / 60:.0f} min")
        for finding in found:
            report.say(f"{finding.check}: {finding.text}")
        stands = [each.text for each in found if each.check == check_protection.STANDBY]
        self.stands = bool(stands) and not self.resumes
        self.checked = "; ".join(stands) or f"nothing speaks against {self.case.peer.region}"

    def is_carried(self) -> Seen:
        """Say whether the three tables say the same."""
        found = assign.shown(self.case)
        behind = [region for region, answer in found.items() if not self._is_carried_to(answer)]
        if behind:
            return Seen(holds=False, text=f"{', '.join(behind)} does not have the assignment")
        now = self.target
        return Seen(holds=True, text=f"all tables name {now.site} in epoch {now.epoch}")

    def _is_carried_to(self, told: Assignment | OutsideError | None) -> bool:
        """Say whether a table says what all must; who claims the traffic is another step's."""
        return isinstance(told, Assignment) and self.target == replace(
            told, claim=self.target.claim
        )

    def carry(self, report: Report) -> None:
        """Bring the table of the site that was away up to date, so that its guards obey."""
        assign.complete(self.case)
        report.say(f"{self.target.site} is assigned in all tables")

    def is_kept(self) -> Seen:
        """Say whether the old database is kept as a snapshot."""
        return old_database.is_kept(self.case, self.target.epoch)

    def keep(self, report: Report) -> None:
        """Keep what never replicated."""
        old_database.keep(self.case, self.target.epoch, report)

    def is_ledger_written(self) -> Seen:
        """Say whether the loss ledger of the epoch is whole."""
        found = ledger.read(self.case, self.target.epoch)
        if found is not None:
            return Seen(holds=True, text=found.text)
        if look(self.case, self.target.epoch).old is None:
            return Seen(holds=True, text=f"no old database is left in {self.case.peer.region}")
        return Seen(holds=False, text="what only the old site has is not told yet")

    def write_ledger(self, report: Report) -> None:
        """Tell what only the old site has."""
        ledger.write(self.case, self.target.epoch, self.target.execution, report)

    def is_isolated(self) -> Seen:
        """Say whether the old database is put aside."""
        return old_database.is_isolated(self.case, self.target.epoch)

    def isolate(self, report: Report) -> None:
        """Put the old database aside."""
        old_database.isolate(self.case, self.target.epoch, report)

    def is_replicating(self) -> Seen:
        """Say whether the replica streams."""
        return new_replica.is_streaming(self.case, self.target.epoch)

    def replicate(self, report: Report) -> None:
        """Make the replica."""
        new_replica.make(self.case, self.target.epoch, report)

    def is_reversed(self) -> Seen:
        """Say whether files flow to the standby, and this execution saw that none is missing."""
        seen = reverse_files.is_reversed(self.case)
        if not seen.holds:
            return seen
        return Seen(
            holds=self.backfilled is not None,
            text=f"{seen.text}; {self.backfilled or 'what is there was not compared'}",
        )

    def reverse(self, report: Report) -> None:
        """Turn the rules round and bring what is missing."""
        reverse_files.reverse(self.case)
        self.backfilled = reverse_files.backfill(self.case, report)

    def are_hosts_armed(self) -> Seen:
        """Say whether the standby's hosts wait, behind a balancer that forwards."""
        return rearm.is_armed(self.case)

    def arm_hosts(self, report: Report) -> None:
        """Scale the standby's hosts, and undo the fencing of its balancer."""
        rearm.arm(self.case, report)

    def is_switch_armed(self) -> Seen:
        """Say whether the traffic could be claimed by the standby."""
        return claims.is_armed(self.case, self.target)

    def arm_switch(self, report: Report) -> None:
        """Let nobody claim the traffic who need not."""
        claims.arm(self.case, self.target, report)

    def is_verified(self) -> Seen:
        """Say whether this execution verified the protection."""
        return Seen(
            holds=self.verified is not None,
            text=self.verified or "not verified in this execution",
        )

    def verify(self, report: Report) -> None:
        """See rows and files arrive, and whether a failover there would be accepted."""
        found = verify_protection.verify(self.case, self.target)
        for finding in found:
            if finding.verdict == "ok":
                report.say(f"{finding.check}: {finding.text}")
            else:
                report.deviate(f"{finding.check}: {finding.text}")
        passed = sum(finding.verdict == "ok" for finding in found)
        self.verified = f"{passed} of {len(found)} checks passed"

    def was_told(self) -> Seen:
        """Say whether people know that the product is protected."""
        if self.stands:
            return Seen(holds=True, text="it was protected before, which is no news")
        told = self._message in self.told or notify.was_told(
            self.case.here, self.case.site, self._message
        )
        return Seen(holds=told, text=f"people {'know' if told else 'do not know'}")

    def tell(self, report: Report) -> None:
        """Tell people where the new standby is, and what only the old site had."""
        case, loss = self.case, ledger.read(self.case, self.target.epoch)
        failed = notify.tell(
            case.here,
            case.site,
            self._message,
            f"{case.product.title} is protected in {case.peer.region} again",
            f"{case.peer.region} is the standby of {case.product.title}, active in "
            f"{case.site.region} (epoch {self.target.epoch}). Loss ledger: "
            f"{loss.text if loss else 'none'}. Execution {case.execution}.",
        )
        if failed:
            report.deviate(f"people were not told: {failed}")
        else:
            self.told.add(self._message)

    @property
    def _message(self) -> str:
        return f"{self.case.product.name}-{self.target.epoch}-protected"

    def is_recorded(self) -> Seen:
        """Say whether both sites' buckets have the record."""
        case, key = self.case, self._record
        there = objects.exists(case.turned.here, case.peer.bucket, key) and objects.exists(
            case.here, case.site.bucket, key
        )
        return Seen(holds=there, text=f"{key} {'is' if there else 'is not'} in both buckets")

    @property
    def _record(self) -> str:
        return naming.protection_key(self.case.product.name, self.target.epoch)

    def record(self, report: Report) -> None:
        """Write down what protects the product now."""
        case, epoch = self.case, self.target.epoch
        found = ledger.read(case, epoch)
        facts = {
            "product": case.product.name,
            "epoch": epoch,
            "execution": case.execution,
            "operator": case.operator,
            "recorded_at": datetime.now(UTC),
            "active": case.site.name,
            "standby": case.peer.name,
            "replica": case.peer_deployment.database,
            "old_database": naming.isolated_id(case.peer_deployment.database, epoch),
            "ledger": found and asdict(found),
            "verified": self.verified,
        }
        document = json.dumps(facts, indent=2, sort_keys=True, default=str).encode()
        objects.write(case.turned.here, case.peer.bucket, self._record, document)
        objects.write(case.here, case.site.bucket, self._record, document)
        report.say(f"s3://{case.site.bucket}/{self._record}")


def reprotection_of(case: Case) -> Reprotection:
    """Return what is to be brought about, under the assignment as it is.

    Where that is none of the case's site, the checks refuse.
    """
    now = check_protection.standing(case)
    if now is None or now.site != case.site.name:
        return blank_reprotection(case)
    try:
        resumes = look(case, now.epoch).aside is not None or old_database.is_snapshot_begun(
            case, now.epoch
        )
    except OutsideError:
        resumes = False  # the checks say what does not answer
    target = replace(now, settled=True, alone="")
    return Reprotection(case=case, target=target, resumes=resumes)


def blank_reprotection(case: Case) -> Reprotection:
    """Return a reprotection under an assignment that there is not."""
    target = Assignment(
        site=case.site.name, epoch=0, claim=False, settled=True, execution=case.execution
    )
    return Reprotection(case=case, target=target, resumes=False)
