"""The whole story of a lost region: `python -m lab failover`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lab import customers, environment, launch, ledger, outage, report, state
from lab.configuration import ACTIVE
from lab.prepare import published_topology
from recovery import naming
from recovery.cloud import objects
from recovery.cloud.client import Region
from recovery.engine.errors import DEVIATED, RECOVERED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.launch import Wanted
    from lab.state import State
    from recovery.topology import Site

_STEADY_WRITES = 20
_STEADY_SECONDS = 30.0
_BACK_SECONDS = 60.0
_AFTERWARDS_SECONDS = 2.0
_FINISH_SECONDS = 30.0


class CustomersGoneError(Exception):
    """The customers did not do what they are there for; the message says what."""


def rehearse(
    wanted: Wanted, api: outage.Api, said: Callable[[str], None], *, quiet: bool
) -> report.Story:
    """Start a lab, kill its active region, recover as an operator would, and return the story.

    The lab ends with it, whatever happens. `quiet` keeps recovery's own report off the terminal.
    """
    lab = launch.start(wanted, said)
    try:
        os.environ.update(environment.environment(lab.folder, "SELF"))
        found = published_topology()
        dead, target = found.sites[ACTIVE], found.peer_of(ACTIVE)
        _await_writes(lab.folder)
        said(f"customers write; now everything in {dead.region} is killed")
        killed_at = outage.kill(dead.region, api)
        began = time.monotonic()
        status = recover(lab.folder, target.region, quiet=quiet)
        seconds = time.monotonic() - began
        if status in {RECOVERED, DEVIATED}:
            _await_return(lab.folder, killed_at)
        seen = _finish(lab)
        return report.Story(
            killed=dead.region,
            killed_at=killed_at,
            recovery_exit=status,
            recovery_seconds=seconds,
            speed=lab.speed,
            views=_views(seen, target, killed_at, lab.speed),
            calls=report.calls_by_step(report.operator_calls(), dead.region),
        )
    finally:
        launch.stop(lab)


def recover(run_dir: Path, region: str, *, quiet: bool) -> int:
    """Run failover to `region` as an operator would, knowing only what `lab env` tells.

    The operator's home, and in it the journal, outlives the lab.
    """
    folder = run_dir / "operator"
    folder.mkdir(exist_ok=True)
    home = state.OPERATOR_FOLDER.resolve()
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    known = environment.environment(run_dir, "OPERATOR") | {"HOME": str(home)}
    known |= {name: os.environ[name] for name in ("PATH", "TERM", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "recovery.failover", "--region", region],
        cwd=folder,
        env=known,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if quiet else None,
        start_new_session=True,
        check=False,
    ).returncode


def _await_writes(run_dir: Path) -> None:
    """Return once every product has acknowledged a few writes."""
    until = time.monotonic() + _STEADY_SECONDS
    while time.monotonic() < until:
        seen = ledger.load(run_dir / customers.UNFINISHED)
        if seen and all(each.acknowledged >= _STEADY_WRITES for each in seen):
            return
        time.sleep(0.2)
    msg = f"no steady writes after {_STEADY_SECONDS:.0f} s"
    raise CustomersGoneError(msg)


def _await_return(run_dir: Path, killed_at: float) -> None:
    """Return once every product has acknowledged writes again, or after a minute without."""
    until = time.monotonic() + _BACK_SECONDS
    while time.monotonic() < until:
        seen = ledger.load(run_dir / customers.UNFINISHED)
        if all((each.last_write or 0.0) > killed_at + 1 for each in seen):
            time.sleep(_AFTERWARDS_SECONDS)
            return
        time.sleep(0.2)


def _finish(lab: State) -> tuple[ledger.Experience, ...]:
    """Let the customers compare their ledger with what the products have."""
    os.kill(lab.processes["customers"], signal.SIGTERM)
    until = time.monotonic() + _FINISH_SECONDS
    while time.monotonic() < until:
        if seen := ledger.load(lab.folder / customers.FINISHED):
            return seen
        time.sleep(0.1)
    msg = f"the customers did not finish within {_FINISH_SECONDS:.0f} s"
    raise CustomersGoneError(msg)


def _views(
    seen: tuple[ledger.Experience, ...],
    target: Site,
    killed_at: float,
    speed: float,
) -> tuple[report.View, ...]:
    waited = report.waits()
    views: list[report.View] = []
    for each in seen:
        known = _recovery_point(target, each.product)
        views.append(
            report.view(
                each,
                killed_at=killed_at,
                waited=waited,
                speed=speed,
                last_heartbeat=_moment(known.get("last_heartbeat")),
                predicted_loss=known.get("predicted_loss_seconds"),
            )
        )
    return tuple(views)


def _recovery_point(target: Site, product: str) -> dict[str, Any]:
    """Return what recovery recorded of the product's newest recovery point; empty if nothing."""
    region = Region(target.region)
    prefix = naming.recovery_point_key(product, 0).removesuffix("0.json")
    points = list(objects.listing(region, target.bucket, prefix))
    if not points:
        return {}
    newest = max(points, key=lambda each: each.last_modified)
    return json.loads(objects.read(region, target.bucket, newest.key))


def _moment(text: str | None) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None
