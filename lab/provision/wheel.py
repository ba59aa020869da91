"""What pulumi-aws's own classes say about a resource type's properties."""

from __future__ import annotations

import inspect
import sys
import threading
import types
import typing
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi import _types  # pyright: ignore[reportPrivateUsage]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """Properties of one resource type, in camelCase."""

    computed: frozenset[str]
    """Inputs that may be left out and that the provider then fills in."""
    promised: frozenset[str]
    """Outputs that always have a value."""
    taggable: bool


_EMPTY = Schema(computed=frozenset(), promised=frozenset(), taggable=False)
_schemas: dict[str, Schema] = {}
_lock = threading.Lock()


def schema(type_token: str) -> Schema:
    """Return the schema of a type that the running program has used.

    It looks only at classes that are loaded: pulumi-aws imports its modules lazily, and its
    imports race between threads.
    """
    with _lock:
        if type_token not in _schemas:
            found = next((c for c in _classes() if _token(c) == type_token), None)
            _schemas[type_token] = _read(found) if found else _EMPTY
        return _schemas[type_token]


def _classes() -> list[type]:
    return list(pulumi.CustomResource.__subclasses__())


def _token(resource: type) -> str:
    return str(getattr(resource, "pulumi_type", ""))


def _read(resource: type) -> Schema:
    names: dict[str, str] = _types.resource_pulumi_to_py_names(resource)
    optional = _optional_inputs(resource)
    promised = frozenset(
        name
        for name, attribute in names.items()
        if name not in {"id", "urn"} and _always_has_a_value(resource, attribute)
    )
    return Schema(
        computed=frozenset(name for name in promised if names[name] in optional),
        promised=promised,
        taggable="tagsAll" in names,
    )


def _optional_inputs(resource: type) -> frozenset[str]:
    arguments = getattr(sys.modules[resource.__module__], f"{resource.__name__}Args", None)
    if arguments is None:
        return frozenset()
    parameters = inspect.signature(arguments.__init__).parameters.values()
    return frozenset(p.name for p in parameters if p.default is not inspect.Parameter.empty)


def _always_has_a_value(resource: type, attribute: str) -> bool:
    """Return whether the output is annotated `Output[T]` rather than `Output[Optional[T]]`."""
    found = inspect.getattr_static(resource, attribute, None)
    if not isinstance(found, property) or found.fget is None:
        return False
    annotation: Any = found.fget.__annotations__.get("return")
    arguments = typing.get_args(annotation)
    return bool(arguments) and not _is_optional(arguments[0])


def _is_optional(annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    return origin in {typing.Union, types.UnionType} and type(None) in typing.get_args(annotation)
