"""A caller who breaks the rules loses its own call or connection; the server and its other callers do not."""

import asyncio
import gzip
from typing import Any

import pytest
from frame_caller import GREETING, HEAD, IN_TIME, calling, data, echoes, head, message
from grpc import StatusCode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from service_runtime.http2 import frames
from service_runtime.http2.frames import END_HEADERS, ErrorCode, Frame, frame
from service_runtime.http2.header_blocks import encode_literals

pytestmark = pytest.mark.requirement("RUNTIME-012")

MIB = 1 << 20


BREACHES: dict[str, tuple[bytes, ErrorCode]] = {
    "no HTTP/2": (b"GET / HTTP/1.1\r\nhost: here\r\n\r\n", ErrorCode.PROTOCOL_ERROR),
    "a frame of 16 MiB": (GREETING + b"\xff\xff\xff\0\0\0\0\0\1", ErrorCode.FRAME_SIZE_ERROR),
    "headers without end": (
        GREETING + frame(Frame.HEADERS, 0, 1) + frame(Frame.CONTINUATION, 0, 1, bytes(16_000)) * 6,
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "continuations of nothing, without end": (
        GREETING + frame(Frame.HEADERS, 0, 1) + frame(Frame.CONTINUATION, 0, 1) * 50,
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "a header list that unfolds": (
        GREETING + frame(Frame.HEADERS, END_HEADERS, 1, b"\x40\x01n\x7f\xa1\x1e" + b"v" * 4000 + b"\xbe" * 1000),
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "ten thousand pings": (GREETING + frame(Frame.PING, 0, 0, bytes(8)) * 10_100, ErrorCode.ENHANCE_YOUR_CALM),
    "ten thousand settings": (GREETING * 1 + frames.settings([]) * 10_100, ErrorCode.ENHANCE_YOUR_CALM),
    "calls that are reset at once": (
        GREETING + b"".join(head(n, path="/t.T/hold") + frames.reset(n, ErrorCode.CANCEL) for n in range(1, 20_400, 2)),
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "empty data without end": (GREETING + head(1) + data(1, b"", flags=0) * 10_100, ErrorCode.ENHANCE_YOUR_CALM),
    "a stream of the server's": (GREETING + head(2), ErrorCode.PROTOCOL_ERROR),
    "a push": (GREETING + frame(Frame.PUSH_PROMISE, END_HEADERS, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR),
}


@pytest.mark.parametrize("breach", BREACHES)
async def test_a_breach_closes_its_connection_and_says_why(port: int, breach: str) -> None:
    sent, reason = BREACHES[breach]
    async with calling(port, greeted=False) as caller:
        caller.send(sent)
        assert await caller.until_closed() is reason


MISTAKES: dict[str, tuple[bytes, Any]] = {
    "a body that is no message": (head(1) + data(1, b"abc"), StatusCode.UNIMPLEMENTED),
    "no message": (head(1) + data(1, b""), StatusCode.UNIMPLEMENTED),
    "two messages": (head(1) + data(1, message(b"1") + message(b"2")), StatusCode.UNIMPLEMENTED),
    "half a message": (head(1) + data(1, message(b"whole")[:-1]), StatusCode.UNIMPLEMENTED),
    "a message of 4 GiB, announced": (head(1) + data(1, b"\0\xff\xff\xff\xff", flags=0), StatusCode.RESOURCE_EXHAUSTED),
    "compressed, but not said how": (head(1) + data(1, message(b"x", compressed=1)), StatusCode.INVALID_ARGUMENT),
    "compressed, but not really": (
        head(1, grpc_encoding="gzip") + data(1, message(b"no gzip", compressed=1)),
        StatusCode.INVALID_ARGUMENT,
    ),
    "compressed, but cut off": (
        head(1, grpc_encoding="gzip") + data(1, message(gzip.compress(b"x" * 99)[:-9], compressed=1)),
        StatusCode.INVALID_ARGUMENT,
    ),
    "a bomb": (
        head(1, grpc_encoding="gzip") + data(1, message(gzip.compress(bytes(10 * MIB)), compressed=1)[:16_000]),
        StatusCode.RESOURCE_EXHAUSTED,
    ),
    "an unknown compression": (head(1, grpc_encoding="snappy") + data(1, message(b"")), StatusCode.UNIMPLEMENTED),
    "a content type of the web": (head(1, content_type="text/html") + data(1, b""), 415),
    "a timeout that is none": (head(1, grpc_timeout="soon") + data(1, message(b"")), ErrorCode.PROTOCOL_ERROR),
    "a header of HTTP/1": (head(1, connection="keep-alive"), ErrorCode.PROTOCOL_ERROR),
    "data beyond the window": (
        head(1, path="/t.T/ignore") + data(1, message(bytes(16_000)), flags=0) * 70,
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_mistake_ends_its_call_and_the_connection_lives(port: int, mistake: str) -> None:
    sent, end = MISTAKES[mistake]
    async with calling(port) as caller:
        caller.send(sent)
        assert await caller.end_of(1) == end
        caller.send(head(3), data(3, message(b"next")))
        assert await caller.end_of(3) is StatusCode.OK


async def test_a_stream_that_ends_within_a_message_is_invalid(port: int) -> None:
    async with calling(port) as caller:
        caller.send(head(1, path="/t.T/chat"), data(1, message(b"begun")[:-1]))
        assert await caller.end_of(1) is StatusCode.INVALID_ARGUMENT


async def test_a_refusal_fits_the_frames_that_every_caller_takes(port: int) -> None:
    async with calling(port) as caller:
        caller.send(head(1, path="/" + "\1" * 7000), data(1, message(b"")))
        assert await caller.end_of(1) is StatusCode.UNIMPLEMENTED
        assert caller.longest < 8192


FRAMES = st.builds(
    frame,
    st.integers(0, 12),
    st.integers(0, 255),
    st.sampled_from([0, 1, 3, 5, 2]),
    st.binary(max_size=40) | st.sampled_from([encode_literals(HEAD), message(b"x"), bytes(4), bytes(8)]),
)


async def test_any_frames_in_any_order_leave_the_server_as_it_was(lean: Any) -> None:
    async with lean() as port:
        loop = asyncio.get_running_loop()
        failures: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _loop, context: failures.append(context))

        async def send(sent: list[bytes]) -> None:
            async with calling(port) as caller:
                caller.send(*sent)
                caller.writer.write_eof()
                async with asyncio.timeout(IN_TIME):
                    async for _ in caller.frames():
                        pass

        @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(FRAMES, max_size=8))
        def attack(sent: list[bytes]) -> None:
            asyncio.run_coroutine_threadsafe(send(sent), loop).result()

        await asyncio.to_thread(attack)
        assert not failures
        assert await echoes(port)
