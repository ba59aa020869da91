"""What has to be done to a stack's state so that each URN stands for what is there now.

Pure functions of a state and of the world; planning again after doing it finds nothing.

Resource ids are those of terraform-provider-aws, which pulumi-aws takes over: the resource id
`db-…` of an `aws.rds.Instance` (internal/service/rds/instance.go: the identifier may be changed,
the id never), the bucket of an `aws.s3.BucketReplicationConfig`
(internal/service/s3/bucket_replication_configuration.go), the ARN of the backups in their
destination region of an `aws.rds.InstanceAutomatedBackupsReplication`
(internal/service/rds/instance_automated_backups_replication.go).
"""

from __future__ import annotations

from dataclasses import dataclass

from recovery import naming
from recovery.engine.errors import RefusedError
from recovery.reconciliation.checkpoint import PROVIDER, Checkpoint, Resource
from recovery.reconciliation.wanted import LINK
from recovery.reconciliation.world import Fleet, Placed, SiteSeen, World, bucket
from recovery.topology import Product

INSTANCE = "aws:rds/instance:Instance"
FLEET = "aws:autoscaling/group:Group"
RULES = "aws:s3/bucketReplicationConfig:BucketReplicationConfig"
BACKUPS = "aws:rds/instanceAutomatedBackupsReplication:InstanceAutomatedBackupsReplication"
_REPLICATION = "standby:infra:BucketReplication"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebind:
    """The URN is to stand for another resource; whatever depends on it stays as it is.

    `pulumi state delete` refuses a resource that others depend on, and a launch template depends
    on every database (pkg/resource/edit/operations.go of pulumi/pulumi); an import under a URN that
    is taken would replace what has it. An import also forgets what only the provider knows, such as
    the final snapshot (`resourceInstanceImport`: `skip_final_snapshot` is true then), which an
    edited export keeps. Editing an export is Pulumi's own way for what was changed beside it
    (www.pulumi.com/docs/iac/cli/commands/pulumi_stack_export).
    """

    urn: str
    old: str
    new: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """The resource leaves the state; in AWS it stays as it is, or is gone already."""

    urn: str
    id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """What recovery made comes into the state, as the program declares it."""

    type: str
    name: str
    id: str
    provider: str
    """URN."""
    parent: str | None
    """URN; None: the stack itself."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    """The state is to read again what recovery changed in place."""

    urn: str
    why: str


Operation = Rebind | Forget | Import | Refresh


def plan(checkpoint: Checkpoint, stack: str, world: World) -> tuple[Operation, ...]:
    """Return what has to be done to the state of `stack`, in order.

    RefusedError where the state or the world lacks what the stack is made of.
    """
    if stack == LINK:
        return _of_link(checkpoint, world)
    return _of_site(checkpoint, world, world.sites[stack])


def _of_site(checkpoint: Checkpoint, world: World, site: SiteSeen) -> tuple[Operation, ...]:
    found: list[Operation] = []
    for product in world.topology.products:
        deployment = product.deployments[site.name]
        database = _held(checkpoint, INSTANCE, deployment.database, site.name)
        placed = site.databases[product.name]
        if placed is None:
            raise RefusedError(f"{deployment.database} does not exist in {site.region}")
        found += _database(database, placed)
        fleet = site.fleets[product.name]
        if fleet is None:
            raise RefusedError(f"{deployment.host_group} does not exist in {site.region}")
        found += _fleet(_held(checkpoint, FLEET, _group(product, site), site.name), fleet)
    return tuple(found)


def _group(product: Product, site: SiteSeen) -> str:
    return naming.host_group(product.name, site.name)


def _database(held: Resource, placed: Placed) -> list[Operation]:
    if held.id != placed.resource_id:
        why = f"{held.name} is another database now; the old one is put aside, in no stack"
        return [
            Rebind(urn=held.urn, old=held.id, new=placed.resource_id, why=why),
            Refresh(urn=held.urn, why="reads what the new one is like"),
        ]
    source = str(held.outputs.get("replicateSourceDb") or "").rpartition(":")[2] or None
    if source != placed.source:
        said = f"a replica of {source}" if source else "a writer"
        is_one = f"a replica of {placed.source}" if placed.source else "a writer"
        return [Refresh(urn=held.urn, why=f"the state calls it {said}, and it is {is_one}")]
    kept = held.outputs.get("backupRetentionPeriod")
    if kept != placed.retention_days:
        why = f"the state has its backups kept {kept} days, and it is {placed.retention_days}"
        return [Refresh(urn=held.urn, why=why)]
    return []


def _fleet(held: Resource, fleet: Fleet) -> list[Operation]:
    known = held.outputs.get("minSize"), held.outputs.get("desiredCapacity")
    if known == (fleet.minimum, fleet.desired):
        return []
    why = f"the state has {known[1]} hosts, and {fleet.desired} are asked for"
    return [Refresh(urn=held.urn, why=why)]


def _of_link(checkpoint: Checkpoint, world: World) -> tuple[Operation, ...]:
    found: list[Operation] = []
    for product in world.topology.products:
        for kind in naming.REPLICATED:
            found += _rules(checkpoint, world, product, kind)
        found += _backups(checkpoint, world, product)
    return tuple(found)


def _rules(checkpoint: Checkpoint, world: World, product: Product, kind: str) -> list[Operation]:
    found: list[Operation] = []
    if old := checkpoint.find(RULES, naming.replication_from(product.name, kind, world.standby)):
        why = f"recovery took the rule away: nothing is replicated from {world.standby}"
        found.append(Forget(urn=old.urn, id=old.id, why=why))
    name = naming.replication_from(product.name, kind, world.active)
    if checkpoint.find(RULES, name) is None:
        parent = _held(
            checkpoint, _REPLICATION, naming.bucket_replication(product.name, kind), LINK
        )
        found.append(
            Import(
                type=RULES,
                name=name,
                id=bucket(product.deployments[world.active], kind),
                provider=_held(checkpoint, PROVIDER, world.active, LINK).urn,
                parent=parent.urn,
                why=f"recovery made the rule: {kind} are replicated from {world.active}",
            )
        )
    return found


def _backups(checkpoint: Checkpoint, world: World, product: Product) -> list[Operation]:
    """Return what to do about the copies of backups: the link makes those of the new active."""
    found: list[Operation] = []
    if old := checkpoint.find(BACKUPS, naming.backups_from(product.name, world.standby)):
        why = "these are of the old database; they stay until you delete them"
        found.append(Forget(urn=old.urn, id=old.id, why=why))
    name = naming.backups_from(product.name, world.active)
    arrives = world.sites[world.standby].receives.get(product.name)
    held = checkpoint.find(BACKUPS, name)
    if held is not None and held.id != arrives:
        why = "these are of a database that is no longer there"
        found.append(Forget(urn=held.urn, id=held.id, why=why))
        held = None
    if held is None and arrives is not None:
        found.append(
            Import(
                type=BACKUPS,
                name=name,
                id=arrives,
                provider=_held(checkpoint, PROVIDER, world.standby, LINK).urn,
                parent=None,
                why=f"backups of {world.active} arrive in {world.sites[world.standby].region}",
            )
        )
    return found


def _held(checkpoint: Checkpoint, kind: str, name: str, stack: str) -> Resource:
    found = checkpoint.find(kind, name)
    if found is None:
        raise RefusedError(
            f"the state of stack {stack} has no {kind} called {name}; restore an export that has "
            "it (pulumi stack import), then reconcile"
        )
    return found
