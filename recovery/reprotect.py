"""Protect products in a region again: `python -m recovery.reprotect --region REGION`.

After a failover, once the failed region is back, or after a switchover: the site in REGION becomes
the standby of the active one. What only its old database and buckets have is kept and told before
anything takes their place. Killed at any point, the same command goes on from what it sees.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from recovery import discovery, journalling, opening
from recovery.cloud import client
from recovery.engine import cli
from recovery.engine.errors import OutsideError, RefusedError, worst
from recovery.engine.journal import Journal
from recovery.engine.parallel import answers, at_once
from recovery.engine.plan import Outcome, Step
from recovery.engine.progress import Progress
from recovery.execution import execute_from
from recovery.steps.case import Case
from recovery.steps.reprotection import Reprotection, reprotection_of


def plan(going: Reprotection) -> tuple[Step, ...]:
    """Return the steps that make the peer of the case's site its standby, in their order."""
    return (
        Step(name="check-sites", reads_only=True, act=going.check, done=going.is_checked),
        Step(name="carry-assignment", act=going.carry, done=going.is_carried),
        Step(name="keep-old", act=going.keep, done=going.is_kept),
        Step(name="write-ledger", act=going.write_ledger, done=going.is_ledger_written),
        Step(name="isolate-old", act=going.isolate, done=going.is_isolated),
        Step(name="make-replica", act=going.replicate, done=going.is_replicating),
        Step(name="reverse-files", act=going.reverse, done=going.is_reversed),
        Step(name="re-arm", act=going.arm, done=going.is_armed),
        Step(name="verify-protection", act=going.verify, done=going.is_verified),
        Step(name="tell-people", act=going.tell, done=going.was_told),
        Step(name="record-protection", act=going.record, done=going.is_recorded),
    )


def main() -> int:
    """Run the command line; return the exit code."""
    made = cli.parser(
        "reprotect",
        "Make the site in REGION the standby of the active one again, after a failover or a\n"
        "switchover: keep its old database, tell what only it has (the loss ledger), replicate\n"
        "database and files to it, and see that a failover there would be accepted.\n"
        "Needs both regions, and a control host. Killed at any point, the same command goes on.",
        region_means="the region to protect into: the one that failed, or was left",
    )
    made.add_argument(
        "--dry-run", action="store_true", help="print every step as seen now; no change"
    )
    options = made.parse_args()
    began = time.monotonic()
    execution = f"reprotect-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:4]}"
    cases = opening.cases(
        active_region(options.region),
        options.product,
        execution=execution,
        resolver=options.resolver,
    )
    if options.dry_run:
        return _rehearse(cases, as_json=options.json)
    opening.prepare(cases[0])
    client.prepare([cases[0].turned.here], ["rds", "s3", "elbv2", "autoscaling", "secretsmanager"])
    progress = Progress()
    journal = journalling.opened("reprotect", cases)
    outcomes = at_once(
        [
            lambda case=case: execute_from(case, reprotection_of, plan, journal, progress)
            for case in cases
        ]
    )
    code = worst(outcome.exit_code for outcome in outcomes)
    seconds = time.monotonic() - began
    journalling.closed(journal, progress, code, seconds)
    _show(cases, outcomes, journal, seconds, as_json=options.json)
    return code


def active_region(region: str) -> str:
    """Return the other site's region, where the lease, the journal and the ledger belong."""
    topology = discovery.find(region)
    site = topology.site_in(region)
    if site is None:
        known = ", ".join(sorted(each.region for each in topology.sites.values()))
        raise RefusedError(f"{region} is no site; the topology has {known}")
    return topology.peer_of(site.name).region


_ENDINGS = {
    0: "protected and verified",
    1: "ended by a bug",
    3: "REFUSED, nothing was changed",
    4: "FAILED; run the same command again",
    6: "protected, but it DEVIATES",
}


def _rehearse(cases: Sequence[Case], *, as_json: bool) -> int:
    """Print what each step would find done or to do; change nothing."""

    def look(case: Case) -> list[tuple[str, bool, str]]:
        going = reprotection_of(case)
        steps = [(step.name, answers([step.done])[0]) for step in plan(going)]
        return [
            (name, False, str(seen))
            if isinstance(seen, OutsideError)
            else (name, seen.holds, seen.text)
            for name, seen in steps
        ]

    found = at_once([lambda case=case: look(case) for case in cases])
    if as_json:
        facts = [
            {
                "product": case.product.name,
                "steps": [{"name": n, "holds": holds, "text": text} for n, holds, text in steps],
            }
            for case, steps in zip(cases, found, strict=True)
        ]
        print(json.dumps(facts, indent=2))
        return 0
    for case, steps in zip(cases, found, strict=True):
        print(f"\n{case.product.name}: dry run, nothing was changed")
        for name, holds, text in steps:
            print(f"  {'holds' if holds else 'would act':<9} {name:<18} {text}")
    return 0


def _show(
    cases: Sequence[Case],
    outcomes: Sequence[Outcome],
    journal: Journal,
    seconds: float,
    *,
    as_json: bool,
) -> None:
    """Print what was done and how it ended, with the ledger's summary among the steps."""
    if as_json:
        print(json.dumps(_facts(cases, outcomes, journal, seconds), indent=2))
        return
    for case, outcome in zip(cases, outcomes, strict=True):
        print(f"\n{case.product.title}: {_ENDINGS[outcome.exit_code]} ({case.peer.region})")
        if outcome.error:
            print(f"  {outcome.error}")
        for step in outcome.steps:
            mark = "held" if step.skipped else f"{step.seconds:.2f} s"
            print(f"  {mark:>8}  {step.name:<18} {step.text}")
        for deviation in outcome.deviations:
            print(f"  DEVIATES  {deviation}")
    print(f"\nexecution {journal.execution}, {seconds:.1f} s, journal {journal.path}")
    if journal.mirror_fault:
        print(f"  the journal's copy in the bucket is incomplete: {journal.mirror_fault}")


def _facts(
    cases: Sequence[Case], outcomes: Sequence[Outcome], journal: Journal, seconds: float
) -> dict[str, object]:
    """Return what there is to say; times in seconds."""
    return {
        "execution": journal.execution,
        "journal": str(journal.path),
        "mirror_fault": journal.mirror_fault,
        "seconds": round(seconds, 3),
        "products": [
            {
                "product": case.product.name,
                "region": case.peer.region,
                "active": case.site.region,
                "exit_code": outcome.exit_code,
                "ending": _ENDINGS[outcome.exit_code],
                "error": outcome.error,
                "epoch": outcome.epoch,
                "deviations": outcome.deviations,
                "steps": [
                    {
                        "name": step.name,
                        "skipped": step.skipped,
                        "seconds": round(step.seconds, 3),
                        "text": step.text,
                    }
                    for step in outcome.steps
                ],
            }
            for case, outcome in zip(cases, outcomes, strict=True)
        ],
    }


if __name__ == "__main__":
    cli.main(main)
