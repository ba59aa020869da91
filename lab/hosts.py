"""The hosts behind EC2 instances: real processes, started from an instance's user data."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_HOST_ENVIRONMENT = re.compile(
    r"^cat > /etc/standby/host\.env <<'END'\n(.*?)^END$", re.MULTILINE | re.DOTALL
)


class NoHostEnvironmentError(ValueError):
    """User data that does not write /etc/standby/host.env: a host that cannot know what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One running host: the product's services, and the guard beside them."""

    instance_id: str
    services: subprocess.Popen[bytes]
    guard: subprocess.Popen[bytes]

    @property
    def alive(self) -> bool:
        """Whether the services' process still runs."""
        return self.services.poll() is None

    def kill(self) -> None:
        """End the host like a power cut; afterwards neither process is left, not even a zombie."""
        processes = (self.services, self.guard)
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def launch(
    *,
    run_dir: Path,
    instance_id: str,
    address: str,
    region: str,
    user_data: str,
    environment: Mapping[str, str],
) -> Host:
    """Start the host's processes and return at once; its services listen within half a second.

    `environment` is all that the host gets beside its own: where AWS, the resolver and the CA
    are, and its credentials. Raise NoHostEnvironmentError when the user data has none.
    """
    folder = run_dir / "hosts" / instance_id
    folder.mkdir(parents=True, exist_ok=True)
    # A real host's services listen on all its addresses; here each host has its own.
    here = {"AWS_REGION": region, "STANDBY_ADDRESS": address, "HOME": str(folder)}
    complete = complete_environment(user_data, environment) | here

    def start(name: str, *command: str) -> subprocess.Popen[bytes]:
        logs = run_dir / "logs"
        logs.mkdir(exist_ok=True)
        with (logs / f"{instance_id}-{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=folder,
                env=complete,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    product, site = complete["STANDBY_PRODUCT"], complete["STANDBY_SITE"]
    return Host(
        instance_id=instance_id,
        services=start("services", "lab.product.server"),
        guard=start("guard", "recovery.guard", "--product", product, "--site", site),
    )


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
