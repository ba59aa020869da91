"""The wrapper of every function that calls AWS: what it may need, and what it may raise."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from recovery.cloud import client, errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from recovery.cloud.client import Region

P = ParamSpec("P")
T = TypeVar("T")

_declared: dict[str, frozenset[str]] = {}


def uses(
    *actions: str,
) -> Callable[[Callable[Concatenate[Region, P], T]], Callable[Concatenate[Region, P], T]]:
    """Declare the IAM actions that the decorated function needs, and translate its errors.

    The function takes the Region first and raises nothing of the SDK's: see `errors`.
    """

    def wrap(function: Callable[Concatenate[Region, P], T]) -> Callable[Concatenate[Region, P], T]:
        _declared[f"{function.__module__}.{function.__qualname__}"] = frozenset(actions)

        @functools.wraps(function)
        def translated(region: Region, /, *args: P.args, **kwargs: P.kwargs) -> T:
            client.operation.set(actions[0] if actions else function.__qualname__)
            try:
                return function(region, *args, **kwargs)
            except client.sdk_errors() as error:
                raise _translate(error, client.operation.get(), region.name) from error

        return translated

    return wrap


def declared(module: str = "") -> frozenset[str]:
    """Return the actions that the functions of `module`, or of every module, declare."""
    return frozenset(
        action
        for function, actions in _declared.items()
        if function.startswith(module)
        for action in actions
    )


def _translate(error: Exception, operation: str, region: str) -> errors.CloudError:
    answer: Any = getattr(error, "response", None)
    if isinstance(answer, dict) and "Error" in answer:
        return errors.from_answer(operation, region, cast("dict[str, Any]", answer))
    kind = errors.from_sdk(type(error))
    return kind(operation, region, type(error).__name__, str(error))
