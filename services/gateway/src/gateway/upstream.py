"""Unary calls to another service: span, deadline, one careful retry, and errors in our vocabulary."""

import asyncio
import random
import re

import structlog
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode
from service_runtime.deadlines import Deadline
from service_runtime.errors import (
    INTERNAL_MESSAGE,
    DeadlineExceeded,
    DependencyUnavailable,
    FailedPrecondition,
    InvalidInput,
    NotFound,
    PayloadTooLarge,
    ServiceError,
    Violation,
)
from service_runtime.tracing import Span, client_span

from gateway.callers.caller import current_caller
from gateway.callers.door import ARM_HEADER
from gateway.grpc_unary import RpcError, UnaryChannel
from gateway.metrics import UpstreamMetrics

log = structlog.get_logger()

_JITTER_SECONDS = (0.005, 0.03)
_BUDGET_LIMIT = 10.0
_BUDGET_SHARE = 0.1
# A media type has a slash too, but never at the start of a word.
_PATH = re.compile(r"(?<!\w)/\w")


class Upstream:
    """Another service, called by unary gRPC with serialized messages."""

    def __init__(
        self,
        name: str,
        address: str,
        *,
        max_message_bytes: int,
        metrics: UpstreamMetrics,
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.name = name
        self._metadata = metadata
        self._metrics = metrics
        self._channel = UnaryChannel(address, max_message_bytes=max_message_bytes)
        self._budget = _BUDGET_LIMIT

    async def connect(self) -> None:
        """Connect before the first call has to wait for it; an upstream that is not there yet is no error."""
        await self._channel.connect()

    async def call(self, method: str, message: bytes, *, deadline: Deadline) -> bytes:
        """Call a method; raises a ServiceError whose text is safe to show."""
        with client_span(method) as span:
            metadata = (*_propagated(span), *self._metadata)
            try:
                answer = await self._channel.call(method, message, seconds=deadline.check(self.name), metadata=metadata)
            except RpcError as error:
                if not self._may_retry(error, deadline):
                    raise self._translated(error) from error
                await asyncio.sleep(random.uniform(*_JITTER_SECONDS))  # noqa: S311 - jitter, not a secret
                try:
                    answer = await self._channel.call(
                        method, message, seconds=deadline.check(self.name), metadata=metadata
                    )
                except RpcError as second:
                    raise self._translated(second) from second
        self._metrics.observe(self.name, StatusCode.OK)
        self._budget = min(_BUDGET_LIMIT, self._budget + _BUDGET_SHARE)
        return answer

    async def aclose(self) -> None:
        """Close the channel."""
        await self._channel.aclose()

    def _may_retry(self, error: RpcError, deadline: Deadline) -> bool:
        """Only what surely was not begun, only in time, and at most one retry for every ten answers."""
        if error.processed or deadline.remaining() <= _JITTER_SECONDS[1] or self._budget < 1:
            return False
        self._budget -= 1
        self._metrics.retries.labels(self.name).inc()
        return True

    def _translated(self, error: RpcError) -> ServiceError:
        self._metrics.observe(self.name, error.code)
        if error.code is StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded(self.name)
        if error.code in (StatusCode.UNAVAILABLE, StatusCode.CANCELLED):
            return DependencyUnavailable(f"The {self.name} service is not available. Retry shortly.")
        if error.code is StatusCode.RESOURCE_EXHAUSTED:
            return PayloadTooLarge(f"The {self.name} service says: {_safe(error.details)}")
        refusal = _REFUSALS.get(error.code)
        if refusal is not None:
            return refusal(_safe(error.details), violations=_violations(error))
        log.error("upstream.failed", upstream=self.name, code=error.code.name, details=error.details)
        return ServiceError(INTERNAL_MESSAGE)


def _propagated(span: Span) -> tuple[tuple[str, str], ...]:
    """Return what every hop hears of the request: its trace, and the arm that meshes route by."""
    caller = current_caller()
    trace = ("traceparent", span.traceparent())
    return (trace,) if caller is None or caller.arm is None else (trace, (ARM_HEADER, caller.arm.name))


_REFUSALS: dict[StatusCode, type[InvalidInput | NotFound | FailedPrecondition]] = {
    StatusCode.INVALID_ARGUMENT: InvalidInput,
    StatusCode.NOT_FOUND: NotFound,
    StatusCode.FAILED_PRECONDITION: FailedPrecondition,
}


def _violations(error: RpcError) -> tuple[Violation, ...]:
    """Return the field violations that came with a refusal, if any did."""
    bad_request = error_details_pb2.BadRequest()
    try:
        status = status_pb2.Status.FromString(error.status_details)
        found = any(detail.Unpack(bad_request) for detail in status.details)
    except DecodeError:
        log.warning("upstream.details_unreadable", code=error.code.name)
        return ()
    return tuple(Violation(v.field, v.description) for v in bad_request.field_violations) if found else ()


def _safe(details: str) -> str:
    """Return the text of a refusal unless it speaks of paths or stacks, which are nobody's business outside."""
    first_line = details.partition("\n")[0].strip()
    shown = first_line and not _PATH.search(first_line)
    return first_line if shown else "The request was refused; its contents do not fit."
