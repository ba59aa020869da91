"""Whole stories: a lost region, `python -m lab failover`; a planned move, `… switchover`."""

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
from lab.control import NotAnsweringError
from lab.prepare import published_topology
from recovery import naming
from recovery.cloud import objects
from recovery.cloud.client import Region
from recovery.engine.errors import DEVIATED, RECOVERED, OutsideError

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
_LOOK_SECONDS = 0.1


class BrokenOffError(Exception):
    """The story could not be told to its end; the message says why."""


def rehearse(
    wanted: Wanted, api: outage.Api | None, said: Callable[[str], None], *, quiet: bool
) -> report.Story:
    """Start a lab, kill its active region, recover as an operator would, and return the story.

    `api`: how the dead region's API fails. None: nothing is killed, the products are moved.
    The lab ends with it, whatever happens. `quiet` keeps recovery's own report off the terminal.
    Raise BrokenOffError when the lab or its customers end before the story does.
    """
    lab = launch.start(wanted, said)
    try:
        return _tell(lab, api, said, quiet=quiet)
    except (BrokenOffError, NotAnsweringError, OutsideError, OSError) as error:
        raise BrokenOffError(_why_ended(lab) or str(error)) from error
    finally:
        launch.stop(lab)


def _tell(
    lab: State, api: outage.Api | None, said: Callable[[str], None], *, quiet: bool
) -> report.Story:
    os.environ.update(environment.environment(lab.folder, "SELF"))
    found = published_topology()
    left, target = found.sites[ACTIVE], found.peer_of(ACTIVE)
    _await_writes(lab)
    if api is None:
        said(f"customers write; now the products are moved to {target.region}")
        killed_at, verb = time.time(), "switchover"
    else:
        said(f"customers write; now everything in {left.region} is killed")
        killed_at, verb = outage.kill(left.region, api), "failover"
    began_at, began = time.time(), time.monotonic()
    status = operate(lab.folder, verb, target.region, quiet=quiet)
    seconds = time.monotonic() - began
    if status in {RECOVERED, DEVIATED}:
        _await_return(lab, killed_at if api else time.time())
    calls = report.calls_by_step(report.operator_calls(), left.region if api else "")
    protection = {} if api else _protection(lab.folder, target.region)
    seen = _finish(lab)
    return report.Story(
        killed=left.region if api else "",
        killed_at=killed_at,
        recovery_began=began_at,
        recovery_exit=status,
        recovery_seconds=seconds,
        speed=lab.speed,
        views=_views(seen, target, killed_at, lab.speed, left=None if api else left.name),
        calls=calls,
        protection=protection,
    )


def _why_ended(lab: State) -> str:
    """Return why the lab ended or is about to, empty while it runs."""
    try:
        return f"{state.ENDED_FILE.read_text().strip()}; logs are in {state.LOGS_FOLDER}"
    except FileNotFoundError:
        return "" if launch.is_up(lab) else "the lab's supervisor was killed"


def operate(run_dir: Path, verb: str, region: str, *, quiet: bool) -> int:
    """Run one of recovery's verbs as an operator would, knowing only what `lab env` tells.

    The operator's home, and in it the journal, outlives the lab.
    """
    folder, home = run_dir / "operator", state.OPERATOR_FOLDER.resolve()
    folder.mkdir(exist_ok=True)
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    return subprocess.run(
        [sys.executable, "-m", f"recovery.{verb}", "--region", region],
        cwd=folder,
        env=_known(run_dir),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if quiet else None,
        start_new_session=True,
        check=False,
    ).returncode


def _known(run_dir: Path) -> dict[str, str]:
    home = str(state.OPERATOR_FOLDER.resolve())
    told = {name: os.environ[name] for name in ("PATH", "TERM", "LANG") if name in os.environ}
    return environment.environment(run_dir, "OPERATOR") | {"HOME": home} | told


def _protection(run_dir: Path, region: str) -> dict[str, str]:
    """Return what `recovery.status` says of each product's protection."""
    said = subprocess.run(
        [sys.executable, "-m", "recovery.status", "--region", region, "--json"],
        cwd=run_dir / "operator",
        env=_known(run_dir),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=False,
    ).stdout
    return {each["product"]: each["protection"] for each in json.loads(said)}


def _await_writes(lab: State) -> None:
    """Return once every product has acknowledged a few writes."""

    def steady() -> bool:
        seen = ledger.load(lab.folder / customers.UNFINISHED)
        return bool(seen) and all(each.acknowledged >= _STEADY_WRITES for each in seen)

    if not _happens(lab, steady, _STEADY_SECONDS):
        msg = f"customers had no steady writes within {_STEADY_SECONDS:.0f} s"
        raise BrokenOffError(msg)


def _await_return(lab: State, killed_at: float) -> None:
    """Return once every product has acknowledged writes again, or after a minute without."""

    def back() -> bool:
        seen = ledger.load(lab.folder / customers.UNFINISHED)
        return all((each.last_write or 0.0) > killed_at + 1 for each in seen)

    if _happens(lab, back, _BACK_SECONDS):
        time.sleep(_AFTERWARDS_SECONDS)


def _finish(lab: State) -> tuple[ledger.Experience, ...]:
    """Let the customers compare their ledger with what the products have."""
    finished = lab.folder / customers.FINISHED
    os.kill(lab.processes["customers"], signal.SIGTERM)
    if not _happens(lab, finished.exists, _FINISH_SECONDS):
        msg = f"the customers did not finish within {_FINISH_SECONDS:.0f} s"
        raise BrokenOffError(msg)
    return ledger.load(finished)


def _happens(lab: State, condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until something holds, and say whether it did in time; raise once the lab has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        if not launch.is_up(lab):
            msg = "the lab has ended"
            raise BrokenOffError(msg)
        time.sleep(_LOOK_SECONDS)
    return False


def _views(
    seen: tuple[ledger.Experience, ...],
    target: Site,
    killed_at: float,
    speed: float,
    *,
    left: str | None,
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
                move=report.Move(left=left, closed_at=_moment(known.get("recorded_at")))
                if left
                else None,
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
