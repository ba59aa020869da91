"""A DB instance gets another identifier, and with it another endpoint and ARN.

The old name stays known while the instance is `renaming`; it restarts, and its replicas follow it
(Amazon RDS User Guide, Renaming a DB instance). Without ApplyImmediately the new name waits for the
maintenance window, and so for ever here.
"""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.rds.exceptions import DBInstanceAlreadyExists

if TYPE_CHECKING:
    from moto.rds.models import DBInstance, RDSBackend

    from lab.aws.rds_servers import Database, Phase, Servers


def take_name(backend: RDSBackend, instance: DBInstance, wanted: Any) -> str | None:
    """Take the new identifier out of what is wanted; None: it stays, or the window is waited for.

    Refuse a name that is taken.
    """
    name = wanted.pop("new_db_instance_identifier", None) or None
    for spelt in ("NewDBInstanceIdentifier", "new_db_instance_identifier"):
        wanted.pop(spelt, None)
    if name is None or name == instance.db_instance_identifier:
        return None
    if name in backend.databases:
        raise DBInstanceAlreadyExists
    if str(wanted.get("apply_immediately")).lower() != "true":
        instance.pending_modified_values["DBInstanceIdentifier"] = name  # type: ignore[attr-defined]
        return None
    return name


def renaming(servers: Servers, database: Database, name: str) -> tuple[Phase, ...]:
    """Return what the instance goes through, before whatever else is modified."""

    def restart() -> None:
        servers.rename(database, lambda: _give(servers, database, name))
        servers.reboot(database)

    return ("renaming", "rds:rename", lambda: None), ("rebooting", "rds:reboot", restart)


def _give(servers: Servers, database: Database, name: str) -> None:
    """Let the instance be found by its new name only."""
    instance = database.instance
    backend: Any = instance.backend
    backend.databases.pop(instance.db_instance_identifier, None)
    instance.db_instance_identifier = name
    backend.databases[name] = instance
    for each in servers:
        if each.source is database:
            abroad = each.region != database.region
            each.instance.source_db_instance_identifier = instance.arn if abroad else name
