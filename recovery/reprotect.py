"""Protect products in a region again: `python -m recovery.reprotect --region REGION`.

After a failover, once the failed region is back, or after a switchover: the site in REGION becomes
the standby of the active one. What only its old database and buckets have is kept and told before
anything takes their place. Killed at any point, the same command goes on from what it sees.
"""

from __future__ import annotations

import argparse
from datetime import timedelta

from recovery import discovery, moving, opening, summary
from recovery.engine import cli
from recovery.engine.plan import Step, checked
from recovery.engine.progress import Progress
from recovery.execution import Procedure, outline
from recovery.steps import check_protection
from recovery.steps.check import Assessment
from recovery.steps.reprotection import Reprotection, blank_reprotection, reprotection_of


def plan(going: Reprotection) -> tuple[Step, ...]:
    """Return the steps that make the peer of the case's site its standby, in their order."""
    return (
        Step(name="check-sites", reads_only=True, act=going.check, done=going.is_checked),
        Step(name="carry-assignment", act=going.carry, done=going.is_carried),
        Step(name="keep-old", act=going.keep, done=going.is_kept),
        Step(name="write-ledger", act=going.write_ledger, done=going.is_ledger_written),
        Step(name="isolate-old", act=going.isolate, done=going.is_isolated),
        Step(
            name="make-replica",
            act=going.replicate,
            done=going.is_replicating,
            forecast=timedelta(minutes=10),
        ),
        Step(name="reverse-files", act=going.reverse, done=going.is_reversed),
        Step(name="arm-hosts", act=going.arm_hosts, done=going.are_hosts_armed),
        Step(name="arm-switch", act=going.arm_switch, done=going.is_switch_armed),
        Step(name="verify-protection", act=going.verify, done=going.is_verified),
        Step(name="tell-people", act=going.tell, done=going.was_told, may_be_skipped=True),
        Step(name="record-protection", act=going.record, done=going.is_recorded),
    )


PROCEDURE = Procedure(begin=reprotection_of, blank=blank_reprotection, plan=plan)

TELLING = summary.Telling(
    endings={
        0: "protected and verified",
        1: "ended by a bug",
        3: "REFUSED, nothing was changed",
        4: "FAILED; run the same command again",
        6: "protected, but it DEVIATES",
    },
    target=lambda case: case.peer,
    moves=False,
)


def main() -> int:
    """Run the command line; return the exit code."""
    options = _options()
    progress, controls = Progress(), options.controls
    cases = opening.cases(
        active_region(options.region),
        options.product,
        execution=moving.execution_id("reprotect"),
        resolver=options.resolver,
    )
    checked(outline(cases[0], PROCEDURE), controls)
    if options.dry_run:
        return moving.rehearse(cases, PROCEDURE, assess, controls, as_json=options.json)
    return moving.move(cases, PROCEDURE, progress, controls, as_json=options.json, telling=TELLING)


def assess(going: Reprotection) -> Assessment:
    """Return what a run would be told by its own checks now."""
    found = check_protection.assess(going.case, going.target.epoch)
    return Assessment(findings=tuple(found), standing=going.target, loss=None)


def active_region(region: str) -> str:
    """Return the other site's region, where the lease, the journal and the ledger belong."""
    topology = discovery.find(region)
    return topology.peer_of(discovery.site_in(topology, region).name).region


def _options() -> argparse.Namespace:
    made = cli.parser(
        "reprotect",
        "Make the site in REGION the standby of the active one again, after a failover or a\n"
        "switchover: keep its old database, tell what only it has (the loss ledger), replicate\n"
        "database and files to it, and see that a failover there would be accepted.\n"
        "Needs both regions, and a control host. Killed at any point, the same command goes on.",
        region_means="the region to protect into: the one that failed, or was left",
    )
    made.add_argument(
        "--dry-run", action="store_true", help="print every check and step as seen now; no change"
    )
    return cli.parsed(made)


if __name__ == "__main__":
    cli.main(main)
