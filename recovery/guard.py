"""The guard of a product's processes on each host: `python -m recovery.guard -- COMMAND`.

It reads who is assigned. While that is its own site it runs COMMAND, writes the heartbeat into its
own database and republishes the metrics that Route 53 goes by; the command is dead before the
tenure ends, whatever happens to the guard (recovery.ward). It writes no assignment. It starts
before anything is published and outlives every other part: whatever is away is tried again.
One JSON line on standard output per change of what it sees.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import threading
import time
from typing import NoReturn

from recovery import discovery
from recovery.duties import Guard
from recovery.engine.errors import OutsideError, RecoveryError
from recovery.host import Host, announce
from recovery.tenure import Tenure

_RETRY_SECONDS = 1.0
_PATIENT_RETRY_SECONDS = 15.0
_PATIENT_AFTER_SECONDS = 120.0
_EVERYWHERE = "0.0.0.0"  # noqa: S104 - a balancer's checks come to any address of the host

_DESCRIPTION = """\
Run COMMAND while this site is the one that may serve the product, and never beyond.

Two of the three control tables, read less than a TTL ago, must name this site. When a newer epoch
names another one, COMMAND and all that it started get SIGTERM, and SIGKILL after a grace (a sixth
of the TTL, at most 5 s). When tables stop answering, it is dead before the TTL is over, even if
the guard itself was killed or frozen. When the site is assigned again, it is started again.

COMMAND stays in the foreground. When it ends by itself, the guard ends with its exit status, and
what it left behind is killed: restarting it is the service manager's work (Restart=always).
"""
_EXAMPLES = """\
On a host, beside heartbeat and metrics (defaults come from the environment, as
/etc/standby/host.env sets it; without COMMAND, $STANDBY_COMMAND is run, split as a shell would):
  python -m recovery.guard -- /opt/standby/services
  python -m recovery.guard --product rlg-data --site dr --region us-west-2 \\
      --database-host db.internal:5432 --database-name rlg_data -- gunicorn shop:app

While COMMAND does not run there, the guard answers on the ports of the product's services: 200 to
their health checks, 503 to all else, so that nobody recycles an idle standby. Where this very site
is assigned and too few tables answer, health checks get 503 too.

A worker, a scheduled job, a migration, on any host:
  python -m recovery.guard --worker -- celery -A shop worker
  python -m recovery.guard --worker -- ./manage.py migrate && echo migrated
A job waits until its site is assigned, and so on a standby for ever: give it a time limit, such as
timeout(1). One that was stopped because the site lost the product starts afresh when it returns:
let it be repeatable.

exit status:
  that of COMMAND (128+n: ended by signal n), 126 or 127 where it cannot be started
  125  the process that watches over COMMAND was killed; COMMAND is dead
  128+n  the guard was told to end by signal n, and COMMAND did not run
  1, 2   a bug, or wrong usage; COMMAND is dead or was never started
"""


def main() -> NoReturn:
    """Run the guard of this host until its command ends, and end with its exit status."""
    threading.excepthook = _die
    status = found(_options()).run()
    # Threads that still wait for a table must not hold the end up.
    os._exit(status)


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
        usage="%(prog)s [OPTION…] [-- COMMAND [ARG…]]",
        allow_abbrev=False,
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    own, command = _split(sys.argv[1:])
    made.add_argument(
        "--worker",
        action="store_true",
        help="for workers, scheduled jobs and migrations: no ports, no heartbeat, no metrics",
    )
    is_worker = "--worker" in own
    for option, variable, fallback, meaning in (
        ("--product", "STANDBY_PRODUCT", None, "the product's name in the topology"),
        ("--site", "STANDBY_SITE", None, "the site that this host belongs to"),
        ("--region", "AWS_REGION", None, "the region of that site"),
        ("--database-host", "STANDBY_DATABASE_HOST", "" if is_worker else None, "HOST[:PORT]"),
        ("--database-name", "STANDBY_DATABASE_NAME", "" if is_worker else None, "of the product"),
        ("--address", "STANDBY_ADDRESS", _EVERYWHERE, f"where services listen ({_EVERYWHERE})"),
        ("--resolver", "STANDBY_RESOLVER", "", "DNS server for the database's name"),
    ):
        default = os.environ.get(variable, fallback)
        told = f"{meaning}; ${variable}"
        made.add_argument(option, default=default, required=default is None, help=told)
    given = made.parse_args(own)
    try:
        command = command or shlex.split(os.environ.get("STANDBY_COMMAND", ""))
    except ValueError as error:
        made.error(f"$STANDBY_COMMAND is {os.environ['STANDBY_COMMAND']!r}: {error}")
    if not command:
        made.error("nothing to run: give -- COMMAND [ARG…], or set $STANDBY_COMMAND")
    host, _, port = str(given.database_host).partition(":")
    return Host(
        product=given.product,
        site=given.site,
        region=given.region,
        address=given.address,
        command=tuple(command),
        is_worker=given.worker,
        database_host=host,
        database_port=int(port or 5432),
        database_name=given.database_name,
        resolver=given.resolver or None,
    )


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return the guard's own arguments, and what follows the first `--`."""
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


if __name__ == "__main__":
    main()
