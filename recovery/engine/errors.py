"""How a recovery can end other than well, and the exit code that says which.

    RecoveryError
    ├── UsageError        2  the command line asks for what there is not
    ├── RefusedError      3  nothing was changed
    ├── StepFailedError   4  before the point of no return; a rerun is safe
    ├── StrandedError     5  after it; a rerun goes on, or a person finishes
    └── DeviatedError     6  finished, but something is not as it should be or was not verified
    OutsideError             AWS, a database or a network did not do what was asked; the place in
    └── PassingError         the plan decides which of the above that means. What may pass by
                             itself is waited out where a step waits anyway

0 means recovered and verified, 1 a bug, 2 wrong usage. Messages give value, rule, next action.
"""

from collections.abc import Iterable

RECOVERED = 0
BUG = 1
USAGE = 2
REFUSED = 3
FAILED = 4
STRANDED = 5
DEVIATED = 6

_WORST_FIRST = (STRANDED, BUG, FAILED, DEVIATED, REFUSED, RECOVERED)


class RecoveryError(Exception):
    """Ends a product's plan; `exit_code` says how."""

    exit_code = BUG


class UsageError(RecoveryError):
    """The command line names what the plan does not have; nothing was changed."""

    exit_code = USAGE


class RefusedError(RecoveryError):
    """Nothing was changed: a precondition does not hold."""

    exit_code = REFUSED


class StepFailedError(RecoveryError):
    """A step failed before the point of no return; running again is safe."""

    exit_code = FAILED


class StrandedError(RecoveryError):
    """A step failed after the point of no return; the old side must not come back by itself."""

    exit_code = STRANDED


class DeviatedError(RecoveryError):
    """Everything ran, but the outcome is not what was promised, or could not be verified."""

    exit_code = DEVIATED


class OutsideError(Exception):
    """AWS, a database or a network failed us; subclasses live with what they translate."""


class PassingError(OutsideError):
    """It may pass by itself: no answer, a throttle, a name that does not resolve now."""


def worst(codes: Iterable[int]) -> int:
    """Return the exit code that several products' codes make together."""
    found = set(codes)
    return next((code for code in _WORST_FIRST if code in found), RECOVERED)
