"""What the lab takes from the stacks' own configuration, and where it differs from it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.provision import config

PROJECT = Path(__file__).resolve().parent.parent
"""The folder of Pulumi.yaml and of the stacks' programs."""
STACKS = ("primary", "dr", "link")
ACTIVE = "primary"
"""The site that is active in a new lab."""
GUARD_TTL_VARIABLE = "STANDBY_LAB_GUARD_TTL"
"""Seconds for which guards serve after they were told to; the bench compares at its peer's."""
OVERRIDES: dict[str, Any] = {
    "https_port": 8443,
    "guard": {
        "ttl_seconds": int(os.environ.get(GUARD_TTL_VARIABLE, "3")),
        "heartbeat_seconds": 0.5,
        "switch_seconds": 1,
    },
    "products[*].database.version": "18",
}
"""Where the lab differs: a port that needs no privilege, guards at the pace of a minute rather
than of a day, and the PostgreSQL that is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What exists before the stacks do."""

    zone: str
    regions: tuple[str, ...]
    products: tuple[str, ...]
    """Names of the products that the stacks will make."""


def surroundings() -> Surroundings:
    """Return the zone and the regions that Pulumi.yaml and the stacks' files name."""
    project = config.project(PROJECT)
    values = config.stack_config(project, ACTIVE, OVERRIDES)

    def value(key: str) -> str:
        return values[f"{project.name}:{key}"]

    sites = json.loads(value("sites")).values()
    witness = json.loads(value("witness"))
    return Surroundings(
        zone=value("zone"),
        regions=(*(site["region"] for site in sites), witness["region"]),
        products=tuple(product["name"] for product in json.loads(value("products"))),
    )
