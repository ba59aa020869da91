"""Snapshots that take time and hold real data, and restores from them."""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from moto.rds import models

from lab.aws import rds_rules as rules
from lab.aws.errors import RefusedError
from lab.aws.patch import replace, wrap

if TYPE_CHECKING:
    from pathlib import Path

    from moto.rds.models import DBSnapshot, RDSBackend

    from lab.aws.context import Context
    from lab.aws.rds_servers import Servers


def install(context: Context, servers: Servers) -> None:
    """Put the lab's snapshots in place of moto's."""
    snapshots = Snapshots(context, servers)
    backend = models.RDSBackend
    wrap(backend, "create_db_snapshot", snapshots.create)
    wrap(backend, "copy_db_snapshot", snapshots.copy)
    wrap(backend, "restore_db_instance_from_db_snapshot", snapshots.restore)
    wrap(backend, "delete_db_snapshot", snapshots.delete)
    replace(backend, "restore_db_instance_to_point_in_time", _restore_to_time)


def _restore_to_time(*_: Any, **__: Any) -> None:
    msg = "point-in-time restore"
    raise NotImplementedError(msg)


class Snapshots:
    """What RDS does with snapshots."""

    def __init__(self, context: Context, servers: Servers) -> None:
        self._context = context
        self._servers = servers

    def create(
        self, original: Any, backend: RDSBackend, *arguments: Any, **named: Any
    ) -> DBSnapshot:
        """Take a snapshot: it is `creating` and its instance `backing-up` until it is there."""
        snapshot = original(backend, *arguments, **named)
        instance = backend.databases[snapshot.db_instance_identifier]
        try:
            rules.check_available(instance)
        except RefusedError:
            del backend.database_snapshots[snapshot.db_snapshot_identifier]
            raise
        database = self._servers.find(instance.arn)
        assert database
        snapshot.status, snapshot.percent_progress = "creating", 0
        folder = self._folder(snapshot)
        snapshot.lab_folder = folder

        def copy_data() -> None:
            if database.server:
                shutil.rmtree(folder, ignore_errors=True)
                folder.parent.mkdir(parents=True, exist_ok=True)
                database.server.snapshot(folder)

        def finish() -> None:
            snapshot.status, snapshot.percent_progress = "available", 100

        self._servers.operate(
            database, (("backing-up", "rds:snapshot", copy_data),), finally_=finish
        )
        return snapshot

    def _folder(self, snapshot: DBSnapshot) -> Path:
        name = f".snapshot.{snapshot.region}.{snapshot.db_snapshot_identifier.replace(':', '-')}"
        return self._context.run_dir / "pg" / name

    def copy(self, original: Any, backend: RDSBackend, **wanted: Any) -> DBSnapshot:
        """Copy a snapshot's data in the time that a snapshot takes.

        An encrypted one needs a key of the region that it is copied to.
        """
        source: Any = backend.get_db_snapshot(wanted["source_db_snapshot_identifier"])
        _check_available(source)
        abroad = source.region != backend.region_name
        if abroad and source.encrypted and not wanted.get("kms_key_id"):
            msg = "KmsKeyId is required to copy an encrypted snapshot to another region"
            raise RefusedError("InvalidParameterCombination", msg)
        copied = original(backend, **wanted)
        copied.status, copied.percent_progress = "creating", 0
        copied.source_region = source.region
        copied.lab_folder = self._folder(copied)

        def act() -> None:
            if source.lab_folder.exists():
                shutil.copytree(source.lab_folder, copied.lab_folder, dirs_exist_ok=True)
            self._context.pace.wait(
                "rds:snapshot", resource=copied.db_snapshot_identifier, region=copied.region
            )
            with self._context.lock:
                copied.status, copied.percent_progress = "available", 100

        self._context.start(f"copy {copied.db_snapshot_identifier}", act)
        return copied

    def restore(self, original: Any, backend: RDSBackend, name: str, wanted: Any) -> Any:
        """Create an instance with the data of a snapshot."""
        source: Any = backend.get_db_snapshot(name)
        _check_available(source)
        wanted["lab_snapshot"] = source.lab_folder
        return original(backend, name, wanted)

    def delete(self, original: Any, backend: RDSBackend, name: str) -> DBSnapshot:
        """Delete a snapshot and its data."""
        snapshot = original(backend, name)
        shutil.rmtree(snapshot.lab_folder, ignore_errors=True)
        snapshot.status = "deleted"
        return snapshot


def _check_available(snapshot: Any) -> None:
    if snapshot.status != "available":
        msg = f"DBSnapshot {snapshot.db_snapshot_identifier} is {snapshot.status}, not available"
        raise RefusedError("InvalidDBSnapshotState", msg)
