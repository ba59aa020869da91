"""A planned move: the old database is closed, the new one has all of it, then it is promoted.

That is the proof of one writer and of no loss, and needs no waiting for guards: through a closed
gate nobody writes, whether a guard heard of it or not. Until the promotion is asked for, all of it
can be taken back. After that nothing here needs the old site.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from recovery import names
from recovery.cloud import hosts
from recovery.database import gate
from recovery.engine import wait
from recovery.engine.errors import OutsideError, StepFailedError
from recovery.engine.plan import Report, Seen
from recovery.steps import capacity, check, old_site
from recovery.steps.case import Case
from recovery.steps.check_sites import Judge
from recovery.steps.reach import connection, described
from recovery.steps.takeover import Takeover

CLOSING_SECONDS = 30.0
"""Sessions end within moments of being told to; one that rolls much back may need longer."""
CATCH_UP_SECONDS = 120.0
"""As long as customers are made to wait for a replica that was seconds behind."""


@dataclass(slots=True, kw_only=True)
class Switch:
    """What a planned move does beyond a takeover."""

    going: Takeover
    caught_up: str | None = None
    """What this execution saw of the new database having all of the old one."""
    scaled_in: str | None = None

    @property
    def case(self) -> Case:
        """The product on its way."""
        return self.going.case

    def _goes_on(self) -> Seen | None:
        """Return why a step of the old site holds, where it is not needed any more."""
        if old_site.is_needed(self.going):
            return None
        return Seen(holds=True, text=f"goes on with epoch {self.going.target.epoch}")

    @property
    def _old(self) -> str:
        return self.case.peer_deployment.database

    # Before the gap.

    def check(self, report: Report) -> None:
        """Refuse what would not work; a run that has the proof already needs nothing more."""
        if old_site.is_needed(self.going):
            self.going.check(report, Judge(going=self.going).assess)

    def is_checked(self) -> Seen:
        """Say whether the checks passed."""
        return self._goes_on() or self.going.is_checked()

    def are_hosts_there(self) -> Seen:
        """Say whether full scale is there and idle, as it is until the site is assigned."""
        if self.going.resumes:
            return Seen(holds=True, text=f"goes on with epoch {self.going.target.epoch}")
        return capacity.is_healthy(self.case)

    def await_hosts(self, _: Report) -> None:
        """Wait for full scale: there is no outage that would excuse a smaller service."""
        if not wait.until(
            lambda: capacity.is_healthy(self.case).holds or None, seconds=capacity.PATIENCE_SECONDS
        ):
            raise StepFailedError(
                f"{capacity.is_healthy(self.case).text} after {capacity.PATIENCE_SECONDS:.0f} s; "
                "see the scaling activities of the group"
            )

    def tell_begin(self, report: Report) -> None:
        """Tell people what is about to happen."""
        self.going.tell_begin(report, "planned, without loss")

    # The gap.

    def is_assigned(self) -> Seen:
        """Say whether all three tables name this site in this epoch."""
        if not old_site.is_needed(self.going):
            return self.going.is_assigned(settled=False)
        now, lacking = old_site.newest(self.case)
        target = self.going.target
        if now is None or lacking or (now.site, now.epoch) != (target.site, target.epoch):
            return Seen(holds=False, text="another site is assigned")
        return Seen(holds=True, text=f"{target.site} is assigned in epoch {target.epoch}")

    def assign(self, _: Report) -> None:
        """Write the new epoch into the three tables at once: old guards stop, new ones start.

        From here on customers are not served; where an earlier execution wrote it, they were not
        since then.
        """
        if self.going.target.written_at is None:
            self.going.target = replace(self.going.target, written_at=datetime.now(UTC))
        old_site.write(self.case, self.going.target)

    def is_closed(self) -> Seen:
        """Say whether the old database takes no session and has none."""
        if held := self._goes_on():
            return held
        name = self.case.peer_deployment.database_name
        takes, inside = old_site.ask(
            self.case, lambda session: (gate.is_open(session, name), gate.sessions(session, name))
        )
        if takes is False and not inside:
            return Seen(holds=True, text=f"{self._old} is closed, without a session")
        state = "open" if takes else "closed"
        return Seen(holds=False, text=f"{self._old} is {state}, with {inside} sessions")

    def close(self, report: Report) -> None:
        """Close the old database and end all sessions in it."""
        name = self.case.peer_deployment.database_name
        left = old_site.ask(
            self.case, lambda session: gate.close(session, name, seconds=CLOSING_SECONDS)
        )
        if left:
            raise StepFailedError(
                f"{left} sessions are left in {name} at {self._old} after {CLOSING_SECONDS:.0f} s; "
                "end what holds them, then run again"
            )
        report.say(f"{self._old} takes no more writes")

    def is_caught_up(self) -> Seen:
        """Say whether the new database is known to have all of the old one."""
        if held := self._goes_on():
            return held
        if self.caught_up is not None:
            return Seen(holds=True, text=self.caught_up)
        return Seen(holds=False, text="what the old database has was not compared yet")

    def catch_up(self, report: Report) -> None:
        """Wait until the replica has replayed the old database's log to its end."""
        name = self.case.peer_deployment.database_name
        end = old_site.ask(self.case, lambda session: gate.end_of_log(session, name))
        replica = described(self.case)
        if replica is None:
            raise StepFailedError(f"{self.case.deployment.database} has vanished")
        began = datetime.now(UTC)
        with connection(self.case, replica, maintenance=True) as session:
            behind = wait.until(
                lambda: None if gate.bytes_behind(session, end) else 0, seconds=CATCH_UP_SECONDS
            )
            if behind is None:
                raise StepFailedError(
                    f"{replica.id} lacks {gate.bytes_behind(session, end)} bytes up to {end} after "
                    f"{CATCH_UP_SECONDS:.0f} s; look at its replication, then run again"
                )
        seconds = (datetime.now(UTC) - began).total_seconds()
        report.say(f"{replica.id} had all of it within {seconds:.2f} s")
        self.caught_up = f"{self._old} is closed, and {replica.id} has its log to the end, {end}"

    def record(self, report: Report) -> None:
        """Write down the proof, before the promotion."""
        began = self.going.target.written_at
        known: dict[str, object] = {
            "outage_began": began and began.isoformat(),
            "predicted_loss_seconds": 0.0,
            "fencing": "the old database is closed",
            "one_writer": f"one writer: {self.caught_up}",
        }
        self.going.record(report, known)

    # After the promotion.

    def serves_here(self) -> Seen:
        """Say whether full scale is there, and each service works behind the balancer here."""
        healthy = capacity.is_healthy(self.case)
        if not healthy.holds:
            return healthy
        unhealthy = self._first_unhealthy()
        return Seen(holds=unhealthy is None, text=unhealthy or f"{healthy.text}, which works")

    def await_serving(self, report: Report) -> None:
        """Wait until the hosts, idle until now, serve."""
        capacity.await_healthy(self.case, report)
        if not wait.until(
            lambda: None if self._first_unhealthy() else True, seconds=capacity.PATIENCE_SECONDS
        ):
            report.deviate(f"{self._first_unhealthy()}; going on, as nothing else can be done")

    def _first_unhealthy(self) -> str | None:
        balancer = self.case.deployment.load_balancer_dns
        return check.first_unhealthy(self.case, names.resolve(balancer, self.case.resolver))

    def is_scaled_in(self) -> Seen:
        """Say whether this execution told the old hosts to become fewer."""
        done = self.scaled_in is not None
        return Seen(holds=done, text=self.scaled_in or "the old hosts are at full scale")

    def scale_in(self, report: Report) -> None:
        """Scale the old hosts to the size of a standby, and say there that the move is over."""
        old, case = self.case.peer_deployment, self.case
        try:
            hosts.scale(case.there, old.host_group, old.hosts_standby)
        except OutsideError as error:
            report.deviate(f"{old.host_group} was not scaled in: {error}")
        self.scaled_in = f"{old.host_group} is asked for {old.hosts_standby}"
