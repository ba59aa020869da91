"""What has changed between a resource as it was made and as it is declared now."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from lab.provision.errors import ProvisionError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.provision.values import Properties

WRITE_ONLY = "Wo"
"""Suffix of properties that are sent and never kept, such as `passwordWo`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The properties that changed, and of those the ones that cannot change in place."""

    changed: frozenset[str] = frozenset()
    replacing: frozenset[str] = frozenset()


def difference(
    *,
    old: Properties,
    outputs: Properties,
    new: Properties,
    computed: frozenset[str],
    replace: frozenset[str],
    json_documents: frozenset[str] = frozenset(),
) -> Difference:
    """Compare the recorded inputs with the declared ones, as the provider's bridge would.

    Comparing inputs alone reports too much: a new input that equals the known output is no
    change, nor is leaving out an input that the provider computes.
    """
    changed = frozenset(
        key
        for key in old.keys() | new.keys()
        if not _same(
            key, old, new, outputs=outputs, computed=computed, is_json=key in json_documents
        )
    )
    return Difference(changed=changed, replacing=changed & replace)


def _same(
    key: str,
    old: Properties,
    new: Properties,
    *,
    outputs: Properties,
    computed: frozenset[str],
    is_json: bool,
) -> bool:
    if key not in new:
        return key in computed
    known = [values[key] for values in (old, outputs) if key in values]
    if is_json:
        return any(_document(value) == _document(new[key]) for value in known)
    return new[key] in known


def _document(value: Any) -> Any:
    try:
        return json.loads(value)
    except (TypeError, json.JSONDecodeError):
        return value


def ignoring(new: Properties, old: Properties, paths: Iterable[str]) -> Properties:
    """Return `new` with what is at `paths` as it was in `old` (the option `ignore_changes`)."""
    result = new
    for path in paths:
        result = _with(result, old, _segments(path))
    return result


def touched(changed: frozenset[str], paths: Iterable[str]) -> frozenset[str]:
    """Return the changed properties that `paths` name (the option `replace_on_changes`)."""
    heads = {_segments(path)[0] for path in paths}
    return changed if "*" in heads else changed & heads


_SEGMENT = re.compile(r'\["([^"]*)"\]|\.?([^.\[\]]+)')


def _segments(path: str) -> list[str]:
    if "[" in path and '["' not in path:
        msg = f"ignore_changes {path}: the lab knows names, not list positions"
        raise ProvisionError(msg)
    return [quoted or name for quoted, name in _SEGMENT.findall(path)]


def _with(new: Any, old: Any, segments: list[str]) -> Any:
    if not segments:
        return old
    fields = cast("Properties", new) if isinstance(new, dict) else {}
    before = cast("Properties", old) if isinstance(old, dict) else {}
    head = segments[0]
    rest = {key: item for key, item in fields.items() if key != head}
    if head not in before:
        return rest
    return {**rest, head: _with(fields.get(head), before[head], segments[1:])}
