"""Round trips on a real lab: `python -m tests.scenarios.trips --count 10 --kills 2`.

Each trip loses the home region, moves away, gets the region back and comes home, by recovery's
commands alone, each killed so often at a random step and typed again. In the end the products are
home and protected, the stacks are in line, and customers miss nothing but what the outage took.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from lab import customers, ledger, outage
from tests.scenarios.scene import ACTIVE, PRODUCT, TARGET, Scene, eventually, finished
from tests.scenarios.stage import Lab

STEPS = {"failover": 12, "failback": 40}
"""About how often a command acts: it is killed when it is about to act for the nth time."""
SPEED = "1000"
BACK_SECONDS = 120
SLACK_SECONDS = 1.5
"""What was acknowledged so long around a kill may be lost: it was on its way to the replica."""


class BrokenOffError(AssertionError):
    """A trip did not come to its end; the message says where."""


@dataclass(slots=True, kw_only=True)
class Trip:
    """How one trip went."""

    killed_at: float
    """When the home region died, Unix time."""
    kills: list[str] = field(default_factory=list)
    """`verb step` at which a command was killed."""


def tell(lab: Lab, scene: Scene, chance: random.Random, kills: int) -> Trip:
    """Go away and come home once; raise BrokenOffError where a command does not end well."""
    _await_writes(lab)
    trip = Trip(killed_at=outage.kill(ACTIVE, chance.choice(("refuse", "hang"))))
    trip.kills += _carried_out(scene, "failover", TARGET, chance, kills)
    assert lab.run("heal", ACTIVE).returncode == 0
    eventually(lambda: _would_go(scene, "reprotect", ACTIVE), BACK_SECONDS)
    trip.kills += _carried_out(scene, "failback", ACTIVE, chance, kills)
    for region in (ACTIVE, TARGET):
        asked = finished(scene.start("--json", verb="status", region=region))
        if not all(each["protected"] for each in json.loads(asked.stdout)):
            raise BrokenOffError(f"not protected, as {region} says: {asked.stdout}")
    for flag in ("--apply", "--check"):
        _require(finished(scene.start(flag, verb="reconcile", region=ACTIVE)), f"reconcile {flag}")
    _await_writes(lab)
    _remove_old(scene)
    return trip


def losses(lab: Lab, trips: list[Trip]) -> list[str]:
    """End the customers; return what they miss that no outage explains."""
    os.kill(lab.state["processes"]["customers"], signal.SIGTERM)
    told = lab.run_dir / customers.FINISHED
    eventually(told.exists, BACK_SECONDS)
    return [
        f"{each.product}: {write}"
        for each in ledger.load(told)
        for write in each.lost
        if not any(abs(write.at - trip.killed_at) < SLACK_SECONDS for trip in trips)
    ]


def _carried_out(
    scene: Scene, verb: str, region: str, chance: random.Random, kills: int
) -> list[str]:
    """Kill the command so often, then let it end; return where it was killed."""
    killed = list[str]()
    for _ in range(kills):
        process = scene.start(verb=verb, region=region)
        step = _killed(process, chance.randint(1, STEPS[verb]))
        done = finished(process)
        if step is None:
            _require(done, verb)
            return killed
        killed.append(f"{verb} {step}")
    done = finished(scene.start(verb=verb, region=region))
    if not (done.returncode == 3 and done.stderr.count("already active") == 2):
        _require(done, verb)
    return killed


def _killed(process, number: int) -> str | None:
    """Kill the command when it acts for the nth time; return the step; None: it has ended."""
    for line in process.stderr:
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("event") == "acting":
            number -= 1
        if number == 0:
            process.kill()
            return f"{event['product']} {event['step']}"
    return None


def _require(done, what: str) -> None:
    if done.returncode != 0:
        raise BrokenOffError(f"{what} ended with {done.returncode}: {done.stdout}{done.stderr}")


def _would_go(scene: Scene, verb: str, region: str) -> bool:
    return finished(scene.start("--dry-run", verb=verb, region=region)).returncode == 0


def _await_writes(lab: Lab) -> None:
    """Return once customers of all products have further writes acknowledged."""

    def seen():
        return {
            each.product: each.acknowledged
            for each in ledger.load(lab.run_dir / customers.UNFINISHED)
        }

    before = seen()
    eventually(
        lambda: PRODUCT in seen() and all(n > before.get(name, 0) + 3 for name, n in seen().items())
    )


def _remove_old(scene: Scene) -> None:
    """Delete what was put aside, as an operator does in time, so that many trips fit a machine."""
    for region in (ACTIVE, TARGET):
        rds = scene.aws("rds", region)
        for name in scene.databases(region):
            if "-old-" in name:
                rds.modify_db_instance(
                    DBInstanceIdentifier=name, DeletionProtection=False, ApplyImmediately=True
                )
                eventually(lambda name=name, region=region: _is_available(scene, region, name))
                rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)


def _is_available(scene: Scene, region: str, name: str) -> bool:
    return scene.databases(region)[name][0] == "available"


def main() -> int:
    """Tell so many trips in one lab; 1 where one broke off or lost what it should not."""
    made = argparse.ArgumentParser(prog="python -m tests.scenarios.trips", description=__doc__)
    made.add_argument("--count", type=int, default=10)
    made.add_argument("--kills", type=int, default=2, help="of each command (default: 2)")
    made.add_argument("--seed", type=int, default=1)
    options = made.parse_args()
    chance, trips = random.Random(options.seed), list[Trip]()
    lab = Lab(Path(tempfile.mkdtemp(prefix="trips-")))
    lab.up("--customers", "2", "--speed", SPEED)
    scene = Scene(lab)
    try:
        for number in range(options.count):
            began = time.monotonic()
            trips.append(tell(lab, scene, chance, options.kills))
            told = ", ".join(trips[-1].kills) or "none"
            print(
                f"trip {number + 1}: {time.monotonic() - began:.0f} s, killed: {told}", flush=True
            )
        missing = losses(lab, trips)
    finally:
        scene.close()
        lab.down()
    kills = sum(len(trip.kills) for trip in trips)
    print(f"{len(trips)} trips with {kills} kills; lost without an outage: {missing or 'nothing'}")
    print(f"no failure in {kills} kills: below {3 / max(1, kills):.1%} at 95 %")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
