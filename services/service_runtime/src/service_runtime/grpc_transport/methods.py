"""The methods of a server: how messages are read, who answers, and how an error ends the call."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc import StatusCode

from service_runtime.errors import InvalidInput
from service_runtime.grpc_errors import status_of
from service_runtime.grpc_transport.call import AbortError, Call
from service_runtime.grpc_transport.request_head import RequestHead
from service_runtime.grpc_transport.status import ENCODINGS, Status, http_refusal
from service_runtime.tracing import server_span

Observe = Callable[[str, StatusCode, float], None]
Enter = Callable[[str, Call], Awaitable[None]]
"""Given the path of a method and a call of it, before the call is looked at: what it raises ends the call."""

Behaviour = Callable[[Any, Call], Any]

_SPEAKS_GRPC = b"This port speaks gRPC: POST with content-type application/grpc.\n"
_NOT_ONE = Status(StatusCode.UNIMPLEMENTED, "This method takes exactly one message.")


class Method:
    """Runs the calls of one method, each in a span."""

    def __init__(
        self, path: str, handler: Any, *, observe: Observe, enter: Enter | None, max_message_bytes: int
    ) -> None:
        self.path = path
        self.max_message_bytes = max_message_bytes
        self.streams_in: bool = handler.request_streaming
        self._streams_out: bool = handler.response_streaming
        kind = f"{'stream' if self.streams_in else 'unary'}_{'stream' if self._streams_out else 'unary'}"
        self._behaviour: Behaviour = getattr(handler, kind)
        self._deserialize: Callable[[bytes], Any] | None = handler.request_deserializer
        self._serialize: Callable[[Any], bytes] | None = handler.response_serializer
        self._observe = observe
        self._enter = enter

    async def run(self, call: Call) -> None:
        """Answer a call; whatever happens, it ends with a status, and the status is counted."""
        start = time.perf_counter()
        with server_span(self.path, call.head.traceparent):
            try:
                if self._enter is not None:
                    await self._enter(self.path, call)
                if self._streams_out:
                    await self._stream(call)
                else:
                    call.answer(self.serialize(await self._behaviour(await self._request(call), call)))
            except Exception as error:  # noqa: BLE001 - every error becomes a status
                call.end(error.status if isinstance(error, AbortError) else status_of(error, method=self.path))
            finally:  # a handler that was ended may say what it likes: what counts is what its caller heard
                self._observe(self.path, call.ended or StatusCode.CANCELLED, time.perf_counter() - start)

    def deserialize(self, message: bytes) -> Any:
        """Return the request that the bytes mean; raises InvalidInput when they mean none."""
        if self._deserialize is None:
            return message
        try:
            return self._deserialize(message)
        except DecodeError as error:
            raise InvalidInput("The message is not the request of this method.") from error

    def serialize(self, answer: Any) -> bytes:
        """Return the bytes of an answer."""
        return answer if self._serialize is None else self._serialize(answer)

    async def _request(self, call: Call) -> Any:
        if self.streams_in:
            return call.messages()
        message = await call.read()
        if message is None or call.backlog or call.cut_short:
            raise AbortError(_NOT_ONE)
        return self.deserialize(message)

    async def _stream(self, call: Call) -> None:
        answers: AsyncGenerator[Any, None] | Awaitable[None] = self._behaviour(await self._request(call), call)
        if isinstance(answers, AsyncGenerator):
            async with aclosing(answers):  # a caller who leaves ends the generator too
                async for answer in answers:
                    await call.write(answer)
        else:
            await answers  # it writes by context.write()
        call.end(Status(StatusCode.OK))


class Refusal:
    """Answers what no method can, once the request is read or turns out to be long."""

    streams_in = False
    max_message_bytes = 0

    def __init__(self, block: bytes, text: bytes = b"") -> None:
        self._block = block
        self._text = text

    async def run(self, call: Call) -> None:
        """Refuse."""
        call.refuse(self._block, self._text)

    def deserialize(self, message: bytes) -> bytes:
        """Leave the bytes as they are."""
        return message

    serialize = deserialize


class MethodTable:
    """Finds methods by path, as in /package.Service/Method."""

    def __init__(self, *, observe: Observe, enter: Enter | None, max_message_bytes: int) -> None:
        self._observe = observe
        self._enter = enter
        self._max_message_bytes = max_message_bytes
        self._handlers: list[grpc.GenericRpcHandler] = []
        self._methods: dict[str, Method] = {}

    def add(self, handler: grpc.GenericRpcHandler) -> None:
        """Take the methods of a service."""
        self._handlers.append(handler)

    def find(self, head: RequestHead) -> Method | Refusal:
        """Return what answers a request."""
        method = self._methods.get(head.path) or self._look_up(head.path)
        if head.method != "POST":
            return Refusal(http_refusal(405), _SPEAKS_GRPC)
        if not head.content_type.startswith("application/grpc"):
            return Refusal(http_refusal(415), _SPEAKS_GRPC)
        if method is None:
            return _unimplemented(f"There is no method {head.path} here.")
        if head.encoding not in ENCODINGS:
            return _unimplemented(f"Messages of encoding {head.encoding} cannot be read here.")
        return method

    def _look_up(self, path: str) -> Method | None:
        """Return the method, or None; unknown paths are not remembered, they would fill our memory."""
        details: Any = _CallDetails(path)
        for generic in self._handlers:
            handler = generic.service(details)
            if handler is not None:
                method = self._methods[path] = Method(
                    path,
                    handler,
                    observe=self._observe,
                    enter=self._enter,
                    max_message_bytes=self._max_message_bytes,
                )
                return method
        return None


def _unimplemented(message: str) -> Refusal:
    return Refusal(Status(StatusCode.UNIMPLEMENTED, message).trailers(alone=True))


class _CallDetails(grpc.HandlerCallDetails):
    def __init__(self, method: str) -> None:
        self.method = method
        self.invocation_metadata = ()
