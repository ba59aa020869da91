"""URNs, and the names that the provider gives to what has none."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from lab.provision import sdk
from lab.provision.errors import ProvisionError

if TYPE_CHECKING:
    from lab.provision.sdk import Reading, Registration

_HEX = 7


def urn(stack: str, project: str, resource: Registration | Reading) -> str:
    """Return the URN as the engine makes it: the types of all parents, joined by `$`."""
    parents = resource.parent.split("::")[2] if resource.parent else ""
    chain = [kind for kind in parents.split("$") if kind and kind != sdk.STACK_TYPE]
    types = "$".join([*chain, resource.type])
    return f"urn:pulumi:{stack}::{project}::{types}::{resource.name}"


def automatic(name: str, limit: int) -> str:
    """Return `name-` and 7 hex digits, as the provider would; raise if AWS takes less."""
    automatic = f"{name}-{secrets.token_hex(_HEX)[:_HEX]}"
    if len(automatic) > limit:
        msg = f"the automatic name {automatic} is longer than AWS's {limit}; give a name"
        raise ProvisionError(msg)
    return automatic
