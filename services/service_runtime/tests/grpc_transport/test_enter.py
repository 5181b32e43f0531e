"""What runs before every call: it sees who calls, may refuse, and adds to the headers of every kind of answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
from service_runtime.errors import Unauthenticated
from service_runtime.grpc_transport.call import Call
from service_runtime.grpc_transport.server import LeanServer

pytestmark = pytest.mark.requirement("RUNTIME-015")

METHODS = ["echo", "count", "write", "collect", "chat", "refuse"]


class Doorman:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    async def enter(self, method: str, call: Call) -> None:
        call.set_initial_metadata((("x-said", "hello"),))
        self.seen.append((method, call.peer_host))
        await asyncio.sleep(0)
        if ("x-name", "ann") not in call.invocation_metadata():
            raise Unauthenticated("Say who you are.", challenge="Name")


@pytest.fixture
def doorman() -> Doorman:
    return Doorman()


@pytest.fixture
async def channel(service: Any, doorman: Doorman) -> AsyncIterator[grpc.Channel]:
    """A channel of gRPC's own, not of its aio flavour, which forgets the status of a stream refused while it sends."""
    server = LeanServer(
        observe=lambda _method, code, _seconds: service.codes.put_nowait(code),
        enter=doorman.enter,
        max_message_bytes=1 << 20,
        max_held_bytes=1 << 24,
    )
    server.add_generic_rpc_handlers((service.handlers(),))
    port = await server.start("127.0.0.1:0")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened
    await server.stop(0)


def ask(channel: grpc.Channel, method: str, name: str, message: bytes = b"2") -> Any:
    multi: Any = channel.stream_stream(f"/t.T/{method}")
    call = multi(iter((message,)), metadata=(("x-name", name),), timeout=10)
    call.answers = []
    with suppress(grpc.RpcError):
        call.answers.extend(call)
    return call


@pytest.mark.parametrize("method", METHODS)
async def test_every_kind_of_call_can_be_refused(
    channel: grpc.Channel, doorman: Doorman, service: Any, method: str
) -> None:
    call = await asyncio.to_thread(ask, channel, method, "nobody")
    assert (call.code(), call.details()) == (grpc.StatusCode.UNAUTHENTICATED, "Say who you are.")
    beside = {**dict(call.initial_metadata()), **dict(call.trailing_metadata())}
    assert (beside["www-authenticate"], beside["x-said"]) == ("Name", "hello")
    assert doorman.seen == [(f"/t.T/{method}", "127.0.0.1")]
    assert await asyncio.wait_for(service.codes.get(), 5) is grpc.StatusCode.UNAUTHENTICATED
    assert not service.reached.is_set()


@pytest.mark.parametrize("method", METHODS)
async def test_who_is_let_in_reads_what_was_said_in_the_headers(channel: grpc.Channel, method: str) -> None:
    call = await asyncio.to_thread(ask, channel, method, "ann")
    assert call.code() is (grpc.StatusCode.NOT_FOUND if method == "refuse" else grpc.StatusCode.OK)
    assert ("x-said", "hello") in (*call.initial_metadata(), *call.trailing_metadata())


async def test_a_large_answer_has_the_headers_too(channel: grpc.Channel) -> None:
    call = await asyncio.to_thread(ask, channel, "echo", "ann", bytes(500_000))
    assert len(call.answers[0]) == 500_000
    assert ("x-said", "hello") in call.initial_metadata()


async def test_a_method_that_is_not_there_needs_nobody_at_the_door(channel: grpc.Channel, doorman: Doorman) -> None:
    call = await asyncio.to_thread(ask, channel, "nothing", "ann")
    assert (call.code(), doorman.seen) == (grpc.StatusCode.UNIMPLEMENTED, [])
