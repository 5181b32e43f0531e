"""Every error as a gRPC status that is safe to show."""

from functools import lru_cache
from typing import Any, Protocol

import structlog
from google.protobuf.any_pb2 import Any as AnyProto
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from service_runtime.errors import INTERNAL_MESSAGE, DependencyUnavailable, Overloaded, ServiceError, Violation
from service_runtime.grpc_transport.status import Status
from service_runtime.tracing import current_span

log = structlog.get_logger()


class Context(Protocol):
    """What handlers use of gRPC's servicer context."""

    def time_remaining(self) -> float | None:
        """Return the seconds that the caller still waits; None when it named no deadline."""
        ...

    async def write(self, message: Any) -> None:
        """Send one message of a streamed answer."""
        ...


def status_of(error: Exception, *, method: str) -> Status:
    """Return the status that ends a call; an error that nobody foresaw goes to the log, never to the caller."""
    if isinstance(error, ServiceError):
        return Status(error.code, error.message, _metadata(error))
    log.error("grpc.call_failed", method=method, exc_info=error)
    return Status(StatusCode.INTERNAL, INTERNAL_MESSAGE, (_trace_id(),))


def _metadata(error: ServiceError) -> tuple[tuple[str, str | bytes], ...]:
    """Return what gRPC callers need besides code and message: trace id, google.rpc details, pushback, challenge."""
    metadata: list[tuple[str, str | bytes]] = [_trace_id()]
    if error.challenge is not None:
        metadata.append(("www-authenticate", error.challenge))
    if isinstance(error, DependencyUnavailable):
        # -1: a transport that retries by itself would only feed an overload.
        pushback = -1 if isinstance(error, Overloaded) else int((error.retry_after or 0) * 1000)
        metadata.append(("grpc-retry-pushback-ms", str(pushback)))
    if error.violations or error.retry_after is not None:
        details = _details(error.code, error.message, error.violations, error.retry_after)
        metadata.append(("grpc-status-details-bin", details))
    return tuple(metadata)


@lru_cache(maxsize=64)  # under overload most answers are the same refusal
def _details(code: StatusCode, message: str, violations: tuple[Violation, ...], retry_after: float | None) -> bytes:
    """Return the google.rpc.Status of an error, serialized."""
    status = status_pb2.Status(code=code.value[0], message=message)
    if violations:
        fields = [
            error_details_pb2.BadRequest.FieldViolation(field=violation.field, description=violation.description)
            for violation in violations
        ]
        status.details.append(_pack(error_details_pb2.BadRequest(field_violations=fields)))
    if retry_after is not None:
        delay = Duration()
        delay.FromMilliseconds(int(retry_after * 1000))
        status.details.append(_pack(error_details_pb2.RetryInfo(retry_delay=delay)))
    serialized: bytes = status.SerializeToString()
    return serialized


def _pack(message: Any) -> AnyProto:
    packed = AnyProto()
    packed.Pack(message)
    return packed


def _trace_id() -> tuple[str, str]:
    span = current_span()
    return ("x-trace-id", span.trace_id if span else "")
