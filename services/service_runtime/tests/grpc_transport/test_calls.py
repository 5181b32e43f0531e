"""The lean server and grpc.aio's, asked by grpc.aio's client: the same calls must mean the same."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc import StatusCode

pytestmark = pytest.mark.requirement("RUNTIME-011")

MIB = 1 << 20
OPTIONS = [("grpc.max_receive_message_length", 64 * MIB), ("grpc.max_send_message_length", 64 * MIB)]


@pytest.fixture(params=["lean", "reference"])
async def channel(request: pytest.FixtureRequest, service: Any) -> AsyncIterator[grpc.aio.Channel]:
    serving = request.getfixturevalue(request.param)
    async with serving() as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as opened:
        yield opened


def unary(channel: grpc.aio.Channel, method: str, message: bytes = b"", **options: Any) -> Any:
    ask: Any = channel.unary_unary(f"/t.T/{method}")
    return ask(message, **{"timeout": 20, **options})


@pytest.mark.parametrize("size", [0, 1, 16_379, 16_380, 65_536, 5 * MIB])
async def test_a_message_of_any_size_comes_back_as_it_was(channel: grpc.aio.Channel, size: int) -> None:
    message = (bytes(range(251)) * (size // 251 + 1))[:size]
    assert await unary(channel, "echo", message) == message


async def test_five_hundred_calls_at_once_keep_their_answers_apart(channel: grpc.aio.Channel) -> None:
    answers = await asyncio.gather(*(unary(channel, "echo", b"%d" % n * 500) for n in range(500)))
    assert answers == [b"%d" % n * 500 for n in range(500)]


@pytest.mark.parametrize("method", ["count", "write"])
async def test_a_streamed_answer_arrives_whole_and_in_order(channel: grpc.aio.Channel, method: str) -> None:
    ask: Any = channel.unary_stream(f"/t.T/{method}")
    assert [answer async for answer in ask(b"2000", timeout=20)] == [b"%d" % n for n in range(2000)]


async def test_a_streamed_request_arrives_whole_and_in_order(channel: grpc.aio.Channel) -> None:
    ask: Any = channel.stream_unary("/t.T/collect")
    assert await ask((b"%d" % n for n in range(2000)), timeout=20) == b",".join(b"%d" % n for n in range(2000))


async def test_a_conversation_goes_back_and_forth(channel: grpc.aio.Channel) -> None:
    talk: Any = channel.stream_stream("/t.T/chat")
    call = talk(timeout=20)
    for said in (b"one", b"two" * MIB, b"three"):
        await call.write(said)
        assert await call.read() == said.upper()
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is StatusCode.OK


async def test_a_refusal_keeps_code_text_and_details(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await unary(channel, "refuse")
    assert (refused.value.code(), refused.value.details()) == (StatusCode.NOT_FOUND, "kein Modell: größe 100 %")
    assert dict(refused.value.trailing_metadata())["grpc-status-details-bin"] == b"\x08\x05rich"


@pytest.mark.parametrize("path", ["/t.T/nothing", "/nobody.Nowhere/echo", "/"])
async def test_what_is_not_served_is_unimplemented(channel: grpc.aio.Channel, path: str) -> None:
    ask: Any = channel.unary_unary(path)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await ask(b"", timeout=5)
    assert refused.value.code() is StatusCode.UNIMPLEMENTED


async def test_metadata_and_the_deadline_reach_the_handler(channel: grpc.aio.Channel) -> None:
    traceparent, remaining = (
        await unary(channel, "tell", timeout=5, metadata=(("traceparent", "00-ab-cd-01"),))
    ).split()
    assert traceparent == b"00-ab-cd-01"
    assert 4 < float(remaining) <= 5


async def test_a_caller_without_a_deadline_has_all_the_time(channel: grpc.aio.Channel) -> None:
    assert (await unary(channel, "tell", timeout=None)).split()[1] == b"None"


async def test_a_passed_deadline_ends_the_work(channel: grpc.aio.Channel, service: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as late:
        await unary(channel, "hold", timeout=0.3)
    assert late.value.code() is StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(service.left.wait(), 5)


async def test_a_caller_who_cancels_ends_the_work(channel: grpc.aio.Channel, service: Any) -> None:
    call = unary(channel, "hold")
    await asyncio.wait_for(service.reached.wait(), 5)
    call.cancel()
    await asyncio.wait_for(service.left.wait(), 5)


async def test_a_caller_who_leaves_a_stream_ends_its_generator(channel: grpc.aio.Channel, service: Any) -> None:
    ask: Any = channel.unary_stream("/t.T/count")
    call = ask(b"1000000000", timeout=20)
    assert await call.read() == b"0"
    call.cancel()
    await asyncio.wait_for(service.left.wait(), 5)


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
@pytest.mark.parametrize("size", [10, 5 * MIB])
async def test_a_compressed_request_is_unpacked(
    channel: grpc.aio.Channel, compression: grpc.Compression, size: int
) -> None:
    message = b"again and " * (size // 10)
    assert await unary(channel, "echo", message, compression=compression) == message


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
async def test_a_message_over_the_limit_is_resource_exhausted_packed_or_not(
    channel: grpc.aio.Channel, compression: grpc.Compression
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await unary(channel, "echo", bytes(9 * MIB), compression=compression)
    assert refused.value.code() is StatusCode.RESOURCE_EXHAUSTED
    assert await unary(channel, "echo", b"the next") == b"the next"


async def test_a_caller_who_does_not_read_stops_the_handler_from_writing(
    channel: grpc.aio.Channel, service: Any
) -> None:
    ask: Any = channel.unary_stream("/t.T/pour")
    call = ask(b"64", timeout=20)
    await call.read()
    for _ in range(20):  # others are served meanwhile
        await unary(channel, "echo", b"x")
    assert service.sent < 40
    left = 1
    while await call.read() is not grpc.aio.EOF:
        left += 1
    assert left == 64


@pytest.mark.parametrize("serving", ["lean", "reference"])
async def test_stopping_answers_what_is_in_flight_and_takes_nothing_new(
    request: pytest.FixtureRequest, serving: str, service: Any
) -> None:
    async with request.getfixturevalue(serving)(grace=10) as port:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        call = unary(channel, "hold", b"taken")
        await asyncio.wait_for(service.reached.wait(), 5)
        asyncio.get_running_loop().call_later(0.3, service.released.set)
    assert await call == b"taken"
    with pytest.raises(grpc.aio.AioRpcError) as away:
        await unary(channel, "echo", timeout=2)
    assert away.value.code() is StatusCode.UNAVAILABLE
    await channel.close()
