"""EC2 as the stacks meet it: volumes from images, images that exist."""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.ec2.models import EC2Backend
from moto.ec2.models.instances import Instance
from moto.ec2.responses.instances import InstanceResponse

from lab.aws.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

_ROOT_GIB = 8
"""Size of an Amazon Linux image's root volume, taken where a mapping names none."""

_ZONE = 3
"""Position of the zone among the arguments of moto's create_subnet."""


def install() -> None:
    """Put the lab's rules in place of moto's."""
    instance: Any = Instance
    add = instance.add_block_device
    response: Any = InstanceResponse
    plain_validate = response._validate_block_device_mapping
    backend: Any = EC2Backend
    plain_subnet = backend.create_subnet
    run: Callable[..., Any] = backend.run_instances

    def add_block_device(self: Instance, size: int | None, *rest: Any, **named: Any) -> None:
        snapshot = rest[1] if len(rest) > 1 else named.get("snapshot_id")
        add(self, size if size or snapshot else _ROOT_GIB, *rest, **named)

    def validate(mapping: dict[str, Any]) -> None:
        """Take the image's size for a root volume that names none, as AWS does."""
        volume = mapping.get("Ebs")
        if volume is not None and not volume.get("VolumeSize") and not volume.get("SnapshotId"):
            volume["VolumeSize"] = _ROOT_GIB
        plain_validate(mapping)

    def run_instances(self: Any, image_id: str, *rest: Any, **wanted: Any) -> Any:
        image = image_id
        if not image and wanted.get("launch_template"):
            image = self._get_template_from_args(wanted["launch_template"]).image_id
        if not self.describe_images(filters={"image-id": image}):
            msg = f"The image id '[{image}]' does not exist"
            raise RefusedError("InvalidAMIID.NotFound", msg)
        return run(self, image_id, *rest, **wanted)

    def create_subnet(self: Any, *arguments: Any, **wanted: Any) -> Any:
        given = arguments[_ZONE] if len(arguments) > _ZONE else None
        zone = given or wanted.get("availability_zone")
        if zone and not str(zone).startswith(self.region_name):
            msg = f"Value ({zone}) for parameter availabilityZone is invalid. "
            msg += f"Subnets can currently only be created in zones of {self.region_name}."
            raise RefusedError("InvalidParameterValue", msg)
        return plain_subnet(self, *arguments, **wanted)

    backend.create_subnet = create_subnet
    instance.add_block_device = add_block_device
    response._validate_block_device_mapping = staticmethod(validate)
    backend.run_instances = run_instances
