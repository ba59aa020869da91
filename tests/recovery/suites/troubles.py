"""What AWS, and the way to it, do to a call: each kind with the words that botocore knows it by.

A trouble is met by the calls of one operation, or of a region. What botocore raises is translated
and retried by the product's own code (`recovery.cloud.call`), as a real call's would be.
"""

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError

EVER = 10**9
"""Times: until the command has ended."""


def answer(code, status, message="no"):
    """AWS's own error answer."""
    parsed: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return lambda: sdk.ClientError(parsed, "Operation")


def silence(kind, **told):
    """An exception of botocore's without an answer of AWS."""
    return lambda: kind(**{"endpoint_url": "https://aws", "error": "it broke"} | told)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of fault; what it does not name, it does not do."""

    name: str
    error: Callable[[], Exception] | None = None
    after: bool = False
    """Whether the call takes effect nevertheless."""
    times: int = 1
    """How many calls of the operation meet it."""
    wide: str = "operation"
    """`operation`, `region`, or `everything`: what else meets it from the first time on."""
    special: str = ""
    """A way of its own: see `Trouble`."""
    harmless: bool = False
    """Whether the first run must end as if nothing had been."""


REFUSALS = {
    "throttled": answer("Throttling", 400, "Rate exceeded"),
    "request-limit": answer("RequestLimitExceeded", 503),
    "slow-down": answer("SlowDown", 503),
    "capacity-of-table": answer("ProvisionedThroughputExceededException", 400),
    "internal-failure": answer("InternalFailure", 500),
    "internal-server-error": answer("InternalServerError", 500),
    "unavailable": answer("ServiceUnavailable", 503),
    "bad-gateway": answer("502", 502),
    "gateway-timeout": answer("504", 504),
    "connect-timeout": silence(sdk.ConnectTimeoutError),
    "read-timeout": silence(sdk.ReadTimeoutError),
    "refused-or-no-name": silence(sdk.EndpointConnectionError),
    "tls": silence(sdk.SSLError),
    "reset": silence(sdk.ConnectionClosedError),
    "proxy": silence(sdk.ProxyConnectionError, proxy_url="http://proxy"),
    "cut-short": silence(sdk.IncompleteReadError, actual_bytes=1, expected_bytes=9),
    "garbled": lambda: ResponseParserError("no XML"),
    "token-expired": answer("ExpiredToken", 403),
    "request-expired": answer("RequestExpired", 400),
    "clock-skewed": answer("RequestTimeTooSkewed", 403),
    "signature": answer("SignatureDoesNotMatch", 403),
    "denied": answer("AccessDenied", 403),
    "no-credentials": silence(sdk.NoCredentialsError),
    "opt-in": answer("OptInRequired", 403),
}
"""Before the effect: the call did nothing."""

LOST = ("read-timeout", "reset", "garbled", "internal-failure")
"""Of them, those that also come when the call took effect."""

_REPEATED = {"throttled", "request-limit", "slow-down", "capacity-of-table"}

KINDS = (
    *(Kind(name=name, error=error, harmless=name in _REPEATED) for name, error in REFUSALS.items()),
    *(Kind(name=f"{name}-after-effect", error=REFUSALS[name], after=True) for name in LOST),
    Kind(name="throttled-for-long", error=REFUSALS["throttled"], times=9),
    Kind(name="done-twice", special="twice", harmless=True),
    Kind(name="late-effect", special="late", harmless=True),
    Kind(name="slow", special="slow", times=3, harmless=True),
    Kind(name="stale-answers", special="stale", times=3, harmless=True),
    Kind(name="backing-up", special="backing-up", times=4, harmless=True),
    Kind(name="operation-dark", error=REFUSALS["read-timeout"], times=EVER),
    Kind(name="operation-throttled", error=REFUSALS["throttled"], times=EVER),
    Kind(name="region-dark", error=REFUSALS["connect-timeout"], times=EVER, wide="region"),
    Kind(name="credentials-end", error=REFUSALS["token-expired"], times=EVER, wide="everything"),
)

_STRONG = {
    "tables.read", "objects.read", "objects.exists", "objects.listing", "objects.version",
    "objects.deleted",
}  # fmt: skip
"""What reads its own writes: DynamoDB's consistent reads, and S3 (their developer guides)."""
_SESSIONS = ("gate.", "postgres.", "differences.")
_OF_SESSIONS = {
    "reset", "reset-after-effect", "operation-dark", "region-dark", "done-twice", "slow",
}  # fmt: skip
"""What befalls a session with a database, which knows nothing of AWS."""
_LATE_SECONDS = 0.06
_SLOW_SECONDS = 0.02


@dataclass(frozen=True, slots=True, order=True)
class Operation:
    """What a trouble begins at: a function that a step calls in a region."""

    step: str
    function: str
    region: str

    def __str__(self):
        return f"{self.step}:{self.function}:{self.region}"


class Trouble:
    """One kind that befalls an operation from its `first` call on."""

    def __init__(self, kind: Kind, operation: Operation, first: int = 1) -> None:
        self.kind = kind
        self.operation = operation
        self.fired = 0
        self._first = first
        self._seen = itertools.count(1)
        self._answers = {}
        self._lock = threading.Lock()

    def __str__(self):
        return f"{self.kind.name} at {self.operation}"

    def meet(self, call, act, *, writes):
        """Do the call, as this trouble lets it be done."""
        if not self._meets(call):
            return self._remembered(call, act) if self.kind.special == "stale" else act()
        if self.kind.special:
            return self._special(call, act, writes=writes)
        if self.kind.after:
            act()
        assert self.kind.error
        raise self.kind.error()

    def _special(self, call, act, *, writes):
        match self.kind.special:
            case "twice":
                act()
            case "late" if writes:
                threading.Timer(_LATE_SECONDS, _quietly, [act]).start()
                return None
            case "slow":
                time.sleep(_SLOW_SECONDS)
            case "stale":
                key = (call.function, call.region, call.subject)
                return self._answers[key] if key in self._answers else act()
            case "backing-up":
                found = act()
                return found and replace(found, status="backing-up")
        return act()

    def _remembered(self, call, act):
        found = act()
        self._answers.setdefault((call.function, call.region, call.subject), found)
        return found

    def _meets(self, call):
        with self._lock:
            if self.fired >= self.kind.times:
                return False
            here = Operation(call.step, call.function, call.region)
            begins = here == self.operation and (self.fired > 0 or next(self._seen) >= self._first)
            goes_on = self.fired > 0 and self._is_wide(call)
            self.fired += begins or goes_on
            return begins or goes_on

    def _is_wide(self, call):
        if self.kind.wide == "everything":
            return True
        if self.kind.wide == "region":
            return call.region == self.operation.region
        return (call.function, call.region) == (self.operation.function, self.operation.region)


def may_befall(kind: Kind, operation: Operation, *, writes: bool) -> bool:
    """Say whether AWS has that kind for such an operation."""
    function = operation.function
    if function.startswith(_SESSIONS) and kind.name not in _OF_SESSIONS:
        return False
    match kind.special:
        case "late":
            return function in {"metrics.publish", "hosts.scale"}
        case "twice":
            return writes
        case "stale":
            return not writes and function not in _STRONG
        case "backing-up":
            return function == "databases.describe"
    return True


def _quietly(act):
    try:
        act()
    except Exception:  # noqa: BLE001 - what it refuses is refused to nobody
        return
