"""Show or first write which site is active: `python -m recovery.assign --region REGION --initial`.

Recovery changes the assignment in its plans. This command writes only the very first one, when
the products are provisioned and serve for the first time.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from recovery import assignment, opening
from recovery.assignment import Assignment
from recovery.cloud.client import Region
from recovery.engine import cli
from recovery.engine.errors import FAILED, RECOVERED, REFUSED, OutsideError, worst
from recovery.engine.parallel import answers
from recovery.steps.case import Case

FIRST_EPOCH = 1


def begin(case: Case) -> None:
    """Write epoch 1 for the case's site into the three tables, where they have none."""
    first = Assignment(
        site=case.site.name,
        epoch=FIRST_EPOCH,
        claim=False,
        settled=True,
        execution=case.execution,
    )
    for region, table in _tables(case):
        assignment.write_first(region, table, case.product.name, first)


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
        "With --initial, first assign the products that never were to the site in REGION.",
        region_means="the site's region; with --initial, the one that shall be active",
    )
    made.add_argument(
        "--initial", action="store_true", help="write epoch 1 where there is no assignment"
    )
    options = made.parse_args()
    execution = f"assign-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    codes = [RECOVERED]
    for case in opening.cases(
        options.region, options.product, execution=execution, resolver=options.resolver
    ):
        if options.initial:
            begin(case)
        codes.append(_show(case, as_json=options.json, initial=options.initial))
    return worst(codes)


def _show(case: Case, *, as_json: bool, initial: bool) -> int:
    found = shown(case)
    for region, answer in found.items():
        fields: dict[str, object] = {"product": case.product.name, "region": region}
        match answer:
            case Assignment():
                fields |= {"site": answer.site, "epoch": answer.epoch, "settled": answer.settled}
            case OutsideError():
                fields["error"] = str(answer)
            case None:
                fields["error"] = "no assignment"
        print(json.dumps(fields) if as_json else "\t".join(str(each) for each in fields.values()))
    if any(isinstance(answer, OutsideError) for answer in found.values()):
        return FAILED
    elsewhere = [
        answer
        for answer in found.values()
        if not isinstance(answer, OutsideError) and (not answer or answer.site != case.site.name)
    ]
    return REFUSED if initial and elsewhere else RECOVERED


if __name__ == "__main__":
    cli.main(main)
