"""A server that breaks HTTP/2 or gRPC ends its own call, never the process."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from gateway.grpc_unary import RpcError, UnaryChannel
from grpc import StatusCode
from service_runtime.http2.frames import (
    END_HEADERS,
    END_STREAM,
    PREFACE,
    ErrorCode,
    Frame,
    Setting,
    frame,
    settings,
    window_update,
)
from service_runtime.http2.header_blocks import encode_literals

pytestmark = pytest.mark.requirement("GATEWAY-002")

Answer = Callable[[int], bytes]


def headers(stream: int, *pairs: tuple[str, str], end: bool = False) -> bytes:
    return frame(Frame.HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, encode_literals(pairs))


def message(payload: bytes, *, compressed: int = 0) -> bytes:
    return struct.pack(">BL", compressed, len(payload)) + payload


def good(stream: int) -> bytes:
    return (
        headers(stream, (":status", "200"))
        + frame(Frame.DATA, 0, stream, message(b"ok"))
        + headers(stream, ("grpc-status", "0"), end=True)
    )


@asynccontextmanager
async def server(answer: Answer, *, first: bytes = b"", max_message_bytes: int = 1000) -> AsyncIterator[UnaryChannel]:
    """A server of raw frames that sends `answer(stream)` to each request it has read whole."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(len(PREFACE)) == PREFACE
        writer.write(settings([]) + first)
        try:
            while True:
                head = await reader.readexactly(9)
                await reader.readexactly(int.from_bytes(head[:3], "big"))
                if head[3] == Frame.DATA and head[4] & END_STREAM:
                    writer.write(answer(int.from_bytes(head[5:], "big")))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has closed, as it should
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    channel = UnaryChannel(f"127.0.0.1:{listening.sockets[0].getsockname()[1]}", max_message_bytes=max_message_bytes)
    try:
        yield channel
    finally:
        await channel.aclose()
        listening.close()


HOSTILE: dict[str, tuple[Answer, StatusCode]] = {
    "bytes that are no frames": (lambda _: b"\xff" * 64, StatusCode.UNAVAILABLE),
    "a frame larger than was allowed": (
        lambda s: struct.pack(">HBBBL", 0x0100, 0, Frame.DATA, 0, s),
        StatusCode.UNAVAILABLE,
    ),
    "a continuation of nothing": (lambda s: frame(Frame.CONTINUATION, 0, s, b""), StatusCode.UNAVAILABLE),
    "a header block that is interrupted": (
        lambda s: frame(Frame.HEADERS, 0, s, b"") + frame(Frame.DATA, 0, s, b""),
        StatusCode.UNAVAILABLE,
    ),
    "a header block without end": (
        lambda s: frame(Frame.HEADERS, 0, s, b"") + frame(Frame.CONTINUATION, 0, s, b"\0" * 16_000) * 6,
        StatusCode.UNAVAILABLE,
    ),
    "a header that refers to a table that we forbade": (
        lambda s: frame(Frame.HEADERS, END_HEADERS, s, b"\xff\x80\x01"),
        StatusCode.UNAVAILABLE,
    ),
    "padding longer than the frame": (
        lambda s: headers(s, (":status", "200")) + frame(Frame.DATA, 0x8, s, b"\x09\0"),
        StatusCode.UNAVAILABLE,
    ),
    "a push": (lambda s: frame(Frame.PUSH_PROMISE, END_HEADERS, s, b"\0\0\0\x02"), StatusCode.UNAVAILABLE),
    "settings of a wrong length": (lambda _: frame(Frame.SETTINGS, 0, 0, b"\0"), StatusCode.UNAVAILABLE),
    "a goodbye": (lambda _: frame(Frame.GOAWAY, 0, 0, struct.pack(">LL", 0, 0)), StatusCode.UNAVAILABLE),
    "a refusal": (
        lambda s: frame(Frame.RST_STREAM, 0, s, struct.pack(">L", ErrorCode.REFUSED_STREAM)),
        StatusCode.UNAVAILABLE,
    ),
    "a reset": (lambda s: frame(Frame.RST_STREAM, 0, s, struct.pack(">L", 2)), StatusCode.INTERNAL),
    "an answer without gRPC status": (lambda s: headers(s, (":status", "503"), end=True), StatusCode.UNAVAILABLE),
    "a page of a web server": (lambda s: headers(s, (":status", "404"), end=True), StatusCode.UNIMPLEMENTED),
    "a status that is no number": (
        lambda s: headers(s, (":status", "200"), ("grpc-status", "ok"), end=True),
        StatusCode.UNKNOWN,
    ),
    "a compressed message that nobody asked for": (
        lambda s: (
            headers(s, (":status", "200"))
            + frame(Frame.DATA, 0, s, message(b"zip", compressed=1))
            + headers(s, ("grpc-status", "0"), end=True)
        ),
        StatusCode.INTERNAL,
    ),
    "success without a message": (
        lambda s: headers(s, (":status", "200"), ("grpc-status", "0"), end=True),
        StatusCode.INTERNAL,
    ),
    "two messages": (
        lambda s: (
            headers(s, (":status", "200"))
            + frame(Frame.DATA, 0, s, message(b"1") + message(b"2"))
            + headers(s, ("grpc-status", "0"), end=True)
        ),
        StatusCode.INTERNAL,
    ),
    "an answer over the limit": (
        lambda s: headers(s, (":status", "200")) + frame(Frame.DATA, 0, s, bytes(2000)),
        StatusCode.RESOURCE_EXHAUSTED,
    ),
}


@pytest.mark.parametrize("mistake", HOSTILE)
async def test_a_broken_answer_is_an_error_of_its_own_call(mistake: str) -> None:
    answer, code = HOSTILE[mistake]
    answers = iter([answer])

    def answer_once(stream: int) -> bytes:
        return next(answers, good)(stream)

    async with server(answer_once) as channel:
        with pytest.raises(RpcError) as broken:
            await channel.call("/t.T/x", b"", seconds=5)
        assert broken.value.code is code
        assert await channel.call("/t.T/x", b"", seconds=5) == b"ok"


async def test_a_server_with_tiny_windows_gets_the_request_piece_by_piece() -> None:
    """Flow control: nothing may be sent beyond the window, and everything once it opens."""
    received = bytearray()
    sizes: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(PREFACE))
        writer.write(settings([(Setting.INITIAL_WINDOW_SIZE, 10)]))
        while not reader.at_eof():
            head = await reader.readexactly(9)
            payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
            if head[3] != Frame.DATA:
                continue
            received.extend(payload)
            sizes.append(len(payload))
            stream = int.from_bytes(head[5:], "big")
            if head[4] & END_STREAM:
                writer.write(good(stream))
                writer.close()
                return
            credit = len(payload) + 7
            writer.write(window_update(stream, credit) + window_update(0, credit))

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    channel = UnaryChannel(f"127.0.0.1:{listening.sockets[0].getsockname()[1]}")
    try:
        body = bytes(range(256)) * 300  # over the default window of 65,535 bytes
        assert await channel.call("/t.T/x", body, seconds=5) == b"ok"
        assert bytes(received[5:]) == body
        # What left before the settings arrived came in large frames, the rest in pieces of the window.
        assert sizes[-2] < 2000
    finally:
        await channel.aclose()
        listening.close()


async def test_a_port_where_nobody_listens_is_unavailable_and_safe_to_retry() -> None:
    listening = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    listening.close()
    await listening.wait_closed()
    with pytest.raises(RpcError) as refused:
        await UnaryChannel(f"127.0.0.1:{port}").call("/t.T/x", b"", seconds=1)
    assert (refused.value.code, refused.value.processed) == (StatusCode.UNAVAILABLE, False)


async def test_a_server_that_reads_no_further_does_not_keep_the_channel_from_closing() -> None:
    transports: list[asyncio.WriteTransport] = []

    async def stand_still(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(settings([(Setting.INITIAL_WINDOW_SIZE, 1 << 30)]) + window_update(0, 1 << 30))
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        transports.append(writer.transport)

    listening = await asyncio.start_server(stand_still, "127.0.0.1", 0)
    channel = UnaryChannel(f"127.0.0.1:{listening.sockets[0].getsockname()[1]}")
    with pytest.raises(RpcError) as late:
        await channel.call("/t.T/x", bytes(64 << 20), seconds=0.5)
    assert late.value.code is StatusCode.DEADLINE_EXCEEDED
    async with asyncio.timeout(5):
        await channel.aclose()
    transports[0].abort()
    listening.close()
