"""SSM parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recovery.cloud.call import uses

if TYPE_CHECKING:
    from recovery.cloud.client import Region


@uses("ssm:GetParameter")
def read(region: Region, name: str) -> str:
    """Return the parameter's value; NotFoundError when there is none."""
    answer = region.client("ssm").get_parameter(Name=name)
    return answer["Parameter"].get("Value", "")
