"""Show which site is active, or write it: `python -m recovery.assign --region REGION --initial`.

Recovery changes the assignment in its plans. This command writes only the very first one, when
the products are provisioned and serve for the first time, and carries the newest one to tables
that were dark when it was written.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

from recovery import assignment, naming, opening
from recovery.assignment import Assignment
from recovery.carrying import carry
from recovery.cloud.client import Region
from recovery.engine import cli
from recovery.engine.errors import (
    FAILED,
    RECOVERED,
    OutsideError,
    RefusedError,
    StepFailedError,
    worst,
)
from recovery.engine.parallel import answers
from recovery.steps.case import Case

FIRST_EPOCH = 1


def begin(case: Case) -> None:
    """Write epoch 1 for the case's site into the three tables, where they have none.

    RefusedError where a table names another site or cannot be read: nothing was written then.
    StepFailedError where a later table failed; run again.
    """
    found = shown(case)
    for region, answer in found.items():
        if isinstance(answer, OutsideError):
            raise RefusedError(f"the first assignment needs all three tables: {answer}")
        if answer is not None and answer.site != case.site.name:
            raise RefusedError(
                f"{case.product.name} is assigned to {answer.site} already (epoch {answer.epoch} "
                f"in {region}); moving it is what recovery.failover does"
            )
    first = Assignment(
        site=case.site.name,
        epoch=FIRST_EPOCH,
        claim=case.site.name != naming.UNCLAIMED_SITE,
        settled=True,
        execution=case.execution,
    )
    try:
        for region, table in _tables(case):
            assignment.write_first(region, table, case.product.name, first)
    except OutsideError as error:
        raise StepFailedError(f"not all tables took the assignment: {error}") from error


def complete(case: Case) -> None:
    """Carry the newest assignment to every table that answers and has an older one, or none.

    RefusedError where no table has one, or two sites were given the newest epoch. StepFailedError
    names each table that does not answer, or did not take it, once all others have it.
    """
    found = shown(case)
    told = [answer for answer in found.values() if isinstance(answer, Assignment)]
    told.sort(key=lambda each: not each.settled)  # fencing leaves the peer's unsettled for good
    latest = assignment.newest(told)
    if latest is None:
        raise RefusedError(f"no table has an assignment of {case.product.name} to carry over")
    alone = next((each.alone for each in told if each.epoch == latest.epoch and each.alone), "")
    wanted = replace(latest, alone=alone)
    failed = carry(case.product.name, wanted, _tables(case), found)
    if failed:
        missing = "; ".join(f"{name} did not take it: {error}" for name, error in failed.items())
        said = f"epoch {latest.epoch} ({latest.site}) is not in all three tables: {missing}"
        if alone:
            said += f"; the table in {alone} may still be enough alone"
        raise StepFailedError(f"{said}; run this again when they answer")


def shown(case: Case) -> dict[str, Assignment | OutsideError | None]:
    """Return what each of the three tables says, by region."""
    tables = _tables(case)
    found = answers(
        [
            lambda region=region, table=table: assignment.read(region, table, case.product.name)
            for region, table in tables
        ]
    )
    return {region.name: answer for (region, _), answer in zip(tables, found, strict=True)}


def _tables(case: Case) -> list[tuple[Region, str]]:
    return [
        (case.here, case.site.control_table),
        (case.there, case.peer.control_table),
        (case.witness, case.topology.witness.control_table),
    ]


def main() -> int:
    """Run the command line; return the exit code."""
    made = cli.parser(
        "assign",
        "Show which site each product is assigned to, by each of the three control tables.\n"
        "With --initial, first assign the products that never were to the site in REGION.\n"
        "With --complete, first carry the newest assignment to the tables that lack it.",
        region_means="the site's region; with --initial, the one that shall be active",
    )
    write = made.add_mutually_exclusive_group()
    write.add_argument(
        "--initial", action="store_true", help="write epoch 1 where there is no assignment"
    )
    write.add_argument(
        "--complete", action="store_true", help="bring tables up to date that were dark"
    )
    options = made.parse_args()
    execution = f"assign-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    codes = [RECOVERED]
    for case in opening.cases(
        options.region, options.product, execution=execution, resolver=options.resolver
    ):
        if options.initial:
            begin(case)
        if options.complete:
            complete(case)
        codes.append(_show(case, as_json=options.json))
    return worst(codes)


def _show(case: Case, *, as_json: bool) -> int:
    found = shown(case)
    for region, answer in found.items():
        fields: dict[str, object] = {"product": case.product.name, "region": region}
        match answer:
            case Assignment():
                fields |= {"site": answer.site, "epoch": answer.epoch, "settled": answer.settled}
                if answer.alone:
                    fields["enough_alone"] = answer.alone
            case OutsideError():
                fields["error"] = str(answer)
            case None:
                fields["error"] = "no assignment"
        print(json.dumps(fields) if as_json else "\t".join(str(each) for each in fields.values()))
    unread = any(isinstance(answer, OutsideError) for answer in found.values())
    return FAILED if unread else RECOVERED


if __name__ == "__main__":
    cli.main(main)
