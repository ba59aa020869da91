"""Taking a switchover back before its promotion, and ending what a killed one left of that.

The old site is assigned first and its database opened after: a database is open only where its
site may serve.
"""

from __future__ import annotations

from dataclasses import dataclass

from recovery import assign, naming
from recovery.assignment import Assignment
from recovery.cloud import metrics
from recovery.database import gate
from recovery.engine import wait
from recovery.engine.errors import OutsideError, StepFailedError
from recovery.engine.plan import Report, Seen
from recovery.steps import check, claims, old_site
from recovery.steps.case import Case
from recovery.steps.takeover import Takeover

_SERVED_AGAIN_SECONDS = 60.0
"""Beyond the TTL, within which every guard has heard: services start, balancers notice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """One product's way back to the site that it was leaving."""

    going: Takeover

    @property
    def case(self) -> Case:
        """The product."""
        return self.going.case

    def is_whole(self) -> Seen:
        """Say whether all tables agree, and the database of the site that they name is open."""
        if self.going.resumes:
            return Seen(holds=True, text=f"goes on with epoch {self.going.target.epoch}")
        now, lacking = old_site.newest(self.case)
        if now is None:
            return Seen(holds=True, text="no site is assigned")
        if lacking:
            return Seen(holds=False, text=f"epoch {now.epoch} has not reached {', '.join(lacking)}")
        if now.site == self.case.peer.name and self._is_closed():
            return Seen(holds=False, text=f"{now.site} is active and its database is closed")
        return Seen(holds=True, text=f"all tables name {now.site} in epoch {now.epoch}")

    def make_whole(self, report: Report) -> None:
        """Bring the tables up to date, open the active site's database, see it serve."""
        assign.complete(self.case)
        now, _ = old_site.newest(self.case)
        if now is not None and now.site == self.case.peer.name:
            self.reopen(report)
            self.await_service(report)

    def is_handed_back(self) -> Seen:
        """Say whether all tables name the old site: again, or still."""
        now, lacking = old_site.newest(self.case)
        back = now is None or (now.site == self.case.peer.name and not lacking)
        said = f"{now.site} is assigned in epoch {now.epoch}" if now else "no site is assigned"
        return Seen(holds=back, text=said)

    def hand_back(self, _: Report) -> None:
        """Assign the old site in a newer epoch, with the claim that it needs, or last published."""
        case = self.case
        told = metrics.latest(
            old_site.region(case),
            naming.SWITCH_NAMESPACE,
            naming.CLAIM_METRIC,
            naming.switch_dimensions(case.product.name, case.peer.name),
        )
        old_site.write(
            case,
            Assignment(
                site=case.peer.name,
                epoch=self.going.target.epoch + 1,
                claim=claims.is_needed(case.peer.name) or (told is not None and told[1] > 0),
                settled=True,
                execution=case.execution,
            ),
        )

    def is_reopened(self) -> Seen:
        """Say whether the old database takes sessions."""
        closed, name = self._is_closed(), self.case.peer_deployment.database
        return Seen(holds=not closed, text=f"{name} is {'closed' if closed else 'open'}")

    def reopen(self, _: Report) -> None:
        """Open the old database."""
        name = self.case.peer_deployment.database_name
        old_site.ask(self.case, lambda session: gate.open_(session, name))

    def is_served(self) -> Seen:
        """Say whether customers are served."""
        unhealthy = check.first_unhealthy(self.case)
        return Seen(holds=unhealthy is None, text=unhealthy or "customers are served")

    def await_service(self, _: Report) -> None:
        """Wait until the old site's guards have heard, and its services work."""
        seconds = self.case.topology.guard.ttl_seconds + _SERVED_AGAIN_SECONDS
        if not wait.until(lambda: self.is_served().holds or None, seconds=seconds):
            raise StepFailedError(f"{self.is_served().text} after {seconds:.0f} s")

    def _is_closed(self) -> bool:
        name = self.case.peer_deployment.database_name
        return old_site.ask(self.case, lambda session: gate.is_open(session, name)) is False


def is_there(going: Takeover) -> bool:
    """Say whether a switchover began it, and nobody can have asked for the promotion yet."""
    try:
        return old_site.is_planned(going) and old_site.is_needed(going)
    except OutsideError:
        return False
