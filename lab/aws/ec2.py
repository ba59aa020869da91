"""EC2 as the stacks meet it: volumes from images, images that exist."""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
from __future__ import annotations

from typing import Any

from moto.ec2.models import EC2Backend
from moto.ec2.models.instances import Instance
from moto.ec2.responses.instances import InstanceResponse

from lab.aws.errors import RefusedError
from lab.aws.patch import wrap

_ROOT_GIB = 8
"""Size of an Amazon Linux image's root volume, taken where a mapping names none."""

_ZONE = 3
"""Position of the zone among the arguments of moto's create_subnet."""


def install() -> None:
    """Put the lab's rules in place of moto's."""
    wrap(EC2Backend, "create_subnet", _create_subnet)
    wrap(EC2Backend, "run_instances", _run_instances)
    wrap(Instance, "add_block_device", _add_block_device)
    plain = InstanceResponse._validate_block_device_mapping

    def validate(mapping: dict[str, Any]) -> None:
        """Take the image's size for a root volume that names none, as AWS does."""
        volume = mapping.get("Ebs")
        if volume is not None and not volume.get("VolumeSize") and not volume.get("SnapshotId"):
            volume["VolumeSize"] = _ROOT_GIB
        plain(mapping)

    response: Any = InstanceResponse
    response._validate_block_device_mapping = staticmethod(validate)


def _create_subnet(original: Any, backend: EC2Backend, *arguments: Any, **wanted: Any) -> Any:
    given = arguments[_ZONE] if len(arguments) > _ZONE else None
    zone = given or wanted.get("availability_zone")
    if zone and not str(zone).startswith(backend.region_name):
        msg = f"Value ({zone}) for parameter availabilityZone is invalid. "
        msg += f"Subnets can currently only be created in zones of {backend.region_name}."
        raise RefusedError("InvalidParameterValue", msg)
    return original(backend, *arguments, **wanted)


def _run_instances(
    original: Any, backend: EC2Backend, image_id: str, *rest: Any, **wanted: Any
) -> Any:
    image = image_id
    if not image and wanted.get("launch_template"):
        image = backend._get_template_from_args(wanted["launch_template"]).image_id
    if not backend.describe_images(filters={"image-id": image}):
        msg = f"The image id '[{image}]' does not exist"
        raise RefusedError("InvalidAMIID.NotFound", msg)
    return original(backend, image_id, *rest, **wanted)


def _add_block_device(
    original: Any, instance: Instance, size: int | None, *rest: Any, **named: Any
) -> None:
    snapshot = rest[1] if len(rest) > 1 else named.get("snapshot_id")
    original(instance, size if size or snapshot else _ROOT_GIB, *rest, **named)
