"""What every HTTP handler of the gateway shares."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog
from grpc import StatusCode
from service_runtime.admission import AdmissionGate
from service_runtime.deadlines import Deadline
from service_runtime.errors import DeadlineExceeded, InvalidInput, Overloaded, ServiceError
from service_runtime.http_protocol import ARRIVED, DEPARTURES
from service_runtime.problems import problem_of
from service_runtime.readiness import Readiness
from service_runtime.tracing import server_span
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.callers.caller import Caller
from gateway.callers.door import ARM_HEADER, Door
from gateway.http_request import HttpRequest, too_large
from gateway.metrics import RequestMetrics
from gateway.settings import Settings
from gateway.shedding import REVISION_HEADER, Shedder

log = structlog.get_logger()

Handler = Callable[[HttpRequest, Deadline], Awaitable[Response]]

_CALLER_GONE = 499
_LONGEST_TIMEOUT = 18


class HttpEdge:
    """Span, deadline, caller, body, admission, cancellation, metrics and errors of HTTP requests."""

    def __init__(
        self, settings: Settings, door: Door, gate: AdmissionGate, readiness: Readiness, metrics: RequestMetrics
    ) -> None:
        self._metrics = metrics
        self._settings = settings
        self._door = door
        self._gate = gate
        self._readiness = readiness
        self._free_bytes = settings.max_buffered_bytes
        self._revision = (REVISION_HEADER.encode(), settings.answering_revision.encode("latin-1"))
        self.shed = Shedder(gate, door, self.observe, revision=settings.answering_revision)

    def endpoint(self, handler: Handler, *, route: str, admitted: bool = True) -> ASGIApp:
        """Return the ASGI app of a Starlette route around `handler`; `route` names it in metrics and spans."""
        if admitted:
            self.shed.add(route)
        return _Endpoint(self, handler, route, admitted=admitted)

    async def answer(self, handler: Handler, call: "_Call", *, admitted: bool) -> tuple[StatusCode, Response]:
        """Let the handler answer, and map whatever it raises."""
        try:
            deadline = self._deadline(call.request)
            call.caller = await self._door.enter(call.route, call.request.headers, call.address)
            if admitted:
                self._door.charge(call.caller)
            if call.request.method in ("POST", "PUT"):
                call.request.body = await self._receive_body(call, deadline)
            if not admitted:
                return StatusCode.OK, await handler(call.request, deadline)
            async with self._gate.admit(deadline):
                return StatusCode.OK, await handler(call.request, deadline)
        except asyncio.CancelledError:
            if not call.left:
                raise
            return StatusCode.CANCELLED, Response(status_code=_CALLER_GONE)
        except ClientDisconnect:  # before we could be told by `leave`
            return StatusCode.CANCELLED, Response(status_code=_CALLER_GONE)
        except Exception as error:  # noqa: BLE001 - problem_of is where every exception is judged
            code = error.code if isinstance(error, ServiceError) else StatusCode.INTERNAL
            return code, problem_of(error, instance=call.request.path)
        finally:
            self._free_bytes += call.held_bytes

    def complete(self, call: "_Call", response: Response, trace_id: str) -> None:
        """Add the headers that every answer has."""
        headers = response.raw_headers
        headers.append((b"x-trace-id", trace_id.encode()))
        headers.append(self._revision)
        if call.caller is not None and call.caller.arm is not None:
            headers.append((ARM_HEADER.encode(), call.caller.arm.name.encode()))
        request_id = call.request.headers.get("x-request-id")
        if request_id is not None:
            headers.append((b"x-request-id", request_id.encode("latin-1")))
        if self._readiness.draining:
            headers.append((b"connection", b"close"))  # the next request should go to another replica

    def observe(self, route: str, code: StatusCode, seconds: float) -> None:
        """Count an answer, and log it if every request is to be logged."""
        self._metrics.observe(route, code, seconds)
        if self._settings.access_log:
            log.info("request.completed", route=route, code=code.name, seconds=round(seconds, 6))

    async def _receive_body(self, call: "_Call", deadline: Deadline) -> bytes:
        limit = self._settings.max_body_bytes
        declared = call.request.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > limit:
            raise too_large(limit)
        if ARRIVED in call.scope["state"]:
            return await self._collect(call, limit)
        try:
            async with asyncio.timeout(deadline.remaining()):
                return await self._collect(call, limit)
        except TimeoutError as error:
            raise DeadlineExceeded("receive body") from error

    async def _collect(self, call: "_Call", limit: int) -> bytes:
        chunks: list[bytes] = []
        more = True
        while more:
            message = await call.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            chunk = message.get("body", b"")
            self._hold(call, len(chunk))
            if call.held_bytes > limit:
                raise too_large(limit)
            chunks.append(chunk)
            more = message.get("more_body", False)
        return b"".join(chunks)

    def _hold(self, call: "_Call", size: int) -> None:
        """Count bytes of a body against what all requests together may hold."""
        if size > self._free_bytes:
            raise Overloaded("Too many large requests at once; nothing was started. Retry later.")
        self._free_bytes -= size
        call.held_bytes += size

    def _deadline(self, request: HttpRequest) -> Deadline:
        asked = request.headers.get("x-request-timeout-ms")
        if asked is None:
            return Deadline.after(self._settings.default_timeout)
        # Python refuses to read thousands of digits, and so must we before it does.
        if not (len(asked) <= _LONGEST_TIMEOUT and asked.isascii() and asked.isdecimal() and int(asked) > 0):
            raise InvalidInput("The header X-Request-Timeout-Ms must be a whole number of milliseconds above 0.")
        return Deadline.after(min(int(asked) / 1000, self._settings.max_timeout))


class _Endpoint:
    """One route. An ASGI app, as Starlette's own way to a function costs a request more than all that is here."""

    def __init__(self, edge: HttpEdge, handler: Handler, route: str, *, admitted: bool) -> None:
        self._edge = edge
        self._handler = handler
        self._route = route
        self._admitted = admitted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = time.perf_counter()
        call = _Call(scope, receive, self._route)
        request = call.request
        departures: set[Callable[[], None]] = scope["state"][DEPARTURES]
        departures.add(call.leave)
        try:
            with server_span(self._route, request.headers.get("traceparent")) as span:
                code, response = await self._edge.answer(self._handler, call, admitted=self._admitted)
                self._edge.observe(self._route, code, time.perf_counter() - start)
        finally:
            departures.discard(call.leave)
        self._edge.complete(call, response, span.trace_id)
        await response(scope, receive, send)


class _Call:
    """A request that is being answered, the task that answers it, and the bytes that it holds."""

    def __init__(self, scope: Scope, receive: Receive, route: str) -> None:
        self.scope = scope
        self.route = route
        self.request = HttpRequest.of(scope)
        self.receive = receive
        self.caller: Caller | None = None
        self.held_bytes = 0
        self.left = False
        self._worker = asyncio.current_task()

    @property
    def address(self) -> str:
        """Where the connection comes from; a proxy's address where one is between."""
        client: tuple[str, int] | None = self.scope["client"]
        return client[0] if client else ""

    def leave(self) -> None:
        """End the work: the caller has hung up."""
        self.left = True
        if self._worker is not None:
            self._worker.cancel()
