"""One screen: who is active, how far the standby is behind, and would a failover be accepted.

`python -m recovery.status --region REGION` asks the very checks that a failover to REGION runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from recovery import opening
from recovery.engine import cli
from recovery.engine.errors import RECOVERED, REFUSED, worst
from recovery.engine.parallel import at_once
from recovery.engine.plan import Seen
from recovery.steps import check, protection
from recovery.steps.case import Case
from recovery.steps.check import Assessment


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What there is to say of one product."""

    case: Case
    assessment: Assessment
    protection: Seen
    """Whether the active database has a standby."""

    @property
    def is_active_here(self) -> bool:
        """Say whether the asked region's site is the assigned one."""
        standing = self.assessment.standing
        return standing is not None and standing.site == self.case.site.name

    @property
    def refusal(self) -> str | None:
        """Why a failover to the region would be refused, even where an outage is meant."""
        return self.assessment.refusal or self.assessment.waits

    @property
    def exit_code(self) -> int:
        """0: active here, or ready to take over; 3: a failover would be refused."""
        return RECOVERED if self.is_active_here or not self.refusal else REFUSED


def look(case: Case) -> Standing:
    """Assess the product as a failover would that the operator means.

    A product that serves its customers is no fault of the standby: `--even-if-healthy` is
    assumed, and the line about the outage says whether it would be needed.
    """
    meant = replace(case, accepted=replace(case.accepted, even_if_healthy=True))
    assessment = check.assess(meant)
    protected = protection.protection(case, assessment.standing)
    return Standing(case=case, assessment=assessment, protection=protected)


def main() -> int:
    """Run the command line; return the exit code."""
    options = cli.parser(
        "status",
        "Show who is active, the standby's lag and predicted loss, and whether a failover to\n"
        "REGION would be accepted now, by the same checks. Exits 3 if it would be refused.",
        region_means="the standby's region, where a failover would go",
    ).parse_args()
    execution = f"status-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    cases = opening.cases(
        options.region, options.product, execution=execution, resolver=options.resolver
    )
    found = at_once([lambda case=case: look(case) for case in cases])
    if options.json:
        print(json.dumps([_facts(standing) for standing in found], indent=2, default=str))
    else:
        _print(found)
    return worst(standing.exit_code for standing in found)


def _facts(standing: Standing) -> dict[str, object]:
    assessment, case = standing.assessment, standing.case
    return {
        "product": case.product.name,
        "region": case.site.region,
        "active": assessment.standing and assessment.standing.site,
        "epoch": assessment.standing and assessment.standing.epoch,
        "settled": assessment.standing and assessment.standing.settled,
        "last_heartbeat": assessment.loss and assessment.loss.last_heartbeat,
        "predicted_loss_seconds": assessment.loss and assessment.loss.seconds,
        "rpo_seconds": case.product.rpo_seconds,
        "failover_refused_because": standing.refusal,
        "protection": standing.protection.text,
        "protected": standing.protection.holds,
        "findings": [asdict(finding) for finding in assessment.findings],
    }


def _print(found: Sequence[Standing]) -> None:
    from rich.console import Console  # noqa: PLC0415 - half of this command's start
    from rich.table import Table  # noqa: PLC0415

    table = Table(title=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
    for heading in ("product", "active", "epoch", "behind", "predicted loss", "failover now"):
        table.add_column(heading)
    for standing in found:
        table.add_row(*_row(standing))
    console = Console()
    console.print(table)
    for standing in found:
        console.print(f"\n{standing.case.product.title}", highlight=False)
        for finding in standing.assessment.findings:
            text = f"  {finding.verdict:<9} {finding.check:<11} {finding.text}"
            console.print(text, highlight=False, markup=False, soft_wrap=True)
        text = f"  {'':<9} {'protection':<11} {standing.protection.text}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)


def _row(standing: Standing) -> tuple[str, ...]:
    assessment, case = standing.assessment, standing.case
    active = assessment.standing
    loss = assessment.loss
    rpo = f"RPO {case.product.rpo_seconds} s"
    beat = loss and loss.last_heartbeat
    return (
        case.product.name,
        f"{active.site} ({case.topology.sites[active.site].region})" if active else "nobody",
        f"{active.epoch}{'' if active.settled else ', unsettled'}" if active else "",
        f"{(datetime.now(UTC) - beat).total_seconds():.1f} s" if beat else "unknown",
        f"{loss.seconds:.1f} s ({rpo})" if loss and loss.seconds is not None else "unknown",
        _verdict(standing),
    )


def _verdict(standing: Standing) -> str:
    if standing.is_active_here:
        return "already here"
    return f"refused to {standing.case.site.region}" if standing.refusal else "accepted"


if __name__ == "__main__":
    cli.main(main)
