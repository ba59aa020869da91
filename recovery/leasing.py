"""The execution lease's items in the control tables."""

from __future__ import annotations

from recovery import naming
from recovery.cloud import tables
from recovery.cloud.client import Region
from recovery.cloud.errors import ConflictError
from recovery.engine.lease import Conflict, Entry


class ControlTable:
    """A product's lease item in one region's control table."""

    def __init__(self, region: Region, table: str, product: str) -> None:
        """Describe the item; nothing is read yet."""
        self.name = f"{table} in {region.name}"
        self._region = region
        self._table = table
        self._key = naming.execution_item(product)

    def read(self) -> Entry | None:
        """Return the entry, strongly consistent; None if there is none."""
        item = tables.read(self._region, self._table, self._key)
        if item is None:
            return None
        return Entry(
            holder=str(item["holder"]),
            execution=str(item["execution"]),
            token=int(item["fencing_token"]),
            renewals=int(item["renewals"]),
        )

    def replace(self, expected: Entry | None, entry: Entry) -> None:
        """Write `entry` if the item still is `expected`; raise Conflict otherwise."""
        condition, values = "attribute_not_exists(fencing_token)", dict[str, tables.Value]()
        if expected is not None:
            condition = "fencing_token = :token AND renewals = :renewals"
            values = {"token": expected.token, "renewals": expected.renewals}
        item = {
            naming.CONTROL_HASH_KEY: self._key,
            "holder": entry.holder,
            "execution": entry.execution,
            "fencing_token": entry.token,
            "renewals": entry.renewals,
        }
        try:
            tables.put(self._region, self._table, item, condition=condition, values=values)
        except ConflictError as error:
            raise Conflict(self.name) from error
