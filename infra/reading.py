"""Reads nested configuration; whatever is wrong is said as key, value and rule."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pulumi

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_Option = TypeVar("_Option", bound=str)
_REQUIRED: Any = object()
_SHOWN_CHARACTERS = 80


class InvalidSettingError(pulumi.RunError):
    """A value that the programs cannot work with; Pulumi prints the message without a trace."""

    def __init__(self, key: str, value: object, rule: str) -> None:
        shown = "missing" if value is None else repr(value)
        if len(shown) > _SHOWN_CHARACTERS:
            shown = shown[: _SHOWN_CHARACTERS - 1] + "…"
        super().__init__(f"{key} is {shown}; it must be {rule}")


class Reading:
    """One mapping of the configuration, read key by key.

    Each method returns a value that holds to its rule, or raises InvalidSettingError. `close`
    refuses what nobody read: a key that is spelled wrongly would otherwise do nothing.
    """

    def __init__(self, path: str, values: object) -> None:
        if not isinstance(values, dict):
            raise InvalidSettingError(path, values, "a mapping")
        self.path = path
        self._values = cast("dict[str, Any]", values)
        self._read: set[str] = set()

    def key(self, name: str) -> str:
        """Return the full path of `name`, as messages show it."""
        return f"{self.path}.{name}" if self.path else name

    def refuse(self, name: str, rule: str) -> InvalidSettingError:
        """Return the error for the value under `name`, which breaks `rule`."""
        return InvalidSettingError(self.key(name), self._values.get(name), rule)

    def text(self, name: str, rule: str, pattern: str, default: str = _REQUIRED) -> str:
        """Return a text that matches the whole of `pattern`, which `rule` says in words."""
        value = self._value(name, default, rule)
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise self.refuse(name, rule)
        return value

    def choice(
        self, name: str, options: Iterable[_Option], default: _Option = _REQUIRED
    ) -> _Option:
        """Return one of `options`."""
        known = {str(option): option for option in options}
        rule = "one of " + ", ".join(known)
        value = self._value(name, default, rule)
        if not isinstance(value, str) or value not in known:
            raise self.refuse(name, rule)
        return known[value]

    def number(self, name: str, low: float, high: float, default: float = _REQUIRED) -> float:
        """Return a number from `low` to `high`."""
        rule = f"a number from {low} to {high}"
        value = self._value(name, default, rule)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refuse(name, rule)
        if not low <= value <= high:
            raise self.refuse(name, rule)
        return value

    def integer(self, name: str, low: int, high: int, default: int = _REQUIRED) -> int:
        """Return a whole number from `low` to `high`."""
        rule = f"a whole number from {low} to {high}"
        value = self._value(name, default, rule)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.refuse(name, rule)
        return value

    def boolean(self, name: str, default: bool = _REQUIRED) -> bool:  # noqa: FBT001 - a value
        """Return true or false."""
        value = self._value(name, default, "true or false")
        if not isinstance(value, bool):
            raise self.refuse(name, "true or false")
        return value

    def texts(self, name: str, rule: str, pattern: str, at_least: int = 0) -> tuple[str, ...]:
        """Return a list of texts, each matching `pattern`."""
        values = self._list(name, at_least)
        for index, value in enumerate(values):
            if not isinstance(value, str) or not re.fullmatch(pattern, value):
                raise InvalidSettingError(f"{self.key(name)}[{index}]", value, rule)
        return tuple(cast("list[str]", values))

    def mapping(self, name: str, default: dict[str, Any] = _REQUIRED) -> Reading:
        """Return the mapping under `name`."""
        return Reading(self.key(name), self._value(name, default, "a mapping"))

    def mappings(self, name: str, at_least: int = 0) -> list[Reading]:
        """Return the list of mappings under `name`."""
        return [
            Reading(f"{self.key(name)}[{index}]", value)
            for index, value in enumerate(self._list(name, at_least))
        ]

    def scalars(self) -> dict[str, str | int | float | bool]:
        """Return the whole mapping, where every value is a text, a number, true or false."""
        for name, value in self._values.items():
            if not isinstance(value, str | int | float):
                raise self.refuse(name, "a text, a number, true or false")
        return dict(self._values)

    def names(self) -> tuple[str, ...]:
        """Return the keys that are there."""
        return tuple(self._values)

    def close(self) -> None:
        """Refuse the first key that was not read."""
        for name in self._values:
            if name not in self._read:
                known = ", ".join(sorted(self._read))
                raise self.refuse(name, f"left out: this key is unknown; known are {known}")

    def _list(self, name: str, at_least: int) -> Sequence[Any]:
        rule = f"a list of at least {at_least}" if at_least else "a list"
        value = self._value(name, _REQUIRED if at_least else [], rule)
        if not isinstance(value, list):
            raise self.refuse(name, rule)
        values = cast("list[Any]", value)
        if len(values) < at_least:
            raise self.refuse(name, rule)
        return values

    def _value(self, name: str, default: object, rule: str) -> object:
        self._read.add(name)
        value = self._values.get(name)
        if value is not None:
            return value
        if default is _REQUIRED:
            raise self.refuse(name, rule)
        return default
