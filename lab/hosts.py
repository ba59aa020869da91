"""The hosts behind EC2 instances: real processes, started from an instance's user data."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_HOST_ENVIRONMENT = re.compile(
    r"^cat > /etc/standby/host\.env <<'END'\n(.*?)^END$", re.MULTILINE | re.DOTALL
)

_SERVICES = (sys.executable, "-m", "lab.product.server")
_BURIAL_SECONDS = 1.0


class NoHostEnvironmentError(ValueError):
    """User data that does not write /etc/standby/host.env: a host that cannot know what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One running host: the guard, which runs the product's services while they may run."""

    instance_id: str
    guard: subprocess.Popen[bytes]

    @property
    def alive(self) -> bool:
        """Whether the guard still runs; the services of an idle standby do not."""
        return self.guard.poll() is None

    def kill(self) -> None:
        """End the host like a power cut; afterwards no process is left, not even a zombie.

        What runs below the guard is killed first, so that the guard, whose children they are,
        has buried them by the time that it has ended.
        """
        if self.guard.poll() is None:
            below = _below(self.guard.pid)
            for process in below:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            _, left = psutil.wait_procs(below, timeout=_BURIAL_SECONDS)
            self.guard.kill()
            psutil.wait_procs(left, timeout=_BURIAL_SECONDS)
        self.guard.wait()


def _below(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def launch(
    *,
    run_dir: Path,
    instance_id: str,
    address: str,
    region: str,
    user_data: str,
    environment: Mapping[str, str],
) -> Host:
    """Start the host's guard and return at once.

    Its services listen within a second of the moment at which the guard may run them.
    `environment` is all that the host gets beside its own: where AWS, the resolver and the CA
    are, and its credentials. Raise NoHostEnvironmentError when the user data has none.
    """
    folder = run_dir / "hosts" / instance_id
    folder.mkdir(parents=True, exist_ok=True)
    # A real host's services listen on all its addresses; here each host has its own.
    here = {"AWS_REGION": region, "STANDBY_ADDRESS": address, "HOME": str(folder)}
    logs = run_dir / "logs"
    logs.mkdir(exist_ok=True)
    with (logs / f"{instance_id}.log").open("ab") as log:
        guard = subprocess.Popen(
            [sys.executable, "-m", "recovery.guard", "--", *_SERVICES],
            cwd=folder,
            env=complete_environment(user_data, environment) | here,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    return Host(instance_id=instance_id, guard=guard)


def complete_environment(user_data: str, given: Mapping[str, str]) -> dict[str, str]:
    """Return what a host knows; `given` wins, as the files that an image holds are not here."""
    return {**host_environment(user_data), **given}


def host_environment(user_data: str) -> dict[str, str]:
    """Return what the user data writes into /etc/standby/host.env."""
    found = _HOST_ENVIRONMENT.search(user_data)
    if found is None:
        msg = "user data has no `cat > /etc/standby/host.env <<'END'` … `END`; see the template"
        raise NoHostEnvironmentError(msg)
    lines = (line.partition("=") for line in found[1].splitlines() if line.strip())
    return {key.strip(): value for key, _, value in lines}
