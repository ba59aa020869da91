"""Verify a site: `python -m recovery.verify --region us-west-2`.

Looks at a product as its customers do, runs its own API tests, and looks into its data and its
files. Changes nothing but what a customer's journey writes. Exit code 0: all of it was verified;
6: something is wrong, or could not be looked at, and the lines say what.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from recovery import opening
from recovery.engine import cli
from recovery.engine.errors import (
    DEVIATED,
    FAILED,
    RECOVERED,
    REFUSED,
    OutsideError,
    RefusedError,
    worst,
)
from recovery.engine.parallel import at_once
from recovery.verification import data, files, recording, service, suite
from recovery.verification.findings import Finding, Verdict, unverified

if TYPE_CHECKING:
    from collections.abc import Callable

    from recovery.steps.case import Case

__all__ = ["Finding", "Verdict", "main", "verify"]


def verify(case: Case) -> Verdict:
    """Look at everything about the product at the case's site, side by side."""
    parts = at_once(
        [
            lambda: [service.name_leads_here(case)],
            lambda: service.services(case),
            lambda: service.journey(case),
            lambda: suite.api_tests(case),
            lambda: _whole("data", lambda: data.data(case)),
            lambda: _whole("files", lambda: files.files(case)),
        ]
    )
    return Verdict(
        product=case.product.name,
        site=case.site.name,
        findings=tuple(finding for part in parts for finding in part),
    )


def _whole(what: str, part: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return part()
    except OutsideError as error:
        return [unverified(what, str(error))]


def main() -> int:
    """Run the command line; return the exit code."""
    options = _options()
    cases = opening.cases(
        options.region,
        options.product,
        execution=f"verify-{datetime.now(UTC):%Y%m%dT%H%M%SZ}",
        resolver=options.resolver,
    )
    if options.record:
        return _record(cases)
    verdicts = at_once([lambda case=case: verify(case) for case in cases])
    if options.json:
        print(json.dumps([{**asdict(verdict), "ok": verdict.ok} for verdict in verdicts], indent=2))
    else:
        for verdict in verdicts:
            _show(verdict)
    return RECOVERED if all(verdict.ok for verdict in verdicts) else DEVIATED


def _record(cases: tuple[Case, ...]) -> int:
    """Record files and data of every product; print what came of each."""
    taken = at_once([lambda case=case: _recorded(case) for case in cases])
    for case, (_, lines) in zip(cases, taken, strict=True):
        for line in lines:
            print(f"{case.product.name:<12} {line}")
    return worst(code for code, _ in taken)


def _recorded(case: Case) -> tuple[int, list[str]]:
    """Return the exit code of one product's recording, and what it has to say."""
    try:
        findings = recording.record(case)
    except RefusedError as error:
        return REFUSED, [f"{'refused':<10} {error}"]
    lines = [f"{finding.outcome:<10} {finding.what}: {finding.detail}" for finding in findings]
    if any(finding.outcome == "failed" for finding in findings):
        return FAILED, lines
    return (RECOVERED if all(finding.outcome == "ok" for finding in findings) else DEVIATED), lines


def _show(verdict: Verdict) -> None:
    print(f"{verdict.product} at {verdict.site}: {'verified' if verdict.ok else 'NOT verified'}")
    for finding in verdict.findings:
        print(f"  {finding.outcome:<10} {finding.what:<24} {finding.detail}")


def _options() -> argparse.Namespace:
    made = cli.parser(
        "verify",
        "Verify the products at the site in REGION: as customers see them, their own API tests,\n"
        "their data, their files.",
        region_means="the region of the site to verify, such as us-west-2",
    )
    made.add_argument(
        "--record",
        action="store_true",
        help="record what files and data are now, to compare with after a failover; verify "
        "nothing. Exits 3 where a product's active site is another one",
    )
    return made.parse_args()


if __name__ == "__main__":
    cli.main(main)
