"""What `recovery.verify --record` takes of a product: at its active site, or not at all.

A record of the other site would replace the one that a failover is measured with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recovery import assignment
from recovery.assign import shown
from recovery.engine.errors import OutsideError, RefusedError
from recovery.engine.parallel import at_once
from recovery.tenure import VOTES
from recovery.verification import data, files
from recovery.verification.findings import Finding, failed

if TYPE_CHECKING:
    from recovery.assignment import Assignment
    from recovery.steps.case import Case


def record(case: Case) -> list[Finding]:
    """Record the product's files and data in both sites' buckets.

    Raise RefusedError, with nothing written, where the site is not active or not yet settled.
    """
    answers = shown(case)
    errors = [str(answer) for answer in answers.values() if isinstance(answer, OutsideError)]
    if len(answers) - len(errors) < VOTES:
        said = f"{len(answers) - len(errors)} of {len(answers)} control tables answer"
        return [failed("assignment", f"{said}, {VOTES} must: {'; '.join(errors)}")]
    told = (answer for answer in answers.values() if not isinstance(answer, OutsideError))
    _require_active(case, assignment.newest(told))
    return at_once([lambda take=take: take(case) for take in (files.record, data.record)])


def _require_active(case: Case, now: Assignment | None) -> None:
    name, region = case.product.name, case.site.region
    if now is None:
        raise RefusedError(
            f"no site is assigned to {name}; once it serves, run "
            f"python -m recovery.assign --region {region} --initial"
        )
    if now.site != case.site.name:
        raise RefusedError(
            f"{now.site} is active in epoch {now.epoch}, and only the active site is recorded; "
            f"use --region {case.topology.sites[now.site].region}"
        )
    if not now.settled:
        raise RefusedError(
            f"epoch {now.epoch} is not settled, and is measured with what was recorded before it; "
            f"finish it: python -m recovery.failover --region {region} --product {name}"
        )
