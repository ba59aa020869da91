"""What the parts of the lab's AWS share: regions, links, the pace, and the lock on moto's state."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.durations import Pace

ACCOUNT = "123456789012"
logger = logging.getLogger("lab.aws")

LinkState = Literal["up", "cut", "slow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionState:
    """Whether a region lives and, when it does not, how its API fails."""

    alive: bool = True
    api: Literal["hang", "refuse"] = "hang"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The path from one region to another: replication of databases and of buckets."""

    state: LinkState = "up"
    delay_ms: int = 0


class Context:
    """The shared state of one lab.

    `lock` guards all of moto: its backends reach into each other without locks of their own, and
    because of the interpreter's lock a finer one gains nothing. Nothing slow runs under it.
    """

    def __init__(self, *, run_dir: Path, pace: Pace, zone: str, regions: tuple[str, ...]) -> None:
        self.run_dir = run_dir
        self.pace = pace
        self.zone = zone
        self.lock = threading.RLock()
        self.changed = threading.Event()
        """Set whenever something may have changed that the net or DNS process must know."""
        self.died: list[Callable[[str], None]] = []
        self.healed: list[Callable[[str], None]] = []
        self.failures: list[str] = []
        """Failures of background loops: none in a sound lab."""
        self._regions = dict.fromkeys(regions, RegionState())
        self._links: dict[tuple[str, str], Link] = {
            (source, target): Link() for source in regions for target in regions if source != target
        }
        self._turned = threading.Condition()

    @property
    def regions(self) -> dict[str, RegionState]:
        """Every region of the lab and its state."""
        return dict(self._regions)

    def region(self, name: str) -> RegionState:
        """Return the state of a region; one that the lab does not play in is alive."""
        return self._regions.get(name, RegionState())

    def is_alive(self, region: str) -> bool:
        """Return whether servers of the region run."""
        return self.region(region).alive

    def kill_region(self, region: str, api: Literal["hang", "refuse"]) -> None:
        """End everything that runs in a region, then let its API fail."""
        with self.lock:  # whatever starts a server looks under the lock whether its region lives
            self._regions[region] = RegionState(alive=False, api=api)
        for act in self.died:
            act(region)
        self._turn()

    def heal_region(self, region: str) -> None:
        """Let a region's API answer and its servers come back."""
        self._regions[region] = RegionState()
        for act in self.healed:
            act(region)
        self._turn()

    def wait_for_turn(self, seconds: float) -> None:
        """Wait until a region dies or heals, at most `seconds`."""
        with self._turned:
            self._turned.wait(seconds)

    def _turn(self) -> None:
        self.changed.set()
        with self._turned:
            self._turned.notify_all()

    @property
    def links(self) -> dict[tuple[str, str], Link]:
        """Every link by source and target region."""
        return dict(self._links)

    def set_link(self, source: str, target: str, state: LinkState, delay_ms: int) -> None:
        """Change the link from one region to another."""
        link = self._links.get((source, target), Link())
        self._links[source, target] = replace(link, state=state, delay_ms=delay_ms)
        self.changed.set()

    def carries(self, source: str, target: str) -> bool:
        """Return whether data flows from `source` to `target` now."""
        link = self._links.get((source, target), Link())
        return link.state != "cut" and self.is_alive(source) and self.is_alive(target)

    def start(self, name: str, act: Callable[[], None]) -> None:
        """Run `act` once in a thread of its own."""
        threading.Thread(target=self._guarded, args=(name, act), name=name, daemon=True).start()

    def every(self, seconds: float, name: str, act: Callable[[], None]) -> None:
        """Run `act` for ever in a thread of its own, `seconds` apart."""

        def loop() -> None:
            while True:
                self._guarded(name, act)
                time.sleep(seconds)

        threading.Thread(target=loop, name=name, daemon=True).start()

    def _guarded(self, name: str, act: Callable[[], None]) -> None:
        try:
            act()
        # The top of a thread, as cli.main is of a process: logged, and shown by /_lab/ready.
        except Exception as error:
            logger.exception("%s failed", name)
            self.failures.append(f"{name}: {type(error).__name__}: {error}")
