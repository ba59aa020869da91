"""Who the caller is, asked of the region's own STS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recovery.cloud.call import uses

if TYPE_CHECKING:
    from recovery.cloud.client import Region


@uses()  # AWS lets anybody ask who they are
def caller(region: Region) -> str:
    """Return the ARN of the credentials in use."""
    return region.client("sts").get_caller_identity()["Arn"]
