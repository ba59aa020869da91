"""What an organisation's account already holds before any stack is made."""

# pyright: reportUnknownMemberType=false
from __future__ import annotations

from typing import TYPE_CHECKING

from moto.route53.models import route53_backends

from lab.aws.context import ACCOUNT

if TYPE_CHECKING:
    from lab.aws.context import Context


def plant(context: Context) -> None:
    """Make the public hosted zone; images and their public parameters are moto's own."""
    route53_backends[ACCOUNT]["aws"].create_hosted_zone(f"{context.zone}.", private_zone=False)
