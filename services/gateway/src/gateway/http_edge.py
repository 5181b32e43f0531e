"""What every HTTP handler of the gateway shares."""

import asyncio
import time
import zlib
from collections.abc import Awaitable, Callable

import structlog
from grpc import StatusCode
from service_runtime.admission import AdmissionGate
from service_runtime.deadlines import Deadline
from service_runtime.errors import (
    DeadlineExceeded,
    InvalidInput,
    Overloaded,
    PayloadTooLarge,
    ServiceError,
    UnsupportedMediaType,
)
from service_runtime.problems import handle_error
from service_runtime.readiness import Readiness
from service_runtime.tracing import server_span
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gateway.metrics import RequestMetrics
from gateway.settings import Settings

log = structlog.get_logger()

Handler = Callable[[Request, Deadline], Awaitable[Response]]

_CALLER_GONE = 499
_LONGEST_TIMEOUT = 18
_BODY = "fairlead.body"
_HELD = "fairlead.held_bytes"
_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class HttpEdge:
    """Span, deadline, body, admission, cancellation, metrics and errors of HTTP requests."""

    def __init__(self, settings: Settings, gate: AdmissionGate, readiness: Readiness, metrics: RequestMetrics) -> None:
        self._metrics = metrics
        self._settings = settings
        self._gate = gate
        self._readiness = readiness
        self._free_bytes = settings.max_buffered_bytes

    def endpoint(
        self, handler: Handler, *, route: str, admitted: bool = True
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return a Starlette endpoint around `handler`; `route` names it in metrics and spans."""

        async def respond(request: Request) -> Response:
            start = time.perf_counter()
            with server_span(route, request.headers.get("traceparent")) as span:
                code, response = await self._answer(handler, request, admitted=admitted)
                seconds = time.perf_counter() - start
                self._metrics.observe(route, code, seconds)
                if self._settings.access_log:
                    log.info("request.completed", route=route, code=code.name, seconds=round(seconds, 6))
                self._add_headers(request, response, span.trace_id)
                return response

        return respond

    async def _answer(self, handler: Handler, request: Request, *, admitted: bool) -> tuple[StatusCode, Response]:
        caller = _Caller(request)
        try:
            deadline = self._deadline(request)
            if request.method in ("POST", "PUT"):
                request.scope[_BODY] = await self._receive_body(request, deadline)
                caller.watch()
            if not admitted:
                return StatusCode.OK, await handler(request, deadline)
            async with self._gate.admit(deadline):
                return StatusCode.OK, await handler(request, deadline)
        except asyncio.CancelledError:
            if not caller.gone:
                raise
            return StatusCode.CANCELLED, Response(status_code=_CALLER_GONE)
        except ClientDisconnect:  # in the middle of its body
            return StatusCode.CANCELLED, Response(status_code=_CALLER_GONE)
        except Exception as error:  # noqa: BLE001 - handle_error is where every exception is judged
            code = error.code if isinstance(error, ServiceError) else StatusCode.INTERNAL
            return code, await handle_error(request, error)
        finally:
            caller.unwatch()
            self._free_bytes += request.scope.pop(_HELD, 0)

    async def _receive_body(self, request: Request, deadline: Deadline) -> bytes:
        limit = self._settings.max_body_bytes
        declared = request.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > limit:
            raise _too_large(limit)
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(deadline.remaining()):
                async for chunk in request.stream():
                    if self._hold(request, len(chunk)) > limit:
                        raise _too_large(limit)
                    chunks.append(chunk)
        except TimeoutError as error:
            raise DeadlineExceeded("receive body") from error
        return b"".join(chunks)

    def _hold(self, request: Request, size: int) -> int:
        """Count bytes of a body against what all requests together may hold; return what this one holds by now."""
        if size > self._free_bytes:
            raise Overloaded("Too many large requests at once; nothing was started. Retry later.")
        self._free_bytes -= size
        held: int = request.scope.get(_HELD, 0) + size
        request.scope[_HELD] = held
        return held

    def _deadline(self, request: Request) -> Deadline:
        asked = request.headers.get("x-request-timeout-ms")
        if asked is None:
            return Deadline.after(self._settings.default_timeout)
        # Python refuses to read thousands of digits, and so must we before it does.
        if not (len(asked) <= _LONGEST_TIMEOUT and asked.isascii() and asked.isdecimal() and int(asked) > 0):
            raise InvalidInput("The header X-Request-Timeout-Ms must be a whole number of milliseconds above 0.")
        return Deadline.after(min(int(asked) / 1000, self._settings.max_timeout))

    def _add_headers(self, request: Request, response: Response, trace_id: str) -> None:
        response.headers["x-trace-id"] = trace_id
        request_id = request.headers.get("x-request-id")
        if request_id is not None:
            response.headers["x-request-id"] = request_id
        if self._readiness.draining:
            response.headers["connection"] = "close"  # the next request should go to another replica


async def read_body(request: Request, *, limit: int, deadline: Deadline) -> bytes:
    """Return the body, decompressed; raises PayloadTooLarge when it grows over `limit` bytes."""
    body: bytes = request.scope[_BODY]
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        body = _decompress(body, encoding, limit)
        deadline.check("receive body")
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _decompress(body: bytes, encoding: str, limit: int) -> bytes:
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        raise UnsupportedMediaType(f"Content-Encoding '{encoding[:40]}' is not known; use gzip, deflate or none.")
    inflater = zlib.decompressobj(bits)
    try:
        plain = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise InvalidInput(f"The body is not valid {encoding}.") from error
    if len(plain) > limit:
        raise _too_large(limit)
    if not inflater.eof or inflater.unused_data:
        raise InvalidInput(f"The body is not one whole {encoding} stream.")
    return plain


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is larger than {limit} bytes, the most that is accepted.")


class _Caller:
    """Cancels the task that works for a caller when the caller hangs up."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._worker = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None
        self.gone = False

    def watch(self) -> None:
        """Begin to listen; the body must have been read, as both come from one channel."""
        self._watcher = asyncio.create_task(self._listen())

    def unwatch(self) -> None:
        """Stop listening."""
        if self._watcher is not None:
            self._watcher.cancel()

    async def _listen(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        if self._worker is not None:
            self._worker.cancel()
