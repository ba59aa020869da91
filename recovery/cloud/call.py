"""The wrapper of every function that calls AWS: what it may need, and what it may raise."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from recovery.cloud import client, errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from recovery.cloud.client import Region

P = ParamSpec("P")
T = TypeVar("T")

_THROTTLED_PAUSES = (0.5, 1.0, 2.0)
"""Seconds between rounds of the SDK's attempts. A throttled call did nothing, so it may always be
repeated; three attempts alone would let one call in forty fail while 30 % are throttled."""
_THROTTLED_PAUSES_ONCE = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""The same where the SDK makes a single attempt: a region that throttles is not dark."""

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
            for pause in _THROTTLED_PAUSES_ONCE if region.once else _THROTTLED_PAUSES:
                try:
                    return attempt(region, *args, **kwargs)
                except errors.ThrottledError:
                    time.sleep(pause)
            return attempt(region, *args, **kwargs)

        def attempt(region: Region, /, *args: P.args, **kwargs: P.kwargs) -> T:
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
