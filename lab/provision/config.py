"""A stack's configuration as the Pulumi CLI would compute it, with the lab's overrides on top."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import yaml

from lab.provision.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Overrides = dict[str, Any]
"""Configuration key, or a path into it such as `products[*].database.version` → value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What Pulumi.yaml says."""

    name: str
    root: Path
    program: Path
    """Folder of the program."""
    defaults: dict[str, Any]


def project(root: Path) -> Project:
    """Return the project whose Pulumi.yaml is in `root`; raise UsageError if it has none."""
    document = _read(root / "Pulumi.yaml")
    name = document.get("name")
    if not isinstance(name, str):
        msg = f"{root / 'Pulumi.yaml'} has no name; a Pulumi project needs one"
        raise UsageError(msg)
    declared = cast("dict[str, Any]", document.get("config") or {})
    defaults = {
        _qualified(name, key): value
        for key, item in declared.items()
        if (value := _default(item)) is not None
    }
    program = root / str(document.get("main") or ".")
    return Project(name=name, root=root, program=program, defaults=defaults)


def stack_config(
    project: Project, stack: str, overrides: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """Return the configuration of `stack`: strings, or JSON where a value is structured.

    A stack's file replaces a project's default whole, as with the CLI. An override that is an
    object is merged into what is there; any other replaces it.
    """
    path = project.root / f"Pulumi.{stack}.yaml"
    given = cast("dict[str, Any]", _read(path).get("config") or {})
    values = dict(project.defaults)
    for key, value in given.items():
        if isinstance(value, dict) and "secure" in value:
            msg = f"{path}: {key} is encrypted; the lab has no key, override it with --config"
            raise UsageError(msg)
        values[_qualified(project.name, key)] = value
    for key, value in (overrides or {}).items():
        _override(values, project.name, key, value)
    return {key: _text(value) for key, value in values.items()}


def parse_override(text: str) -> tuple[str, Any]:
    """Return key and value of `KEY=JSON`; raise UsageError if it is something else."""
    key, separator, value = text.partition("=")
    if not key or not separator:
        msg = f"--config {text}: KEY=JSON is needed"
        raise UsageError(msg)
    try:
        return key, json.loads(value)
    except json.JSONDecodeError as error:
        msg = f'--config {key}: {value} is not JSON ({error}); a string is written "like this"'
        raise UsageError(msg) from error


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        msg = f"{path} does not exist; run from the project's root and name an existing stack"
        raise UsageError(msg)
    try:
        document = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        msg = f"{path} is not YAML: {error}"
        raise UsageError(msg) from error
    return cast("dict[str, Any]", document) if isinstance(document, dict) else {}


def _default(item: Any) -> Any:
    """Return the value of a declaration: a literal, or `{type:, default:}`, or `{value:}`."""
    if not isinstance(item, dict):
        return item
    declaration = cast("dict[str, Any]", item)
    return declaration.get("default", declaration.get("value"))


def _qualified(project: str, key: str) -> str:
    return key if ":" in key else f"{project}:{key}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


_SEGMENT = re.compile(r"\[(\*|\d+)\]|\.?([^.\[\]]+)")


def _override(values: dict[str, Any], project: str, path: str, value: Any) -> None:
    name, separator, rest = path.rpartition(":")
    segments = [index or name for index, name in _SEGMENT.findall(rest)]
    key = f"{name}{separator}{segments[0]}" if separator else _qualified(project, segments[0])
    # A copy, so that the project's defaults stay what they are for the next stack.
    values[key] = _replaced(json.loads(json.dumps(values.get(key))), segments[1:], value, path)


def _replaced(base: Any, segments: list[str], value: Any, path: str) -> Any:
    if not segments:
        return _merged(base, value)
    head, rest = segments[0], segments[1:]
    if isinstance(base, list):
        items = cast("list[Any]", base)
        chosen = range(len(items)) if head == "*" else [_index(head, items, path)]
        return [
            _replaced(item, rest, value, path) if at in chosen else item
            for at, item in enumerate(items)
        ]
    if base is None or isinstance(base, dict):
        fields = cast("dict[str, Any]", base or {})
        return {**fields, head: _replaced(fields.get(head), rest, value, path)}
    msg = f"--config {path}: {head} is looked up in {base!r}, which is neither object nor list"
    raise UsageError(msg)


def _index(head: str, items: list[Any], path: str) -> int:
    if head.isdigit() and int(head) < len(items):
        return int(head)
    msg = f"--config {path}: [{head}] is not in a list of {len(items)}"
    raise UsageError(msg)


def _merged(base: Any, value: Any) -> Any:
    if isinstance(base, dict) and isinstance(value, dict):
        old, new = cast("dict[str, Any]", base), cast("dict[str, Any]", value)
        return {**old, **{key: _merged(old.get(key), item) for key, item in new.items()}}
    return value
