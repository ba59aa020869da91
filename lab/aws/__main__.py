"""Serve the lab's AWS: `python -m lab.aws --run-dir RUN [--speed 100] [--zone rlg.example]`."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lab.aws import lean
from lab.aws.context import ACCOUNT, Context
from lab.durations import Pace

if TYPE_CHECKING:
    from types import FrameType

ADDRESS, PORT = "127.0.53.1", 4566
LINKS = "127.0.54"
REGIONS = ("us-east-1", "us-west-2", "us-east-2")


def main() -> int:
    """Serve until told to stop."""
    options = _options()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    options.run_dir.mkdir(parents=True, exist_ok=True)
    os.chdir(options.run_dir)
    regions = tuple(dict.fromkeys((*options.region, *REGIONS)))
    context = Context(
        run_dir=options.run_dir, pace=Pace(options.speed), zone=options.zone, regions=regions
    )
    lean.load(regions, ACCOUNT)
    # Only now: these import moto, which must have been made lean before.
    from lab.aws import assembly  # noqa: PLC0415

    server = assembly.build(
        context,
        assembly.Options(
            address=options.address,
            port=options.port,
            links=options.links,
            postgres=options.postgres,
            hosts=options.hosts,
        ),
    )
    signal.signal(signal.SIGTERM, _leave)
    server.serve_forever()
    return 0


def _leave(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lab.aws", description=__doc__)
    parser.add_argument("--run-dir", type=lambda text: Path(text).resolve(), required=True)
    parser.add_argument("--speed", type=float, default=100.0, help="0: no modelled waits")
    parser.add_argument("--zone", default="rlg.example", help="hosted zone that exists beforehand")
    parser.add_argument("--region", action="append", default=[], help="a further region")
    parser.add_argument("--address", default=ADDRESS)
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--links", default=LINKS, help="first numbers of the links' addresses")
    parser.add_argument("--postgres", default="lab.data.postgres", help="module of the servers")
    parser.add_argument("--hosts", default="lab.hosts", help="module that launches hosts")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
