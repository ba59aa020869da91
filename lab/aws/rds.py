"""RDS as AWS has it: moto's records, with states that take time and servers that are real.

Replaces moto's create, replica, promote, modify, reboot, stop, start and delete; what AWS refuses
is refused here (rds_rules). Passwords go to the server and stay in no record.
"""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

from moto.core.utils import utcnow
from moto.ec2.models import ec2_backends
from moto.rds import models
from moto.rds.exceptions import DBInstanceAlreadyExists, DBInstanceNotFoundError

from lab.aws import rds_rules as rules
from lab.aws.addresses import loopback
from lab.aws.patch import replace, wrap
from lab.aws.rds_rename import renaming, take_name
from lab.aws.rds_replica import copy_into
from lab.aws.rds_servers import Database, Servers

if TYPE_CHECKING:
    from collections.abc import Callable

    from moto.rds.models import DBInstance, RDSBackend

    Phase = tuple[str, str | None, Callable[[], None]]


def install(servers: Servers) -> None:
    """Put the lab's RDS in place of moto's."""
    instances = Instances(servers)
    backend = models.RDSBackend
    wrap(backend, "create_db_instance", instances.create)
    wrap(backend, "modify_db_instance", instances.modify)
    wrap(backend, "stop_db_instance", instances.stop)
    wrap(backend, "start_db_instance", instances.start)
    replace(backend, "create_db_instance_read_replica", instances.create_replica)
    replace(backend, "promote_read_replica", instances.promote)
    replace(backend, "reboot_db_instance", instances.reboot)
    replace(backend, "delete_db_instance", instances.delete)
    instance: Any = models.DBInstance
    instance.address = property(_address)
    replace(instance, "remove_replica", _remove_replica)
    replace(instance, "save_automated_backup", _no_backup)


def _address(self: DBInstance) -> str:
    """Return the endpoint's name; AWS gives one label per account and region."""
    label = hashlib.sha256(f"{self.account_id}{self.region}".encode()).hexdigest()[:11]
    return f"{self.db_instance_identifier}.c{label}.{self.region}.rds.amazonaws.com"


def _remove_replica(self: DBInstance, replica: DBInstance) -> None:
    """Forget a replica, under whichever of its names it is listed; moto looks for one only."""
    names = {replica.db_instance_identifier, replica.db_instance_arn}
    self.replicas = [name for name in self.replicas if name not in names]


def _no_backup(self: DBInstance) -> None:
    """Make none: moto takes an automated snapshot at creation even with retention 0."""


class Instances:
    """What RDS does with instances."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    def create(self, original: Any, backend: RDSBackend, wanted: Any) -> DBInstance:
        """Create a writer: `creating`, `backing-up` when it keeps backups, `available`."""
        rules.check_creation(backend, wanted)
        snapshot = wanted.pop("lab_snapshot", None)
        instance = original(backend, wanted)
        password = str(instance._master_user_password or "")
        instance._master_user_password = None
        self._settle(instance, wanted.get("availability_zone"))
        database = self._servers.add(instance, self._place(instance))
        parameters = rules.parameters_of(instance)

        def act() -> None:
            if instance.engine != "postgres":
                return
            if snapshot:
                self._servers.restore(database, snapshot, parameters)
            else:
                self._servers.initialise(database, password, parameters)

        self._servers.operate(database, (("creating", "rds:create", act), *_backup(instance)))
        return instance

    def _settle(self, instance: DBInstance, zone: str | None) -> None:
        """Give a new instance what moto leaves constant: resource id, zone and key."""
        seed = f"{instance.arn}{utcnow().isoformat()}".encode()
        instance.dbi_resource_id = "db-" + hashlib.sha256(seed).hexdigest()[:26].upper()
        group: Any = getattr(instance, "db_subnet_group", None)
        zones = sorted({subnet.availability_zone for subnet in group._subnets}) if group else []
        instance.availability_zone = zone or (zones[0] if zones else f"{instance.region}a")
        instance.secondary_availability_zone = None  # type: ignore[attr-defined]
        if instance.multi_az and len(zones) > 1:
            other = next(name for name in zones if name != instance.availability_zone)
            instance.secondary_availability_zone = other  # type: ignore[attr-defined]
        if instance.storage_encrypted:
            instance.kms_key_id = rules.key_arn(instance.backend, instance.kms_key_id)

    def _place(self, instance: DBInstance) -> str:
        """Return the address of a new instance, from a subnet of its zone."""
        group: Any = getattr(instance, "db_subnet_group", None)
        if group:
            subnets = list(group._subnets)
        else:
            ec2 = ec2_backends[instance.account_id][instance.region]
            subnets = ec2.describe_subnets(filters={"default-for-az": "true"})
        fitting = [one for one in subnets if one.availability_zone == instance.availability_zone]
        subnet: Any = (fitting or subnets)[0]
        return loopback(subnet.get_available_subnet_ip(instance))

    def create_replica(self, backend: RDSBackend, wanted: Any) -> DBInstance:
        """Create a replica in the region of `backend`; built from there, not from the source's."""
        name = wanted["db_instance_identifier"]
        if name in backend.databases:
            raise DBInstanceAlreadyExists
        source = backend.find_db_from_id(wanted["source_db_instance_identifier"])
        origin = self._servers.find(source.arn)
        rules.check_replica(backend, source, wanted)
        replica = copy_into(backend, source, wanted)
        self._settle(replica, wanted.get("availability_zone"))
        backend.databases[name] = replica
        source.add_replica(replica)
        database = self._servers.add(replica, self._place(replica), origin)
        parameters = rules.parameters_of(replica)

        def act() -> None:
            if replica.engine == "postgres":
                self._servers.replicate(database, parameters)

        self._servers.operate(database, (("creating", "rds:create-replica", act),))
        return replica

    def promote(self, backend: RDSBackend, wanted: Any) -> DBInstance:
        """Promote a replica: `modifying`, `rebooting`, and only then a writer of its own.

        It takes no write before AWS says `available`: nothing promises one earlier.
        """
        replica = _existing(backend, wanted["db_instance_identifier"])
        rules.check_promotion(replica)
        database = self._database(replica)
        retention = wanted.get("backup_retention_period")
        gains_backups = replica.backup_retention_period == 0
        replica.backup_retention_period = 1 if retention is None else int(retention)
        if window := wanted.get("preferred_backup_window"):
            replica.preferred_backup_window = window

        def come_back() -> None:
            self._servers.promote(database)
            self._detach(database)

        self._servers.operate(
            database,
            (
                ("modifying", "rds:promote", lambda: None),
                ("rebooting", "rds:reboot", lambda: self._servers.go_down(database)),
                ("rebooting", None, come_back),
                *(_backup(replica) if gains_backups else ()),
            ),
        )
        return replica

    def _detach(self, database: Database) -> None:
        replica, source = database.instance, database.source
        if source:
            source.instance.remove_replica(replica)
        replica.is_replica = False
        replica.source_db_instance_identifier = None
        replica.status_infos = []  # type: ignore[attr-defined]
        self._servers.detach(database)

    def modify(self, original: Any, backend: RDSBackend, old_name: str, wanted: Any) -> DBInstance:
        """Modify an instance; what waits for the maintenance window on AWS waits here too."""
        instance = _existing(backend, old_name)
        rules.check_modification(backend, instance, wanted)
        password = wanted.pop("master_user_password", None)
        later = rules.deferred(instance, wanted)
        for key in later:
            del wanted[key]
        instance.pending_modified_values = later  # type: ignore[attr-defined]
        name = take_name(backend, instance, wanted)
        before = instance.backup_retention_period
        original(backend, old_name, wanted)
        self._settle_again(instance, wanted)
        database = self._database(instance)

        def act() -> None:
            if password and database.server:
                database.server.set_password(password)

        gains_backups = before == 0 and instance.backup_retention_period > 0
        self._servers.operate(
            database,
            (
                *(renaming(self._servers, database, name) if name else ()),
                ("modifying", "rds:modify", act),
                *(_backup(instance) if gains_backups else ()),
            ),
        )
        return instance

    def _settle_again(self, instance: DBInstance, wanted: Any) -> None:
        if wanted.get("multi_az") is not None:
            resource, self_id = instance.dbi_resource_id, instance.availability_zone
            self._settle(instance, self_id)
            instance.dbi_resource_id = resource

    def reboot(self, backend: RDSBackend, db_instance_identifier: str) -> DBInstance:
        """Restart an instance; its connections end."""
        instance = _existing(backend, db_instance_identifier)
        rules.check_available(instance)
        database = self._database(instance)
        self._servers.operate(
            database, (("rebooting", "rds:reboot", lambda: self._servers.reboot(database)),)
        )
        return instance

    def stop(self, original: Any, backend: RDSBackend, *arguments: Any) -> DBInstance:
        """Stop an instance and its server."""
        instance = original(backend, *arguments)
        self._servers.stop(self._database(instance))
        return instance

    def start(self, original: Any, backend: RDSBackend, name: str) -> DBInstance:
        """Start a stopped instance again."""
        instance = original(backend, name)
        database = self._database(instance)
        self._servers.operate(
            database, (("starting", "rds:start", lambda: self._servers.start(database)),)
        )
        return instance

    def delete(
        self,
        backend: RDSBackend,
        db_instance_identifier: str,
        *,
        final_db_snapshot_identifier: str | None = None,
        skip_final_snapshot: bool | None = False,
        **_: Any,
    ) -> DBInstance:
        """Delete an instance: `deleting`, then it is gone, with its server and data."""
        instance = _existing(backend, db_instance_identifier)
        rules.check_deletion(
            instance, skip=bool(skip_final_snapshot), final=final_db_snapshot_identifier
        )
        database = self._database(instance)
        final: Any = None
        if final_db_snapshot_identifier:
            final = backend.create_db_snapshot(db_instance_identifier, final_db_snapshot_identifier)
        source = database.source

        def remove() -> None:
            while final and final.status == "creating":
                time.sleep(0.05)
            if source:
                source.instance.remove_replica(instance)
            self._servers.remove(database)

        def forget() -> None:
            backend.databases.pop(db_instance_identifier, None)

        self._servers.operate(database, (("deleting", "rds:delete", remove),), finally_=forget)
        return instance

    def _database(self, instance: DBInstance) -> Database:
        database = self._servers.find(instance.arn)
        assert database, instance.arn
        return database


def _existing(backend: RDSBackend, name: str) -> DBInstance:
    instance = backend.databases.get(name)
    if instance is None:
        raise DBInstanceNotFoundError(name)
    return instance


def _backup(instance: DBInstance) -> tuple[Phase, ...]:
    """Return the phase of the first backup, which AWS takes once backups are on."""
    if instance.backup_retention_period == 0:
        return ()
    return (("backing-up", "rds:backing-up", lambda: None),)
