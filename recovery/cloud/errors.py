"""What a call to AWS can end in, and the one place where the SDK's errors become that.

    CloudError (an OutsideError)
    ├── UnreachableError          no usable answer: timeout, reset, HTTP 5xx
    ├── ThrottledError            still told to slow down after the retries
    ├── CredentialsExpiredError   sign in again
    ├── DeniedError               no credentials, wrong ones, or not allowed
    ├── NotFoundError             no such thing
    ├── ConflictError             exists already, or the condition does not hold
    └── RejectedError             any other answer of AWS; `code` says which

Each message is one line with operation, region, AWS's code and AWS's words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recovery.engine.errors import OutsideError, PassingError

if TYPE_CHECKING:
    from collections.abc import Mapping


class CloudError(OutsideError):
    """A call to AWS failed."""

    advice = ""
    """What the caller can do about it; ends the message."""

    def __init__(self, operation: str, region: str, code: str, message: str) -> None:
        self.operation = operation
        self.region = region
        self.code = code
        self.message = " ".join(message.split())
        super().__init__(f"{operation} in {region}: {code}: {self.message}{self.advice}")


class UnreachableError(CloudError, PassingError):
    """No usable answer came; whether the call took effect is unknown."""


class ThrottledError(CloudError, PassingError):
    """AWS still asked to slow down after the retries."""


class CredentialsExpiredError(CloudError):
    """The credentials were valid once; sign in again."""

    advice = "; sign in again, then run the same command"


class DeniedError(CloudError):
    """There are no credentials, or they do not allow this."""

    advice = "; sign in as the recovery role, or run on a control host"


class NotFoundError(CloudError):
    """AWS knows no such thing."""


class ConflictError(CloudError):
    """It exists already, or the condition of a conditional write does not hold."""


class RejectedError(CloudError):
    """AWS answered with an error of the operation's own."""


_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "AuthorizationError",
    "Forbidden",
    "403",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "NotAuthorized",
    "SignatureDoesNotMatch",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
}
_THROTTLED = {
    "BandwidthLimitExceeded",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
}
_SLOW_DOWN_OF_HEAD = ("s3:HeadObject", "503")
"""An answer to HEAD has no body and so no code; 503 is S3's SlowDown (its API reference)."""
_NOT_FOUND = {
    "404",
    "NoSuchBucket",
    "NoSuchKey",
    "NoSuchResourceException",
    "NoSuchVersion",
    "ReplicationConfigurationNotFoundError",
}
_NOT_FOUND_ENDINGS = ("NotFound", "NotFoundException", "NotFoundFault")
_CONFLICT = {
    "409",
    "412",
    "ConditionalCheckFailedException",
    "ConditionalRequestConflict",
    "PreconditionFailed",
}
_CONFLICT_ENDINGS = ("AlreadyExists", "AlreadyExistsFault", "AlreadyExistsException")
_KINDS: tuple[tuple[set[str], tuple[str, ...], type[CloudError]], ...] = (
    (_EXPIRED, (), CredentialsExpiredError),
    (_THROTTLED, (), ThrottledError),
    (_DENIED, (), DeniedError),
    (_NOT_FOUND, _NOT_FOUND_ENDINGS, NotFoundError),
    (_CONFLICT, _CONFLICT_ENDINGS, ConflictError),
)
_SERVER_ERROR = 500
_NOT_IMPLEMENTED = 501


def from_answer(operation: str, region: str, response: Mapping[str, Any]) -> CloudError:
    """Return the error for an error answer of AWS, as botocore parsed it."""
    error: Mapping[str, Any] = response.get("Error") or {}
    code = str(error.get("Code") or "Unknown")
    message = str(error.get("Message") or error.get("message") or "no message")
    metadata: Mapping[str, Any] = response.get("ResponseMetadata") or {}
    status = int(metadata.get("HTTPStatusCode") or 0)
    if (operation, code) == _SLOW_DOWN_OF_HEAD:
        return ThrottledError(operation, region, code, message)
    return _kind(code, status)(operation, region, code, message)


def _kind(code: str, status: int) -> type[CloudError]:
    for codes, endings, kind in _KINDS:
        if code in codes or code.endswith(endings):
            return kind
    if status >= _SERVER_ERROR and status != _NOT_IMPLEMENTED:
        return UnreachableError
    return RejectedError


_SDK_UNREACHABLE = {
    "ConnectionError",
    "HTTPClientError",
    "IncompleteReadError",
    "ResponseParserError",
    "ResponseStreamingError",
}
_SDK_EXPIRED = {"LoginError", "TokenRetrievalError", "UnauthorizedSSOTokenError"}
_SDK_DENIED = {
    "CredentialRetrievalError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "SSOError",
    "UnknownCredentialError",
}


def from_sdk(kind: type[Exception]) -> type[CloudError]:
    """Return the error for an exception that botocore raised without an answer of AWS."""
    names = {base.__name__ for base in kind.__mro__}
    if names & _SDK_UNREACHABLE:
        return UnreachableError
    if names & _SDK_EXPIRED:
        return CredentialsExpiredError
    if names & _SDK_DENIED:
        return DeniedError
    return RejectedError
