"""Opens an execution's journal, mirrored to the standby's bucket."""

from __future__ import annotations

from recovery import naming
from recovery.cloud import client, objects
from recovery.cloud.client import Region
from recovery.engine import state
from recovery.engine.errors import OutsideError
from recovery.engine.journal import Journal
from recovery.topology import Site


def opened(execution: str, region: Region, site: Site) -> Journal:
    """Return a new journal of this machine whose every record is copied to the site's bucket.

    RefusedError where this machine's disk does not take it.
    """

    def mirror(content: bytes) -> str | None:
        client.calling_step.set("journal")
        try:
            objects.write(region, site.bucket, naming.journal_key(execution), content)
        except OutsideError as error:
            return str(error)
        return None

    return Journal(state.folder(), execution, mirror)
