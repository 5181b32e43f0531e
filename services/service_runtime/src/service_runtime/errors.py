"""The one error vocabulary: gRPC status codes, and what HTTP makes of them."""

from dataclasses import dataclass

from grpc import StatusCode

INTERNAL_MESSAGE = "Something went wrong on our side. The trace id finds the details in the log."

_HTTP_STATUS = {
    StatusCode.OK: 200,
    StatusCode.INVALID_ARGUMENT: 400,
    StatusCode.FAILED_PRECONDITION: 400,
    StatusCode.OUT_OF_RANGE: 400,
    StatusCode.UNAUTHENTICATED: 401,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.NOT_FOUND: 404,
    StatusCode.ALREADY_EXISTS: 409,
    StatusCode.ABORTED: 409,
    StatusCode.RESOURCE_EXHAUSTED: 429,
    StatusCode.CANCELLED: 499,
    StatusCode.UNKNOWN: 500,
    StatusCode.INTERNAL: 500,
    StatusCode.DATA_LOSS: 500,
    StatusCode.UNIMPLEMENTED: 501,
    StatusCode.UNAVAILABLE: 503,
    StatusCode.DEADLINE_EXCEEDED: 504,
}

_RETRYABLE = frozenset({StatusCode.UNAVAILABLE, StatusCode.RESOURCE_EXHAUSTED})


def http_status(code: StatusCode) -> int:
    """Return the HTTP status that a gRPC status code becomes."""
    return _HTTP_STATUS[code]


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with one field: its path, as in images[3], and a sentence."""

    field: str
    description: str


class ServiceError(Exception):
    """An error whose message may be shown to the caller.

    ServiceError
    ├── InvalidInput            INVALID_ARGUMENT, 400
    │   └── UnsupportedMediaType                  415
    ├── FailedPrecondition      FAILED_PRECONDITION, 400
    ├── Unauthenticated         UNAUTHENTICATED, 401, WWW-Authenticate
    ├── PermissionDenied        PERMISSION_DENIED, 403, WWW-Authenticate
    ├── NotFound                NOT_FOUND, 404
    ├── QuotaExceeded           RESOURCE_EXHAUSTED, 429, Retry-After
    ├── PayloadTooLarge         RESOURCE_EXHAUSTED, 413
    ├── DependencyUnavailable   UNAVAILABLE, 503, Retry-After
    │   └── Overloaded
    └── DeadlineExceeded        DEADLINE_EXCEEDED, 504, names the stage
    """

    code = StatusCode.INTERNAL
    # For the few cases that HTTP tells apart and gRPC does not.
    http_override: int | None = None

    def __init__(
        self,
        message: str,
        *,
        violations: tuple[Violation, ...] = (),
        retry_after: float | None = None,
        challenge: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.violations = violations
        self.retry_after = retry_after
        self.challenge = challenge

    @property
    def http_status(self) -> int:
        """The HTTP status for this error."""
        return self.http_override or _HTTP_STATUS[self.code]

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later, unchanged."""
        return self.code in _RETRYABLE and not isinstance(self, PayloadTooLarge)


class InvalidInput(ServiceError):
    """The request is wrong; only the caller can mend it."""

    code = StatusCode.INVALID_ARGUMENT


class UnsupportedMediaType(InvalidInput):
    """The body is of a media type that this path does not take."""

    http_override = 415


class FailedPrecondition(ServiceError):
    """The request is well formed, but the server's state does not allow it."""

    code = StatusCode.FAILED_PRECONDITION


class Unauthenticated(ServiceError):
    """Who calls is not known; the challenge says how to say it (RFC 6750)."""

    code = StatusCode.UNAUTHENTICATED

    def __init__(self, message: str, *, challenge: str) -> None:
        super().__init__(message, challenge=challenge)


class PermissionDenied(ServiceError):
    """Who calls is known, and may not do this; the challenge names what is lacking."""

    code = StatusCode.PERMISSION_DENIED

    def __init__(self, message: str, *, challenge: str) -> None:
        super().__init__(message, challenge=challenge)


class NotFound(ServiceError):
    """No such model, version, prediction or feature spec."""

    code = StatusCode.NOT_FOUND


class QuotaExceeded(ServiceError):
    """This caller has had its share for now; others are served."""

    code = StatusCode.RESOURCE_EXHAUSTED

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message, retry_after=retry_after)


class PayloadTooLarge(ServiceError):
    """The body is over a limit; the message names the limit."""

    code = StatusCode.RESOURCE_EXHAUSTED
    http_override = 413


class DependencyUnavailable(ServiceError):
    """A dependency is down or not ready, or this server is draining."""

    code = StatusCode.UNAVAILABLE

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message, retry_after=retry_after)


class Overloaded(DependencyUnavailable):
    """The bounded queue is full; nothing was started."""


class DeadlineExceeded(ServiceError):
    """The deadline passed, or the named stage would have missed it."""

    code = StatusCode.DEADLINE_EXCEEDED

    def __init__(self, stage: str) -> None:
        super().__init__(f"The deadline passed in stage '{stage}'. Give the request more time or send less at once.")
        self.stage = stage
