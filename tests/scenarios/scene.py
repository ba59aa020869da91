"""What an operator does to a lab's AWS, what AWS then says, and how it is put back."""

import hashlib
import json
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import replace

import boto3
import psycopg2

from lab import control, environment, report
from lab.control import ENDPOINT
from lab.durations import DURATIONS
from recovery import names, naming, topology

ACTIVE, TARGET = "us-east-1", "us-west-2"
PRODUCT, OTHER = "rlg-data", "rlg-fans"
REPLICA = "rlg-data-dr-1"
SPEED = 1000
READING = ("Describe", "Get", "List", "Head", "Query")
PATIENCE_SECONDS = 30
# A disk that takes no more, for a process without rights: no file may grow beyond this.
LIMITED = (
    "import os, resource, sys\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)\n"
    "os.execv(sys.argv[2], sys.argv[2:])"
)


class Scene:
    """A running lab, as its makers see it: everything that a test changes, and what is true."""

    def __init__(self, lab):
        self.lab = lab
        self._told = lab.environment()
        self._clients = {}
        self.pointer = self._parameter(TARGET)
        self.document = self._read(self.pointer)
        self.topology = topology.decode(self.document)
        self.target = self.topology.sites["dr"]

    def close(self):
        for client in self._clients.values():
            client.close()

    def aws(self, service, region=TARGET):
        """Return a plain client with the rights of the lab itself."""
        if (service, region) not in self._clients:
            own = environment.environment(self.lab.run_dir, "SELF")
            self._clients[service, region] = boto3.client(
                service,
                region_name=region,
                endpoint_url=own["AWS_ENDPOINT_URL"],
                aws_access_key_id=own["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=own["AWS_SECRET_ACCESS_KEY"],
            )
        return self._clients[service, region]

    # What the operator runs.

    def failover(self, *arguments, disk=None, **around):
        return finished(self.start(*arguments, disk=disk, **around))

    def start(self, *arguments, verb="failover", region=TARGET, disk=None, **around):
        """Start a recovery; `disk`: the bytes that any file may have."""
        limit = [] if disk is None else [sys.executable, "-c", LIMITED, str(disk)]
        asked = ["--region", region] if region else []
        return subprocess.Popen(
            [*limit, sys.executable, "-m", f"recovery.{verb}", *asked, *arguments],
            cwd=self.lab.directory,
            env=self._told | around,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def status(self, product=PRODUCT):
        found = json.loads(finished(self.start("--json", verb="status")).stdout)
        return next(each for each in found if each["product"] == product)

    # What is true.

    def facts(self):
        """Return all that a refused recovery must leave as it is."""
        sites = self.topology.sites.values()
        return {
            "assignments": [
                self.assignment(product.name, where)
                for product in self.topology.products
                for where in (*sites, self.topology.witness)
            ],
            "databases": [self.databases(site.region) for site in sites],
            "groups": [self._groups(site.region) for site in sites],
            "balancers": control.get("world")["balancers"],
            "objects": self._objects(),
        }

    def assignment(self, product, where):
        key = {naming.CONTROL_HASH_KEY: {"S": naming.assignment_item(product)}}
        found = self.aws("dynamodb", where.region).get_item(TableName=where.control_table, Key=key)
        return found.get("Item")

    def databases(self, region):
        """Return of each database its status, its source and how long its backups are kept."""
        found = self.aws("rds", region).describe_db_instances()["DBInstances"]
        return {
            each["DBInstanceIdentifier"]: (
                each["DBInstanceStatus"],
                each.get("ReadReplicaSourceDBInstanceIdentifier"),
                each["BackupRetentionPeriod"],
            )
            for each in found
        }

    def _groups(self, region):
        found = self.aws("autoscaling", region).describe_auto_scaling_groups()
        return sorted(
            (each["AutoScalingGroupName"], each["MinSize"], each["DesiredCapacity"])
            for each in found["AutoScalingGroups"]
        )

    def _objects(self):
        found = self.aws("s3").list_objects_v2(Bucket=self.target.bucket).get("Contents", [])
        return [each["Key"] for each in found if not each["Key"].startswith("journals/")]

    def recovery_point(self, product, epoch):
        key = naming.recovery_point_key(product, epoch)
        return json.loads(
            self.aws("s3").get_object(Bucket=self.target.bucket, Key=key)["Body"].read()
        )

    def leads_to_target(self, product):
        """Say whether customers who resolve the product's name now are led to the target."""
        found = next(each for each in self.topology.products if each.name == product)
        balancer = found.deployments[self.target.name].load_balancer_dns
        ask = environment.RESOLVER
        return names.resolve(found.domain, ask) == names.resolve(balancer, ask)

    # What a test does to it.

    @contextmanager
    def published(self, document=None, pointer=None):
        """Publish another document, vouched for, or another pointer; b"" or "": nothing at all."""
        if document is not None and pointer is None:
            digest = hashlib.sha256(document).hexdigest()
            pointer = json.dumps(json.loads(self.pointer) | {"sha256": digest})
        try:
            self._publish(self.document if document is None else document, pointer)
            yield
        finally:
            self._publish(self.document, self.pointer)

    def objectives(self, **objectives):
        """Publish other objectives, as the link stack would after a change of configuration."""
        products = tuple(replace(each, **objectives) for each in self.topology.products)
        changed = replace(self.topology, products=products)
        return self.published(topology.encode(changed))

    def _publish(self, document, pointer):
        place = json.loads(self.pointer)
        named = {"Bucket": place["bucket"], "Key": place["key"]}
        if document:
            self.aws("s3").put_object(**named, Body=document)
        else:
            self.aws("s3").delete_object(**named)
        if pointer:
            self.aws("ssm").put_parameter(
                Name=naming.TOPOLOGY_PARAMETER, Value=pointer, Type="String", Overwrite=True
            )
        else:
            self.aws("ssm").delete_parameter(Name=naming.TOPOLOGY_PARAMETER)

    def _parameter(self, region):
        found = self.aws("ssm", region).get_parameter(Name=naming.TOPOLOGY_PARAMETER)
        return found["Parameter"]["Value"]

    def _read(self, pointer):
        place = json.loads(pointer)
        found = self.aws("s3").get_object(Bucket=place["bucket"], Key=place["key"])
        return found["Body"].read()

    def back_up(self, snapshot, *, seconds):
        """Make the replica `backing-up` for so long; all else keeps its pace."""
        eventually(self.is_available)
        before = self._backups()
        control.post("speed", {"speed": DURATIONS["rds:snapshot"].seconds / seconds})
        try:
            self.aws("rds").create_db_snapshot(
                DBInstanceIdentifier=REPLICA, DBSnapshotIdentifier=snapshot
            )
            eventually(lambda: self._backups() > before)
        finally:
            control.post("speed", {"speed": SPEED})

    def _backups(self):
        found = [each for each in control.get("waits") if each["operation"] == "rds:snapshot"]
        return sum(each["resource"] == REPLICA for each in found)

    def is_available(self):
        return self.databases(TARGET)[REPLICA][0] == "available"

    def is_close_behind(self):
        """Say whether the replica follows its source again, as recovery itself sees it."""
        return (self.status()["predicted_loss_seconds"] or 99) < 1


@contextmanager
def faults(*rules):
    """Let the operator's calls fail by these rules."""
    for rule in rules:
        control.post("faults", {"access_key_prefix": "LABOPERATOR", **rule})
    try:
        yield
    finally:
        clear = urllib.request.Request(f"{ENDPOINT}/_lab/faults", method="DELETE")
        urllib.request.urlopen(clear, timeout=10).close()


def last_call():
    return control.get("calls?after=0")["next"]


def calls_since(number):
    found = report.parse_calls(control.get(f"calls?after={number}")["calls"])
    return [call for call in found if call.caller.startswith("LABOPERATOR")]


def acts_since(number):
    """Return the actions since then that may have changed something."""
    return {c.action for c in calls_since(number) if not c.action.startswith(READING)}


def finished(process):
    """Wait for a recovery that was started, and return how it ended."""
    with process:
        out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def reason(done):
    """Return the one line on standard error that says why, without what tells of progress."""
    assert "Traceback" not in done.stdout + done.stderr
    found = [line for line in map(_reason, done.stderr.splitlines()) if line]
    assert len(found) == 1, done.stderr
    return found[0]


def _reason(line):
    if not line.startswith("{"):
        return line
    event = json.loads(line)
    return event["text"] if event["event"] in {"failed", "refused"} else None


def products(done):
    """Return what a report in JSON says of each product."""
    found = json.loads(done.stdout[done.stdout.index("{\n") :])
    return {each["product"]: each for each in found["products"]}


def eventually(holds, seconds=PATIENCE_SECONDS):
    until = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < until
        time.sleep(0.1)
    return found


def connected(scene, region):
    """A session in the product's database in that region, with the product's own rights."""
    session = psycopg2.connect(**target(scene, region))
    session.autocommit = True
    return session


def target(scene, region):
    """What such a session says to reach the database."""
    site = next(each for each in scene.topology.sites.values() if each.region == region)
    product = next(each for each in scene.topology.products if each.name == PRODUCT)
    deployment = product.deployments[site.name]
    (found,) = scene.aws("rds", region).describe_db_instances(
        DBInstanceIdentifier=deployment.database
    )["DBInstances"]
    secret = json.loads(
        scene.aws("secretsmanager", region).get_secret_value(SecretId=deployment.secret)[
            "SecretString"
        ]
    )
    host = found["Endpoint"]["Address"]
    return {
        "host": host,
        "hostaddr": names.resolve(host, environment.RESOLVER)[0],
        "dbname": deployment.database_name,
        "user": secret["username"],
        "password": secret["password"],
        "sslmode": "verify-full",
        "sslrootcert": scene.lab.environment()["PGSSLROOTCERT"],
    }
