"""Naming the target in the control tables, and knowing which of them do.

Only the target's and the witness's tables are asked here; the peer's takes part by fencing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from recovery import assignment
from recovery.assignment import Assignment
from recovery.carrying import carry
from recovery.engine.errors import OutsideError
from recovery.engine.parallel import answers
from recovery.engine.plan import Report, Seen
from recovery.steps.case import Case
from recovery.tenure import VOTES


@dataclass(slots=True, kw_only=True)
class Naming:
    """What one execution knows of the tables that name its site in its epoch."""

    case: Case
    target: Assignment
    regions: set[str] = field(default_factory=set[str])
    """Where the tables are known to name it."""
    since: float | None = None
    """When two of them did, by the monotonic clock: from then on old guards run out of time."""

    @property
    def owing(self) -> str | None:
        """Return the peer's region if its table was enough alone, and has not taken this epoch."""
        peer = self.case.there.name
        return peer if self.target.alone == peer and peer not in self.regions else None

    def note(self, region: str) -> None:
        """Remember that a region's table names this site."""
        if region == self.owing:
            self.since = None  # its guards obeyed that table alone until now
        self.regions.add(region)
        if len(self.regions) >= VOTES and self.since is None:
            self.since = time.monotonic()

    def is_assigned(self, *, settled: bool) -> Seen:
        """Say whether both tables that can be reached name this site in this epoch."""
        here, witness = self._found()
        if isinstance(here, OutsideError):
            raise here
        for region, found in ((self.case.here, here), (self.case.witness, witness)):
            if isinstance(found, OutsideError):
                continue  # a dark witness; that the assignment has one table only was said
            if found is None or (found.site, found.epoch) != (
                self.target.site,
                self.target.epoch,
            ):
                return Seen(holds=False, text="another site is assigned")
            self.note(region.name)
            if settled and not found.settled:
                return Seen(holds=False, text=f"epoch {found.epoch} is not settled")
        return Seen(holds=True, text=f"{self.target.site} is assigned in epoch {self.target.epoch}")

    def write(self, wanted: Assignment, report: Report) -> None:
        """Write the witness's table, which may be dark, and the target's, which must take it.

        A target's table that was enough alone is an ordinary one again when two tables have it.
        """
        case, here, witness = self.case, self.case.here, self.case.witness
        found_here, found_witness = self._found()
        if isinstance(found_here, OutsideError):
            raise found_here
        failed = carry(
            case.product.name,
            replace(wanted, alone=self._alone(found_here)),
            [(witness, case.topology.witness.control_table), (here, case.site.control_table)],
            {witness.name: found_witness, here.name: found_here},
            named=bool(self.regions - {here.name}),
        )
        if here.name in failed:
            raise failed[here.name]
        if witness.name in failed:
            error = failed[witness.name]
            report.deviate(f"the witness's table did not take the assignment: {error}")

    def stand_alone(self) -> None:
        """Let the target's table be enough by itself, as a person accepted."""
        case = self.case
        enough = replace(self.target, alone=case.here.name)
        assignment.write(case.here, case.site.control_table, case.product.name, enough)

    def _alone(self, here: Assignment | None) -> str:
        """Return the region whose table is, or may still be, enough by itself for its site."""
        name = self.case.here.name
        if here and (here.epoch, here.alone) == (self.target.epoch, name):
            return name
        return self.owing or ""

    def _found(self) -> list[Assignment | OutsideError | None]:
        case = self.case
        return answers(
            [
                lambda: assignment.read(case.here, case.site.control_table, case.product.name),
                lambda: assignment.read(
                    case.witness, case.topology.witness.control_table, case.product.name
                ),
            ]
        )
