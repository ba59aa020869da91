"""One row per resource type: how the lab makes it real, and what AWS would replace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.provision.rows import (
    acls,
    alarms,
    balancing,
    buckets,
    capacity,
    certificates,
    database,
    database_groups,
    dns,
    hosts,
    identity,
    instance,
    keys,
    network,
    objects,
    routes,
    secrets,
    security,
    tables,
    targets,
)

if TYPE_CHECKING:
    from lab.provision.rows.row import Row

ROWS: dict[str, Row] = {
    row.type: row
    for rows in (
        network.ROWS,
        acls.ROWS,
        routes.ROWS,
        security.ROWS,
        hosts.ROWS,
        capacity.ROWS,
        instance.ROWS,
        balancing.ROWS,
        targets.ROWS,
        certificates.ROWS,
        dns.ROWS,
        identity.ROWS,
        keys.ROWS,
        secrets.ROWS,
        database_groups.ROWS,
        database.ROWS,
        alarms.ROWS,
        buckets.ROWS,
        objects.ROWS,
        tables.ROWS,
    )
    for row in rows
}
"""Resource type → its row."""
