"""Makes a started lab worth having: stacks, products, the first assignment, streaming replicas.

`python -m lab.prepare` is run once by the supervisor; each line that it prints is progress.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2

from lab import control, environment
from lab.configuration import ACTIVE, OVERRIDES, PROJECT, STACKS, surroundings
from lab.customers import PRODUCTS_FILE, Shop
from lab.data import load
from lab.names import Resolver
from lab.product import seed
from recovery import discovery, naming
from recovery.cloud import client, databases, metrics, secrets
from recovery.cloud.client import Region
from recovery.engine.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg2.extensions import connection

    from recovery.topology import Deployment, Product, Site, Topology

_READY_SECONDS = 60.0
_RETRY_SECONDS = 0.1


class NotReadyError(Exception):
    """The lab did not come up; the message says what is missing."""


def main() -> None:
    """Prepare the lab; leave with 1 and a last line on standard error when it cannot be."""
    parser = argparse.ArgumentParser(prog="python -m lab.prepare", description=__doc__)
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--load", action="append", default=[], metavar="PRODUCT=FILE")
    given = parser.parse_args()
    try:
        _provision(given.run_dir)
        found = published_topology()
        _write_products(given.run_dir, found)
        _recover("assign", "--initial", found=found)
        _say(f"{_names(found)} are assigned to {ACTIVE}")
        _seed(found, given.load, given.run_dir)
        _say(f"{_names(found)} have their data")
        _await_ready(found)
        _recover("verify", "--record", found=found)
        _say("what there is to verify is recorded")
    except NotReadyError as error:
        sys.exit(str(error))


def published_topology() -> Topology:
    """Return the topology as the link stack published it, from whichever region has it."""
    for region in control.get("world")["regions"]:
        try:
            return discovery.find(region)
        except RefusedError as error:
            print(error, file=sys.stderr)
    raise NotReadyError("no region has a topology; the link stack publishes it")


def _provision(run_dir: Path) -> None:
    """Run the stacks' programs; pass their summaries on as progress."""
    overrides = (f"--config={key}={json.dumps(value)}" for key, value in OVERRIDES.items())
    command = [
        *(sys.executable, "-m", "lab.provision", "--run-dir", str(run_dir)),
        *("--project", str(PROJECT), *overrides, *STACKS),
    ]
    complete = os.environ | environment.environment(run_dir, "PROVISION")
    last = ""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=complete
    ) as process:
        _warm_up()
        assert process.stdout is not None
        for line in process.stdout:
            last = line.strip()
            stack, _, rest = last.partition(": lab provision: ")
            if rest:
                _say(f"stack {stack}: {rest}")
            else:
                print(last, file=sys.stderr)
    if process.returncode:
        raise NotReadyError(f"the stacks cannot be provisioned: {last}")


def _warm_up() -> None:
    """Load the SDK while the stacks are made: on a second core that costs nothing."""
    regions = [Region(name) for name in surroundings().regions]
    client.prepare(regions, ["rds", "s3", "ssm", "secretsmanager", "cloudwatch"])


def _write_products(run_dir: Path, found: Topology) -> None:
    """Leave for the customers what they know of the products: names and a port."""
    known = {
        "port": found.https_port,
        "domains": {product.name: product.domain for product in found.products},
    }
    (run_dir / PRODUCTS_FILE).write_text(json.dumps(known))


def _seed(found: Topology, loads: list[str], run_dir: Path) -> None:
    site = found.sites[ACTIVE]
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(_seed_product, product, site) for product in found.products]:
            done.result()
    for name, _, path in (each.partition("=") for each in loads):
        product = found.product(name)
        assert product is not None
        link = _connect(Region(site.region), product.deployments[site.name])
        try:
            _say(f"{product.title}: {load.load(Path(path), link, run_dir=run_dir)}")
        except load.LoadError as error:
            raise NotReadyError(f"--load {name}: {error}") from error
        finally:
            link.close()


def _seed_product(product: Product, site: Site) -> None:
    region = Region(site.region)
    deployment = product.deployments[site.name]
    link = _connect(region, deployment)
    try:
        probe = secrets.read_json(region, deployment.probe_secret)
        seed.fill_database(link, title=product.title, probe=probe)
    finally:
        link.close()
    seed.fill_buckets(
        region.client("s3"),
        title=product.title,
        file_bucket=deployment.file_bucket,
        frontend_bucket=deployment.frontend_bucket,
    )


def _connect(region: Region, deployment: Deployment) -> connection:
    """Return a connection to a deployment's database, made as its hosts make it."""
    database = databases.describe(region, deployment.database)
    if database is None or database.host is None:
        raise NotReadyError(f"{deployment.database} does not exist in {region.name}")
    credentials = secrets.read_json(region, deployment.secret)
    return psycopg2.connect(
        host=database.host,
        hostaddr=Resolver(environment.RESOLVER).address(database.host),
        dbname=deployment.database_name,
        user=credentials["username"],
        password=credentials["password"],
        sslmode="verify-full",
        connect_timeout=5,
    )


def _recover(verb: str, *arguments: str, found: Topology) -> None:
    """Run one of recovery's commands for the active site, as its operators do."""
    region = found.sites[ACTIVE].region
    command = [sys.executable, "-m", f"recovery.{verb}", "--region", region, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr, file=sys.stderr)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise NotReadyError(f"{' '.join(command[1:])} ended with {done.returncode}: {said}")


def _await_ready(found: Topology) -> None:
    """Return once customers would be served and every standby follows its source."""
    shops = [
        Shop(
            product=product.name,
            domain=product.domain,
            port=found.https_port,
            resolver=Resolver(environment.RESOLVER),
        )
        for product in found.products
    ]
    for product, shop in zip(found.products, shops, strict=True):
        _await(f"{product.title} does not answer at {product.domain}", shop.answers)
    _say(f"{_names(found)} answer through name, balancer and service")
    standby = found.peer_of(ACTIVE)
    region = Region(standby.region)
    for product in found.products:
        deployment = product.deployments[standby.name]
        _await(
            f"{deployment.database} does not stream from its source",
            lambda deployment=deployment: _follows(region, deployment),
        )
    _say(f"replicas in {standby.region} stream")
    for product in found.products:
        dimensions = naming.switch_dimensions(product.name, ACTIVE)
        _await(
            f"no guard says in {standby.region} that {product.title} is healthy",
            lambda dimensions=dimensions: metrics.latest(
                region, naming.SWITCH_NAMESPACE, naming.HEALTHY_METRIC, dimensions
            ),
        )
    _say(f"guards tell {standby.region} that all is well")


def _follows(region: Region, deployment: Deployment) -> bool:
    """Whether the replica has a heartbeat: only streaming brings one there."""
    try:
        link = _connect(region, deployment)
    except psycopg2.OperationalError:
        return False
    try:
        with link, link.cursor() as sql:
            sql.execute("SELECT count(*) FROM standby.heartbeat")
            row = sql.fetchone()
            return row is not None and row[0] > 0
    except psycopg2.errors.UndefinedTable:
        return False
    finally:
        link.close()


def _await(otherwise: str, condition: Callable[[], object]) -> None:
    until = time.monotonic() + _READY_SECONDS
    while not condition():
        if time.monotonic() > until:
            raise NotReadyError(f"{otherwise} after {_READY_SECONDS:.0f} s")
        time.sleep(_RETRY_SECONDS)


def _names(found: Topology) -> str:
    return " and ".join(product.title for product in found.products)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
