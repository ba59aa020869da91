"""One row per resource type: how the lab makes it real, and what AWS would replace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.provision.rows import (
    alarms,
    balancing,
    database,
    dns,
    hosts,
    identity,
    network,
    secrets,
    storage,
)

if TYPE_CHECKING:
    from lab.provision.rows.row import Row

ROWS: dict[str, Row] = {
    row.type: row
    for rows in (
        network.ROWS,
        hosts.ROWS,
        balancing.ROWS,
        dns.ROWS,
        identity.ROWS,
        secrets.ROWS,
        database.ROWS,
        alarms.ROWS,
        storage.ROWS,
    )
    for row in rows
}
