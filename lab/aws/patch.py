"""How a method of moto's is replaced or wrapped: in one way everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def wrap(owner: Any, name: str, around: Callable[..., Any]) -> None:
    """Let `around(original, self, …)` answer for the method `name` of the class `owner`."""
    original = getattr(owner, name)

    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        return around(original, self, *arguments, **named)

    method.__name__ = name
    setattr(owner, name, method)


def replace(owner: Any, name: str, instead: Callable[..., Any]) -> None:
    """Let `instead(self, …)` answer for the method `name` of the class `owner`, new or old.

    A new one must be there before the first request is dispatched: moto caches the names.
    """

    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        return instead(self, *arguments, **named)

    method.__name__ = name
    setattr(owner, name, method)
