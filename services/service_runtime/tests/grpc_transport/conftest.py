"""One service with a method of every kind, on the lean server and on grpc.aio's."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import grpc
import pytest
from frame_caller import echoes
from grpc import StatusCode
from service_runtime.grpc_transport.server import LeanServer

MIB = 1 << 20
MAX_MESSAGE = 8 * MIB

Serving = Callable[..., AbstractAsyncContextManager[int]]


class Service:
    """t.T: methods that a test can hold, watch and release."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.released = asyncio.Event()
        self.left = asyncio.Event()
        self.sent = 0
        self.codes: asyncio.Queue[StatusCode] = asyncio.Queue()

    async def echo(self, request: bytes, _context: Any) -> bytes:
        return request

    async def hold(self, request: bytes, _context: Any) -> bytes:
        self.reached.set()
        try:
            await self.released.wait()
        finally:
            self.left.set()
        return request

    async def insist(self, request: bytes, _context: Any) -> bytes:
        with contextlib.suppress(asyncio.CancelledError):
            await self.released.wait()
        return request

    async def refuse(self, _request: bytes, context: Any) -> bytes:
        details = ("grpc-status-details-bin", b"\x08\x05rich")
        await context.abort(StatusCode.NOT_FOUND, "kein Modell: größe 100 %", (details,))
        return b""

    async def tell(self, _request: bytes, context: Any) -> bytes:
        sent = dict(context.invocation_metadata() or ())
        return f"{sent.get('traceparent')} {context.time_remaining()}".encode()

    async def count(self, request: bytes, _context: Any) -> AsyncIterator[bytes]:
        self.reached.set()
        try:
            for number in range(int(request)):
                yield b"%d" % number
        finally:
            self.left.set()

    async def pour(self, request: bytes, _context: Any) -> AsyncIterator[bytes]:
        for _ in range(int(request)):
            yield bytes(MIB)
            self.sent += 1

    async def write(self, request: bytes, context: Any) -> None:
        for number in range(int(request)):
            await context.write(b"%d" % number)

    async def collect(self, requests: AsyncIterator[bytes], _context: Any) -> bytes:
        return b",".join([request async for request in requests])

    async def ignore(self, _requests: AsyncIterator[bytes], _context: Any) -> bytes:
        await self.released.wait()
        return b""

    async def chat(self, requests: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request.upper()

    def handlers(self) -> grpc.GenericRpcHandler:
        kinds = {
            "unary_unary": (self.echo, self.hold, self.insist, self.refuse, self.tell),
            "unary_stream": (self.count, self.pour, self.write),
            "stream_unary": (self.collect, self.ignore),
            "stream_stream": (self.chat,),
        }
        methods = {
            method.__name__: getattr(grpc, f"{kind}_rpc_method_handler")(method)
            for kind, of_kind in kinds.items()
            for method in of_kind
        }
        return grpc.method_handlers_generic_handler("t.T", methods)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def lean(service: Service) -> Serving:
    """Serve on the lean server; yields the port."""

    @asynccontextmanager
    async def serving(*, grace: float = 0, max_held_bytes: int = 64 * MIB) -> AsyncIterator[int]:
        server = LeanServer(
            observe=lambda _method, code, _seconds: service.codes.put_nowait(code),
            max_message_bytes=MAX_MESSAGE,
            max_held_bytes=max_held_bytes,
        )
        server.add_generic_rpc_handlers((service.handlers(),))
        port = await server.start("127.0.0.1:0")
        try:
            yield port
        finally:
            await server.stop(grace)

    return serving


@pytest.fixture
def reference(service: Service) -> Serving:
    """Serve on grpc.aio's server; yields the port."""

    @asynccontextmanager
    async def serving(*, grace: float = 0) -> AsyncIterator[int]:
        limits = [("grpc.max_receive_message_length", MAX_MESSAGE), ("grpc.max_send_message_length", MAX_MESSAGE)]
        server = grpc.aio.server(options=[*limits, ("grpc.so_reuseport", 0)])
        server.add_generic_rpc_handlers((service.handlers(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield port
        finally:
            await server.stop(grace)

    return serving


@pytest.fixture
async def port(lean: Serving) -> AsyncIterator[int]:
    """The lean server's port; afterwards it still serves."""
    async with lean() as listening:
        yield listening
        assert await echoes(listening), "others are served whatever a test did"
