"""The lean client and grpc.aio's against real servers, ours and grpc.aio's: the same calls must mean the same."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from gateway.grpc_unary import RpcError, UnaryChannel
from grpc import StatusCode
from local_stack.eventually import eventually_async
from service_runtime.grpc_transport.server import LeanServer

pytestmark = pytest.mark.requirement("GATEWAY-001")

Call = Callable[..., Awaitable[bytes]]
Metadata = Sequence[tuple[str, str]]

_MIB = 1 << 20
_OPTIONS = [("grpc.max_receive_message_length", 64 * _MIB), ("grpc.max_send_message_length", 64 * _MIB)]


class Service:
    """What the server on the other side saw and does."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()
        self.reached = asyncio.Event()

    async def echo(self, request: bytes, _context: grpc.aio.ServicerContext) -> bytes:
        return request

    async def refuse(self, _request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        details = ("grpc-status-details-bin", b"\x08\x05rich")
        await context.abort(StatusCode.NOT_FOUND, "kein Modell: größe 100 %", (details,))

    async def hang(self, _request: bytes, _context: grpc.aio.ServicerContext) -> bytes:
        self.reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        return b""

    async def metadata(self, _request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        sent = dict(context.invocation_metadata() or ())
        return f"{sent['traceparent']!s} {4 < context.time_remaining() < 6}".encode()


@asynccontextmanager
async def serving(service: Service, port: int = 0, *, kind: str = "grpc.aio") -> AsyncIterator[tuple[Any, int]]:
    server: Any = grpc.aio.server(options=[*_OPTIONS, ("grpc.so_reuseport", 0)])
    if kind == "lean":
        server = LeanServer(observe=lambda *_: None, max_message_bytes=64 * _MIB, max_held_bytes=1024 * _MIB)
    names = ("echo", "refuse", "hang", "metadata")
    methods: dict[str, Any] = {name: grpc.unary_unary_rpc_method_handler(getattr(service, name)) for name in names}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", methods),))
    if kind == "lean":
        port = await server.start(f"127.0.0.1:{port}")
    else:
        port = server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
    try:
        yield server, port
    finally:
        await server.stop(0)


@asynccontextmanager
async def calling(kind: str, port: int) -> AsyncIterator[Call]:
    target = f"127.0.0.1:{port}"
    if kind == "lean":
        lean = UnaryChannel(target)
        try:
            yield lean.call
        finally:
            await lean.aclose()
        return
    async with grpc.aio.insecure_channel(target, options=_OPTIONS) as channel:

        async def call(method: str, message: bytes, *, seconds: float, metadata: Metadata = ()) -> bytes:
            try:
                ask: Any = channel.unary_unary(method)
                return await ask(message, timeout=seconds, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                rich = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
                raise RpcError(error.code(), error.details() or "", status_details=rich) from error

        yield call


@pytest.fixture(params=[("lean", "grpc.aio"), ("lean", "lean"), ("grpc.aio", "grpc.aio")], ids=" to ".join)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Call, Service]]:
    service = Service()
    client, server = request.param
    async with serving(service, kind=server) as (_, port), calling(client, port) as call:
        yield call, service


@pytest.mark.parametrize("size", [0, 1, 16_384, 5 * _MIB])
async def test_a_message_of_any_size_comes_back_as_it_was(world: tuple[Call, Service], size: int) -> None:
    call, _ = world
    message = bytes(index % 251 for index in range(min(size, 4096))) * max(1, size // 4096) if size else b""
    assert await call("/t.T/echo", message, seconds=10) == message


async def test_two_hundred_calls_at_once_keep_their_answers_apart(world: tuple[Call, Service]) -> None:
    call, _ = world
    answers = await asyncio.gather(*(call("/t.T/echo", b"%d" % n * 1000, seconds=10) for n in range(200)))
    assert answers == [b"%d" % n * 1000 for n in range(200)]


async def test_a_refusal_keeps_code_text_and_details(world: tuple[Call, Service]) -> None:
    call, _ = world
    with pytest.raises(RpcError) as refused:
        await call("/t.T/refuse", b"", seconds=5)
    assert refused.value.code is StatusCode.NOT_FOUND
    assert refused.value.details == "kein Modell: größe 100 %"
    assert refused.value.status_details == b"\x08\x05rich"


async def test_an_unknown_method_is_unimplemented(world: tuple[Call, Service]) -> None:
    call, _ = world
    with pytest.raises(RpcError) as refused:
        await call("/t.T/nothing", b"", seconds=5)
    assert refused.value.code is StatusCode.UNIMPLEMENTED


async def test_metadata_and_the_deadline_reach_the_server(world: tuple[Call, Service]) -> None:
    call, _ = world
    answer = await call("/t.T/metadata", b"", seconds=5, metadata=(("traceparent", "00-ab-cd-01"),))
    assert answer == b"00-ab-cd-01 True"


async def test_a_passed_deadline_ends_the_call_here_and_on_the_server(world: tuple[Call, Service]) -> None:
    call, service = world
    with pytest.raises(RpcError) as late:
        await call("/t.T/hang", b"", seconds=0.2)
    assert late.value.code is StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(service.cancelled.wait(), 5)


async def test_cancelling_the_caller_cancels_the_work_on_the_server(world: tuple[Call, Service]) -> None:
    call, service = world
    task = asyncio.ensure_future(call("/t.T/hang", b"", seconds=30))
    await asyncio.wait_for(service.reached.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(service.cancelled.wait(), 5)


async def test_a_call_after_others_were_cancelled_still_works(world: tuple[Call, Service]) -> None:
    call, _ = world
    for _ in range(20):
        with pytest.raises(RpcError):
            await call("/t.T/hang", b"x" * 100_000, seconds=0.01)
    assert await call("/t.T/echo", b"fine", seconds=5) == b"fine"


@pytest.mark.parametrize("kind", ["lean", "grpc.aio"])
async def test_a_server_that_is_away_is_unavailable_and_is_found_again(kind: str) -> None:
    async with serving(Service()) as (server, port), calling(kind, port) as call:
        assert await call("/t.T/echo", b"1", seconds=5) == b"1"
        await server.stop(0)
        with pytest.raises(RpcError) as away:
            await call("/t.T/echo", b"2", seconds=1)
        assert away.value.code is StatusCode.UNAVAILABLE
        async with serving(Service(), port):
            assert await _once_reachable(call, b"3") == b"3"


async def _once_reachable(call: Call, message: bytes) -> bytes:
    async with asyncio.timeout(5):
        while True:
            with contextlib.suppress(RpcError):
                return await call("/t.T/echo", message, seconds=1)


@pytest.mark.parametrize("kind", ["lean", "grpc.aio"])
async def test_a_server_that_drains_answers_what_it_has_taken(kind: str) -> None:
    service = Service()
    started, finish = asyncio.Event(), asyncio.Event()

    async def slow_echo(request: bytes, _context: grpc.aio.ServicerContext) -> bytes:
        started.set()
        await finish.wait()
        return request

    service.echo = slow_echo  # type: ignore[method-assign]
    async with serving(service) as (server, port), calling(kind, port) as call:
        task = asyncio.ensure_future(call("/t.T/echo", b"taken", seconds=10))
        await asyncio.wait_for(started.wait(), 5)
        stopping = asyncio.ensure_future(server.stop(5))
        finish.set()
        assert await task == b"taken"
        await stopping


async def test_a_call_is_answered_on_its_connection_though_a_newer_one_takes_the_next() -> None:
    service, finish = Service(), asyncio.Event()

    async def slow_echo(request: bytes, _context: grpc.aio.ServicerContext) -> bytes:
        await finish.wait()
        return request

    service.echo = slow_echo  # type: ignore[method-assign]
    async with serving(service, kind="lean") as (server, port), calling("lean", port) as call:
        task = asyncio.ensure_future(call("/t.T/echo", b"long", seconds=20))

        async def renewed() -> bool:
            return len(server.connections) == 2

        await eventually_async(renewed, within=10)
        finish.set()
        assert await task == b"long"
        assert await call("/t.T/echo", b"next", seconds=5) == b"next"

        async def left() -> bool:
            return len(server.connections) == 1

        await eventually_async(left, within=5)
