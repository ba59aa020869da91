"""Move products to the standby while both sites are well: `recovery.switchover --region REGION`.

No acknowledged write is lost. The plan below is the runbook; what fails before the promotion is
taken back, so that the old site serves again, and a run that is killed is gone on with by the same
command. Should the old region fail meanwhile, `recovery.failover` to the same region goes on.
"""

from __future__ import annotations

import argparse

from recovery import moving, opening
from recovery.engine import cli
from recovery.engine.plan import Step, checked
from recovery.engine.progress import Progress
from recovery.execution import (
    Procedure,
    blank_takeover,
    interruption_objective,
    outline,
    takeover_of,
)
from recovery.steps import capacity, old_site, promote, way_back
from recovery.steps.case import Case
from recovery.steps.check_sites import Judge
from recovery.steps.switch import Switch
from recovery.steps.takeover import Takeover
from recovery.steps.way_back import WayBack


def plan(going: Takeover) -> tuple[Step, ...]:
    """Return the steps that make the case's site the active one, in their order."""
    switch = Switch(going=going)
    return (*_prepared(switch), *_closed(switch), *_served(switch))


def back(going: Takeover) -> tuple[Step, ...]:
    """Return the steps that let the old site serve again; none once that may be too late."""
    if not way_back.is_there(going):
        return ()
    way = WayBack(going=going)
    return (
        Step(name="assign-back", act=way.hand_back, done=way.is_handed_back),
        Step(name="reopen-database", act=way.reopen, done=way.is_reopened),
        Step(name="see-service", act=way.await_service, done=way.is_served, restores=True),
    )


def begin(case: Case) -> Takeover:
    """Return what is to be brought about, as the three tables say."""
    return takeover_of(case, old_site.standing)


PROCEDURE = Procedure(
    begin=begin, blank=blank_takeover, plan=plan, back=back, objective=interruption_objective
)


def _prepared(switch: Switch) -> tuple[Step, ...]:
    """Return the steps while customers are served at the old site; they spend none of the RTO."""
    going, way = switch.going, WayBack(going=switch.going)
    return (
        Step(name="complete-assignment", act=way.make_whole, done=way.is_whole),
        Step(name="check-sites", reads_only=True, act=switch.check, done=switch.is_checked),
        Step(
            name="request-capacity",
            act=lambda _: capacity.request(switch.case),
            done=lambda: capacity.is_requested(switch.case),
            may_be_skipped=True,
        ),
        Step(
            name="await-hosts",
            act=switch.await_hosts,
            done=switch.are_hosts_there,
            may_be_skipped=True,
        ),
        Step(
            name="tell-people",
            act=switch.tell_begin,
            done=lambda: going.was_told("begins"),
            may_be_skipped=True,
        ),
    )


def _closed(switch: Switch) -> tuple[Step, ...]:
    """Return the steps of the gap: nobody is served, nothing writes."""
    going, case = switch.going, switch.case
    return (
        Step(name="assign-site", act=switch.assign, done=switch.is_assigned),
        Step(name="close-database", act=switch.close, done=switch.is_closed),
        Step(name="catch-up", act=switch.catch_up, done=switch.is_caught_up),
        Step(name="record-point", act=switch.record, done=going.is_recorded),
        Step(
            name="promote-database",
            act=going.promote,
            done=lambda: promote.standby_is_writer(case),
            commits=True,
            forecast=promote.FORECAST,
        ),
        Step(
            name="open-database",
            act=lambda _: promote.open_(case),
            done=lambda: promote.is_open(case),
        ),
    )


def _served(switch: Switch) -> tuple[Step, ...]:
    """Return the steps from the first customer at the new site on."""
    going = switch.going
    return (
        Step(
            name="scale-out",
            act=switch.await_serving,
            done=switch.serves_here,
            may_be_skipped=True,
            forecast=capacity.FORECAST,
        ),
        *moving.handed_over(going),
        Step(
            name="scale-in-peer",
            act=switch.scale_in,
            done=switch.is_scaled_in,
            may_be_skipped=True,
        ),
        Step(name="settle-assignment", act=going.settle, done=going.is_settled),
    )


def main() -> int:
    """Run the command line; return the exit code."""
    options = _options()
    progress, controls = Progress(), options.controls
    cases = opening.cases(
        options.region,
        options.product,
        execution=moving.execution_id("switchover"),
        resolver=options.resolver,
    )
    checked(outline(cases[0], PROCEDURE), controls)
    if options.dry_run:
        return moving.rehearse(
            cases,
            PROCEDURE,
            lambda of: Judge(going=of).assess(of.case),
            controls,
            as_json=options.json,
        )
    return moving.move(cases, PROCEDURE, progress, controls, as_json=options.json)


def _options() -> argparse.Namespace:
    made = cli.parser(
        "switchover",
        "Make the site in REGION the active one while both sites are well: a planned move.\n\n"
        "Checks both sites, starts the hosts, closes the old database, waits until the new one\n"
        "has all of it, promotes, shifts traffic, verifies and reports: no acknowledged write is\n"
        "lost. What fails before the promotion is taken back, and the old site serves again. RDS\n"
        "cannot demote a database: afterwards the product is unprotected until it has a new\n"
        "replica, as recovery.status says. Killed at any point, the same command goes on; should\n"
        "the old region fail meanwhile, recovery.failover to the same region does. Customers are\n"
        "not served from assign-site on until verify-service ends: only that spends the RTO.",
        region_means="the region to move to, such as us-west-2",
    )
    made.add_argument(
        "--dry-run", action="store_true", help="print every check and step as seen now; no change"
    )
    return cli.parsed(made)


if __name__ == "__main__":
    cli.main(main)
