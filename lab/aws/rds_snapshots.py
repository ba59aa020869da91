"""Snapshots that take time and hold real data, and restores from them."""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from moto.rds import models

from lab.aws import rds_rules as rules
from lab.aws.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from moto.rds.models import DBSnapshot, RDSBackend

    from lab.aws.context import Context
    from lab.aws.rds_servers import Servers


def install(context: Context, servers: Servers) -> None:
    """Put the lab's snapshots in place of moto's."""
    snapshots = Snapshots(context, servers)
    backend: Any = models.RDSBackend
    create = backend.create_db_snapshot
    copy = backend.copy_db_snapshot
    restore = backend.restore_db_instance_from_db_snapshot
    delete = backend.delete_db_snapshot

    def create_snapshot(self: RDSBackend, *arguments: Any, **named: Any) -> DBSnapshot:
        return snapshots.create(self, create(self, *arguments, **named))

    def copy_snapshot(self: RDSBackend, **wanted: Any) -> DBSnapshot:
        source = self.get_db_snapshot(wanted["source_db_snapshot_identifier"])
        snapshots.check_copy(self, source, wanted)
        return snapshots.copy(source, copy(self, **wanted))

    def restore_snapshot(self: RDSBackend, from_snapshot_id: str, overrides: Any) -> Any:
        source = self.get_db_snapshot(from_snapshot_id)
        overrides.update(snapshots.restoration(source))
        return restore(self, from_snapshot_id, overrides)

    def delete_snapshot(self: RDSBackend, db_snapshot_identifier: str) -> DBSnapshot:
        return snapshots.delete(delete(self, db_snapshot_identifier))

    def restore_to_time(self: RDSBackend, *_: Any, **__: Any) -> Any:
        msg = "point-in-time restore"
        raise NotImplementedError(msg)

    backend.create_db_snapshot = create_snapshot
    backend.copy_db_snapshot = copy_snapshot
    backend.restore_db_instance_from_db_snapshot = restore_snapshot
    backend.delete_db_snapshot = delete_snapshot
    backend.restore_db_instance_to_point_in_time = restore_to_time


class Snapshots:
    """What RDS does with snapshots."""

    def __init__(self, context: Context, servers: Servers) -> None:
        self._context = context
        self._servers = servers

    def create(self, backend: RDSBackend, snapshot: Any) -> DBSnapshot:
        """Take a snapshot: it is `creating` and its instance `backing-up` until it is there."""
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

    def check_copy(self, backend: RDSBackend, source: Any, wanted: Any) -> None:
        """Refuse to copy an encrypted snapshot to another region without a key of that region."""
        abroad = source.region != backend.region_name
        if abroad and source.encrypted and not wanted.get("kms_key_id"):
            msg = "KmsKeyId is required to copy an encrypted snapshot to another region"
            raise RefusedError("InvalidParameterCombination", msg)
        if source.status != "available":
            msg = f"DBSnapshot {source.db_snapshot_identifier} is {source.status}, not available"
            raise RefusedError("InvalidDBSnapshotState", msg)

    def copy(self, source: Any, copied: Any) -> DBSnapshot:
        """Copy a snapshot's data in the time that a snapshot takes."""
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

    def restoration(self, source: Any) -> dict[str, Any]:
        """Return what a restore needs beyond moto's: the data, and no protection inherited."""
        if source.status != "available":
            msg = f"DBSnapshot {source.db_snapshot_identifier} is {source.status}, not available"
            raise RefusedError("InvalidDBSnapshotState", msg)
        return {"lab_snapshot": source.lab_folder}

    def delete(self, snapshot: Any) -> DBSnapshot:
        """Delete a snapshot and its data."""
        shutil.rmtree(snapshot.lab_folder, ignore_errors=True)
        snapshot.status = "deleted"
        return snapshot
