"""A stack's state as `pulumi stack export` gives it, read strictly and changed in one place only.

Its format is Pulumi's own (`apitype.UntypedDeployment` and `ResourceV3` of pulumi/pulumi,
sdk/go/common/apitype/core.go). What this program does not read is kept as it is.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import msgspec

from recovery.engine.errors import OutsideError

STACK = "pulumi:pulumi:Stack"
PROVIDER = "pulumi:providers:aws"


class MalformedStateError(OutsideError):
    """What was exported is no state that this program can read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource of a state."""

    urn: str
    type: str
    id: str = ""
    parent: str = ""
    inputs: dict[str, Any] = field(default_factory=dict[str, Any])
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def name(self) -> str:
        """The name in the program: what the URN ends with."""
        return name_of(self.urn)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """All resources of one stack, and the document that they were read from."""

    resources: tuple[Resource, ...]
    document: Any

    def find(self, kind: str, name: str) -> Resource | None:
        """Return the resource of that type and name."""
        return next((one for one in self.resources if (one.type, one.name) == (kind, name)), None)

    @property
    def outputs(self) -> dict[str, Any]:
        """The stack's own outputs."""
        found = next((one for one in self.resources if one.type == STACK), None)
        return found.outputs if found else {}


def name_of(urn: str) -> str:
    """Return the name that a URN ends with."""
    return urn.rpartition("::")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deployment:
    resources: tuple[Resource, ...] = ()
    pending_operations: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Export:
    version: int
    deployment: _Deployment


def parse(text: str, stack: str) -> Checkpoint:
    """Return the state in `text`; MalformedStateError where it cannot be worked on."""
    try:
        document = msgspec.json.decode(text)
        export = msgspec.convert(document, _Export)
    except msgspec.DecodeError as error:
        raise MalformedStateError(
            f"the export of stack {stack} is no state of Pulumi's: {error}"
        ) from error
    if export.deployment.pending_operations:
        raise MalformedStateError(
            f"stack {stack} has operations that were broken off; run pulumi refresh --stack "
            f"{stack}, which settles them, then reconcile"
        )
    if not export.deployment.resources:
        raise MalformedStateError(f"the state of stack {stack} is empty; restore it, or update it")
    return Checkpoint(resources=export.deployment.resources, document=document)


_OF_ANOTHER_LIFE = ("passwordWoVersion",)
"""What was once given to a database and never read from it: a replica has its source's password."""


def rebound(document: Any, urn: str, id_: str) -> Any:
    """Return the document with the resource `urn` standing for the one called `id_`.

    Only its identity changes: a refresh reads the rest. Nothing that refers to it has to change,
    as references are URNs.
    """
    made = copy.deepcopy(document)
    for resource in made["deployment"]["resources"]:
        if resource["urn"] != urn:
            continue
        resource["id"] = id_
        resource.pop("importID", None)
        for values in (resource.get("inputs", {}), resource.get("outputs", {})):
            for name in _OF_ANOTHER_LIFE:
                values.pop(name, None)
        if "id" in resource.get("outputs", {}):
            resource["outputs"]["id"] = id_
    return made
