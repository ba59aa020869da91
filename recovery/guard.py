"""The guard beside a product's services on each host: `python -m recovery.guard`.

It reads who is assigned, and while that is its own site it writes the heartbeat into its own
database and republishes the metrics that Route 53 goes by. It writes no assignment. It starts
before anything is published and outlives every other part: whatever is away is tried again.
One JSON line on standard output per change of what it sees.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from typing import NoReturn

from recovery import discovery
from recovery.duties import Guard, Host, announce
from recovery.engine.errors import OutsideError, RecoveryError
from recovery.tenure import Tenure

_RETRY_SECONDS = 1.0
_PATIENT_RETRY_SECONDS = 15.0
_PATIENT_AFTER_SECONDS = 120.0


def main() -> NoReturn:
    """Run the guard of this host until the process ends."""
    threading.excepthook = _die
    found(_options()).run()


def found(host: Host) -> Guard:
    """Return a guard for the host as soon as its product is in a published topology."""
    began = time.monotonic()
    said = ""
    while True:
        try:
            topology = discovery.find(host.region)
        except (OutsideError, RecoveryError) as error:
            why = str(error)
        else:
            product, site = topology.product(host.product), topology.sites.get(host.site)
            if product is not None and site is not None:
                announce(host, "topology", "found")
                return Guard(
                    host=host,
                    topology=topology,
                    product=product,
                    site=site,
                    peer=topology.peer_of(host.site),
                    tenure=Tenure(host.site, topology.guard.ttl_seconds),
                )
            why = f"{host.product} at {host.site} is not in the topology"
        if why != said:
            said = why
            announce(host, "topology", "waiting", why)
        patient = time.monotonic() - began > _PATIENT_AFTER_SECONDS
        time.sleep(_PATIENT_RETRY_SECONDS if patient else _RETRY_SECONDS)


def _die(failure: threading.ExceptHookArgs) -> None:
    """End the process on a bug in any thread, so that the service manager starts it afresh."""
    sys.excepthook(failure.exc_type, failure.exc_value or failure.exc_type(), failure.exc_traceback)
    os._exit(1)


def _options() -> Host:
    made = argparse.ArgumentParser(
        prog="python -m recovery.guard",
        description="Write the heartbeat and republish the switch while this site is assigned.",
        epilog="Defaults come from the environment, as /etc/standby/host.env sets it.",
    )
    for option, variable, fallback in (
        ("--product", "STANDBY_PRODUCT", None),
        ("--site", "STANDBY_SITE", None),
        ("--region", "AWS_REGION", None),
        ("--database-host", "STANDBY_DATABASE_HOST", None),
        ("--database-name", "STANDBY_DATABASE_NAME", None),
        ("--address", "STANDBY_ADDRESS", "127.0.0.1"),
        ("--resolver", "STANDBY_RESOLVER", ""),
    ):
        default = os.environ.get(variable, fallback)
        made.add_argument(option, default=default, required=default is None, help=f"${variable}")
    given = made.parse_args()
    host, _, port = str(given.database_host).partition(":")
    return Host(
        product=given.product,
        site=given.site,
        region=given.region,
        address=given.address,
        database_host=host,
        database_port=int(port or 5432),
        database_name=given.database_name,
        resolver=given.resolver or None,
    )


if __name__ == "__main__":
    main()
