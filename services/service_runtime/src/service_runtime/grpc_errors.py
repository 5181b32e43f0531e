"""One interceptor that runs every gRPC call in a span and maps every error."""

from __future__ import annotations  # grpc's run-time classes are not subscriptable

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import structlog
from google.protobuf.any_pb2 import Any as AnyProto
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from service_runtime.errors import INTERNAL_MESSAGE, DependencyUnavailable, Overloaded, ServiceError
from service_runtime.tracing import current_span, server_span

log = structlog.get_logger()

Observe = Callable[[str, StatusCode, float], None]
Context = grpc.aio.ServicerContext[Any, Any]


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Runs every call in a span and turns every exception into a status that is safe to show.

    grpc.aio sends the class name and text of an uncaught exception to the caller; nothing passes here.
    """

    def __init__(self, observe: Observe) -> None:
        self._observe = observe
        self._wrapped: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return the handler of the called method, wrapped once per method."""
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:  # unknown method: grpc answers UNIMPLEMENTED, and its name must not fill our memory
                return handler
            wrapped = self._wrapped[method] = self._wrap(handler, method)
        return wrapped

    def _wrap(self, handler: Any, method: str) -> grpc.RpcMethodHandler[Any, Any]:
        asks, answers = (
            "stream" if flag else "unary" for flag in (handler.request_streaming, handler.response_streaming)
        )
        kind = f"{asks}_{answers}"
        behaviour = getattr(handler, kind)
        if handler.response_streaming:
            wrapped: Any = self._streaming(behaviour, method)
        else:
            wrapped = self._unary(behaviour, method)
        factory = getattr(grpc, f"{kind}_rpc_method_handler")
        return factory(wrapped, handler.request_deserializer, handler.response_serializer)  # type: ignore[no-any-return]

    def _unary(self, behaviour: Any, method: str) -> Callable[[Any, Context], Awaitable[Any]]:
        async def call(request: Any, context: Context) -> Any:
            start = time.perf_counter()
            code = StatusCode.OK
            with server_span(method, _traceparent(context)):
                try:
                    return await behaviour(request, context)
                except BaseException as error:  # noqa: BLE001 - mapped or raised again by _abort
                    code = _code_of(error, context)
                    await _abort(context, error, method)
                finally:
                    self._observe(method, code, time.perf_counter() - start)

        return call

    def _streaming(self, behaviour: Any, method: str) -> Callable[[Any, Context], AsyncIterator[Any]]:
        async def call(request: Any, context: Context) -> AsyncIterator[Any]:
            start = time.perf_counter()
            code = StatusCode.OK
            with server_span(method, _traceparent(context)):
                try:
                    answers = behaviour(request, context)
                    if hasattr(answers, "__aiter__"):
                        async for answer in answers:
                            yield answer
                    else:
                        await answers  # the library's own servicers write by context.write()
                except GeneratorExit:
                    code = StatusCode.CANCELLED
                    raise
                except BaseException as error:  # noqa: BLE001 - mapped or raised again by _abort
                    code = _code_of(error, context)
                    await _abort(context, error, method)
                finally:
                    self._observe(method, code, time.perf_counter() - start)

        return call


def _traceparent(context: Context) -> str | None:
    for key, value in context.invocation_metadata() or ():
        if key == "traceparent":
            return value if isinstance(value, str) else None
    return None


def _code_of(error: BaseException, context: Context) -> StatusCode:
    if isinstance(error, ServiceError):
        return error.code
    if isinstance(error, asyncio.CancelledError):
        return StatusCode.CANCELLED
    if isinstance(error, grpc.aio.AbortError):
        code: Any = context.code()
        return code if isinstance(code, StatusCode) else StatusCode.UNKNOWN
    return StatusCode.INTERNAL


async def _abort(context: Context, error: BaseException, method: str) -> None:
    """End the call with the status that `error` means; cancellation and earlier aborts pass through."""
    if isinstance(error, ServiceError):
        await context.abort(error.code, error.message, trailing_metadata(error))
    if isinstance(error, Exception) and not isinstance(error, grpc.aio.AbortError):
        log.error("grpc.call_failed", method=method, exc_info=error)
        await context.abort(StatusCode.INTERNAL, INTERNAL_MESSAGE, (_trace_id(),))
    raise error


def trailing_metadata(error: ServiceError) -> tuple[tuple[str, str | bytes], ...]:
    """Return what gRPC callers need besides code and message: trace id, google.rpc details, retry pushback."""
    metadata: list[tuple[str, str | bytes]] = [_trace_id()]
    details: list[Any] = []
    if error.violations:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=violation.field, description=violation.description)
            for violation in error.violations
        ]
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    if error.retry_after is not None:
        delay = Duration()
        delay.FromMilliseconds(int(error.retry_after * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    if isinstance(error, DependencyUnavailable):
        # -1: a transport that retries by itself would only feed an overload.
        pushback = -1 if isinstance(error, Overloaded) else int((error.retry_after or 0) * 1000)
        metadata.append(("grpc-retry-pushback-ms", str(pushback)))
    if details:
        status = status_pb2.Status(code=error.code.value[0], message=error.message)
        status.details.extend(_pack(detail) for detail in details)
        metadata.append(("grpc-status-details-bin", status.SerializeToString()))
    return tuple(metadata)


def _pack(message: Any) -> AnyProto:
    packed = AnyProto()
    packed.Pack(message)
    return packed


def _trace_id() -> tuple[str, str]:
    span = current_span()
    return ("x-trace-id", span.trace_id if span else "")
