"""What a lab provision refuses or fails at."""

from __future__ import annotations


class ProvisionError(Exception):
    """A stack could not be provisioned; the message gives value, rule and next action."""


class UsageError(ProvisionError):
    """The command line or the configuration is wrong; nothing was changed."""


class StackFailedError(ProvisionError):
    """One stack failed; `causes` holds every error that was met, in order."""

    def __init__(self, stack: str, causes: list[BaseException]) -> None:
        self.stack = stack
        self.causes = causes
        super().__init__("\n".join(described(cause) for cause in causes))


def described(error: BaseException) -> str:
    """Return the error's message with its notes, which say where in the program it began."""
    message = str(error) or type(error).__name__
    if not isinstance(error, ProvisionError):
        message = f"{type(error).__name__}: {message}"
    return " ".join([message, *(f"({note})" for note in getattr(error, "__notes__", ()))])
