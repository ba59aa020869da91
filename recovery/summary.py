"""The report at the end of a plan: text for people, JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from recovery.engine.budget import span
from recovery.engine.errors import RECOVERED, REFUSED, OutsideError, worst
from recovery.engine.gates import NO_CONTROLS, Controls
from recovery.engine.journal import Journal
from recovery.engine.parallel import answers
from recovery.engine.plan import Outcome, Seen
from recovery.steps import point
from recovery.steps.case import Case
from recovery.steps.check import Assessment
from recovery.topology import Product, Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """How a verb's plan is told."""

    endings: Mapping[int, str]
    """Exit code → what it means for the product."""
    target: Callable[[Case], Site]
    """The site whose region the operator named."""
    moves: bool
    """Whether it moves the product: then its outage, loss and recovery point are told."""


MOVED = Telling(
    endings={
        0: "recovered and verified",
        1: "ended by a bug",
        3: "REFUSED, nothing was changed",
        4: "FAILED before the point of no return",
        5: "STRANDED after the point of no return",
        6: "recovered, but it DEVIATES",
    },
    target=lambda case: case.site,
    moves=True,
)

_VERIFYING = "verify-service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What a dry run saw of one product."""

    product: str
    verb: str
    assessment: Assessment | None
    steps: tuple[tuple[str, Seen | OutsideError], ...]
    controls: Controls = NO_CONTROLS

    @property
    def exit_code(self) -> int:
        """Say how the command would be received now."""
        held_up = self.assessment and (self.assessment.refusal or self.assessment.waits)
        return REFUSED if held_up else RECOVERED


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One execution that has ended."""

    cases: tuple[Case, ...]
    outcomes: tuple[Outcome, ...]
    """Of each case, in the same order."""
    journal: Journal
    seconds: float
    telling: Telling

    @property
    def exit_code(self) -> int:
        """Return the worst of the products'."""
        return worst(outcome.exit_code for outcome in self.outcomes)


def show(ran: Ran, *, as_json: bool) -> None:
    """Print what was done, how long it took and what it cost."""
    if as_json:
        print(json.dumps(report(ran), indent=2))
        return
    for case, outcome, fact in zip(ran.cases, ran.outcomes, _all_facts(ran), strict=True):
        _print_product(ran.telling, case, outcome, fact)
    journal = ran.journal
    print(f"\nexecution {journal.execution}, {ran.seconds:.1f} s, journal {journal.path}")
    if journal.mirror_fault:
        print(f"  the journal's copy in the bucket is incomplete: {journal.mirror_fault}")


def report(ran: Ran) -> dict[str, object]:
    """Return the same for machines."""
    return {
        "execution": ran.journal.execution,
        "journal": str(ran.journal.path),
        "mirror_fault": ran.journal.mirror_fault,
        "seconds": round(ran.seconds, 3),
        "products": _all_facts(ran),
    }


def show_rehearsals(found: Sequence[Rehearsal], *, as_json: bool) -> None:
    """Print every check's finding and what each step would find done or to do."""
    if as_json:
        print(json.dumps([_rehearsal_facts(each) for each in found], indent=2, default=str))
        return
    for each in found:
        print(f"\n{each.product}: dry run, nothing was changed")
        for finding in each.assessment.findings if each.assessment else ():
            print(f"  {finding.verdict:<9} {finding.check:<11} {finding.text}")
        print()
        for name, seen in each.steps:
            text = str(seen) if isinstance(seen, OutsideError) else seen.text
            asked = each.controls.told(name)
            print(f"  {_will(seen):<9} {name:<18} {text}{f'; {asked}' if asked else ''}")
        refused = each.assessment and (each.assessment.refusal or each.assessment.waits)
        print(f"\n  a {each.verb} now would {f'be refused: {refused}' if refused else 'go ahead'}")


def _all_facts(ran: Ran) -> list[dict[str, object]]:
    telling = ran.telling
    both = list(zip(ran.cases, ran.outcomes, strict=True))
    points = answers([lambda pair=pair: _point(*pair) if telling.moves else {} for pair in both])
    return [
        _facts(telling, case, outcome, {} if isinstance(found, OutsideError) else found)
        for (case, outcome), found in zip(both, points, strict=True)
    ]


def _will(seen: Seen | OutsideError) -> str:
    if isinstance(seen, OutsideError):
        return "unknown"
    return "holds" if seen.holds else "would act"


def _rehearsal_facts(each: Rehearsal) -> dict[str, object]:
    return {
        "product": each.product,
        "exit_code": each.exit_code,
        "findings": [asdict(finding) for finding in each.assessment.findings]
        if each.assessment
        else [],
        "steps": [
            {"name": name, "control": each.controls.told(name)}
            | ({"error": str(seen)} if isinstance(seen, OutsideError) else asdict(seen))
            for name, seen in each.steps
        ],
    }


def _point(case: Case, outcome: Outcome) -> Mapping[str, object]:
    """Return the recovery point of the execution's epoch, empty where it did not come so far."""
    return {} if outcome.epoch is None else point.read(case, outcome.epoch)


def _facts(
    telling: Telling, case: Case, outcome: Outcome, recorded: Mapping[str, object]
) -> dict[str, object]:
    """Return what there is to say of one product; times in seconds."""
    return {
        "product": case.product.name,
        "region": telling.target(case).region,
        "exit_code": outcome.exit_code,
        "ending": telling.endings[outcome.exit_code],
        "error": outcome.error,
        "epoch": outcome.epoch,
        "rto_seconds": case.product.rto_seconds,
        "achieved_rto_seconds": _achieved(outcome, recorded.get("outage_began")),
        "rpo_seconds": case.product.rpo_seconds,
        "predicted_loss_seconds": recorded.get("predicted_loss_seconds"),
        "fencing": recorded.get("fencing"),
        "one_writer": recorded.get("one_writer"),
        "accepted_split_brain": recorded.get("accepted_split_brain"),
        "approvals": [asdict(go) for go in outcome.approvals],
        "deviations": outcome.deviations,
        "budget": outcome.spending
        and {
            "spent_seconds": round(outcome.spending.spent_seconds, 3),
            "forecast_seconds": round(outcome.forecast_seconds, 3),
            "exceeded": outcome.over_budget,
        },
        "steps": [
            {
                "name": step.name,
                "skipped": step.skipped,
                "left_out": step.left_out,
                "seconds": round(step.seconds, 3),
                "text": step.text,
            }
            for step in outcome.steps
        ],
    }


def _achieved(outcome: Outcome, outage_began: object) -> float | None:
    """Return the seconds from the outage's start to the verified service, if both are known."""
    done = (step for step in outcome.steps if not step.left_out)
    verified = next((step for step in done if step.name == _VERIFYING), None)
    if verified is None or not isinstance(outage_began, str):
        return None
    return (verified.ended_at - datetime.fromisoformat(outage_began)).total_seconds()


def _print_product(
    telling: Telling, case: Case, outcome: Outcome, fact: Mapping[str, object]
) -> None:
    product = case.product
    print(
        f"\n{product.title}: {telling.endings[outcome.exit_code]} ({telling.target(case).region})"
    )
    if outcome.error:
        print(f"  {outcome.error}")
    for step in outcome.steps:
        held = "SKIPPED" if step.left_out else "held"
        mark = held if step.skipped else f"{step.seconds:.2f} s"
        print(f"  {mark:>8}  {step.name:<18} {step.text}")
    if telling.moves:
        _print_cost(product, fact)
    if outcome.spending:
        spent, forecast = span(outcome.spending.spent_seconds), span(outcome.forecast_seconds)
        said = f"; {outcome.over_budget}" if outcome.over_budget else ""
        print(f"  budget    {spent} of the RTO spent, {forecast} forecast{said}")
    for go in outcome.approvals:
        print(f"  approved  {go.step} {go.text}")
    if fact["fencing"]:
        print(f"  fencing   {fact['fencing']}")
        print(f"  writer    {fact['one_writer']}")
    for deviation in outcome.deviations:
        print(f"  DEVIATES  {deviation}")


def _print_cost(product: Product, fact: Mapping[str, object]) -> None:
    achieved, loss = _of(fact["achieved_rto_seconds"]), _of(fact["predicted_loss_seconds"])
    print(f"  outage    {achieved} to verified; RTO {product.rto_seconds} s")
    print(f"  loss      at most {loss} predicted; RPO {product.rpo_seconds} s")


def _of(seconds: object) -> str:
    return f"{seconds:.1f} s" if isinstance(seconds, int | float) else "unknown"
