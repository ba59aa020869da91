"""A host's root volume takes its size from its image where the launch template gives none."""

# pyright: reportPrivateUsage=false, reportAttributeAccessIssue=false
from __future__ import annotations

from typing import Any

from moto.ec2.models.elastic_block_store import EBSBackend
from moto.ec2.responses.instances import InstanceResponse

_IMAGE_GIB = 8
"""Root volume of Amazon Linux 2023's images (its user guide)."""


def install() -> None:
    """Let volumes be made without a size; moto knows no sizes of images and refuses them."""
    made = EBSBackend.create_volume

    def create_volume(backend: EBSBackend, *given: Any, **named: Any) -> Any:
        if not given and named.get("size") is None and named.get("snapshot_id") is None:
            named["size"] = _IMAGE_GIB
        return made(backend, *given, **named)

    EBSBackend.create_volume = create_volume

    def accept(_mapping: dict[str, Any]) -> None:
        """Check nothing: a device without a size is as large as its image's."""

    InstanceResponse._validate_block_device_mapping = staticmethod(accept)
