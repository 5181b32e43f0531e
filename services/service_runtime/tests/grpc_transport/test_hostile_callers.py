"""A caller who breaks the rules loses its own call or connection; the server and its other callers do not."""

import asyncio
import gzip
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc import StatusCode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from service_runtime.grpc_transport import server as server_module
from service_runtime.http2 import frames
from service_runtime.http2.frames import END_HEADERS, END_STREAM, PADDED, ErrorCode, Frame, frame
from service_runtime.http2.header_blocks import HeaderDecoder, encode_literals

pytestmark = pytest.mark.requirement("RUNTIME-012")

MIB = 1 << 20
GREETING = frames.PREFACE + frames.settings([])
HEAD = ((":method", "POST"), (":scheme", "http"), (":path", "/t.T/echo"), ("content-type", "application/grpc"))
IN_TIME = 5.0


def head(stream: int, *, path: str = "/t.T/echo", flags: int = END_HEADERS, **fields: str) -> bytes:
    named = {**dict(HEAD), ":path": path, **{name.replace("_", "-"): value for name, value in fields.items()}}
    return frame(Frame.HEADERS, flags, stream, encode_literals(named.items()))


def message(payload: bytes, *, compressed: int = 0) -> bytes:
    return struct.pack(">BL", compressed, len(payload)) + payload


def data(stream: int, payload: bytes, flags: int = END_STREAM) -> bytes:
    return frame(Frame.DATA, flags, stream, payload)


class Caller:
    """A caller that speaks in frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self._decoder = HeaderDecoder()

    def send(self, *sent: bytes) -> None:
        self.writer.write(b"".join(sent))

    async def frames(self) -> AsyncIterator[tuple[int, int, int, bytes]]:
        """Yield kind, flags, stream and payload until the server closes."""
        try:
            while True:
                length, kind, flags, stream = frames.read_frame_header(await self._reader.readexactly(9), 0)
                yield kind, flags, stream, await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return

    async def until_closed(self) -> ErrorCode | None:
        """Wait for the end of the connection; return the reason of the last GOAWAY."""
        reason = None
        async with asyncio.timeout(IN_TIME):
            async for kind, _, _, payload in self.frames():
                if kind == Frame.GOAWAY:
                    reason = ErrorCode(struct.unpack(">LL", payload[:8])[1])
        return reason

    async def end_of(self, wanted: int) -> StatusCode | ErrorCode | int:
        """Wait for the end of a stream: its gRPC status, its HTTP status or the reason of its reset."""
        seen: dict[bytes, bytes] = {}
        async with asyncio.timeout(IN_TIME):
            async for kind, flags, stream, payload in self.frames():
                if kind == Frame.HEADERS:
                    seen |= dict(self._decoder.decode(payload)) if stream == wanted else {}
                if stream == wanted and kind == Frame.RST_STREAM:
                    return ErrorCode(struct.unpack(">L", payload)[0])
                if stream == wanted and flags & END_STREAM:
                    break
        if b"grpc-status" not in seen:
            return int(seen[b":status"])
        return next(code for code in StatusCode if code.value[0] == int(seen[b"grpc-status"]))


@asynccontextmanager
async def calling(port: int, *, greeted: bool = True) -> AsyncIterator[Caller]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    caller = Caller(reader, writer)
    if greeted:
        caller.send(GREETING)
    try:
        yield caller
    finally:
        writer.transport.abort()


async def echoes(port: int) -> bool:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        ask: Any = channel.unary_unary("/t.T/echo")
        return bool(await ask(b"served", timeout=IN_TIME) == b"served")


@pytest.fixture
async def port(lean: Any) -> AsyncIterator[int]:
    async with lean() as listening:
        yield listening
        assert await echoes(listening), "others are served whatever a test did"


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


@pytest.mark.parametrize("refused", [False, True])
async def test_the_same_bytes_mean_another_header_once_the_table_has_changed(port: int, *, refused: bool) -> None:
    """Header blocks are remembered; one that a refused request brought changes the table all the same."""
    into_table = b"\x44" + encode_literals([("", "/t.T/refuse")])[2:]  # :path, which becomes index 62
    other = b"\x44" + encode_literals([("", "/t.T/echo")])[2:]
    rest = b"\x83\x86" + encode_literals([("content-type", "application/grpc")])
    spoiled = encode_literals([("connection", "close")]) if refused else b""
    async with calling(port) as caller:
        ends = []
        blocks = [rest[:2] + into_table + rest[2:], rest[:2] + b"\xbe" + rest[2:]]
        blocks += [blocks[1], rest[:2] + other + rest[2:] + spoiled, blocks[1]]
        for stream, block in zip(range(1, 11, 2), blocks, strict=True):
            caller.send(frame(Frame.HEADERS, END_HEADERS, stream, block), data(stream, message(b"")))
            ends.append(await caller.end_of(stream))
    changed = ErrorCode.PROTOCOL_ERROR if refused else StatusCode.OK
    assert ends == [*[StatusCode.NOT_FOUND] * 3, changed, StatusCode.OK]


async def test_padding_and_priorities_are_skipped(port: int) -> None:
    async with calling(port) as caller:
        block = encode_literals(HEAD)
        caller.send(
            frame(
                Frame.HEADERS,
                END_HEADERS | PADDED | frames.PRIORITY,
                1,
                b"\x03" + bytes(4) + b"\x10" + block + bytes(3),
            ),
            data(1, b"\x02" + message(b"padded") + bytes(2), flags=END_STREAM | PADDED),
        )
        assert await caller.end_of(1) is StatusCode.OK


async def test_a_caller_who_takes_nothing_holds_its_answer_no_longer_than_its_deadline(port: int) -> None:
    async with calling(port, greeted=False) as caller:
        caller.send(frames.PREFACE + frames.settings([(frames.Setting.INITIAL_WINDOW_SIZE, 0)]))
        caller.send(head(1, grpc_timeout="300m"), data(1, message(b"x" * 100)))
        assert await caller.end_of(1) is ErrorCode.CANCEL


async def test_an_answer_goes_piece_by_piece_through_a_tiny_window(port: int) -> None:
    async with calling(port, greeted=False) as caller:
        caller.send(frames.PREFACE + frames.settings([(frames.Setting.INITIAL_WINDOW_SIZE, 10)]))
        caller.send(head(1), data(1, message(bytes(range(100)))))
        received = bytearray()
        async with asyncio.timeout(IN_TIME):
            async for kind, flags, _, payload in caller.frames():
                if kind == Frame.DATA:
                    received += payload
                    caller.send(frames.window_update(1, len(payload)))
                if kind == Frame.HEADERS and flags & END_STREAM:
                    break
        assert received == message(bytes(range(100)))


async def test_a_caller_who_asks_for_answers_and_reads_none_is_let_go(port: int) -> None:
    async with calling(port, greeted=False) as caller:
        caller.send(frames.PREFACE + frames.settings([(frames.Setting.INITIAL_WINDOW_SIZE, frames.MAX_WINDOW)]))
        caller.send(frames.window_update(0, frames.MAX_WINDOW - frames.DEFAULT_WINDOW))
        caller.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for stream in range(1, 201, 2):
            caller.send(head(stream, path="/t.T/pour"), data(stream, message(b"64")))
        assert await echoes(port)


@pytest.mark.parametrize(
    "begun",
    [b"", frames.PREFACE[:10], GREETING + frame(Frame.HEADERS, 0, 1, b"")],
    ids=["nothing", "half a preface", "half a header block"],
)
async def test_a_caller_who_never_finishes_a_head_is_let_go(
    lean: Any, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(server_module, "_SWEEP_SECONDS", 0.05)
    async with lean() as port, calling(port, greeted=False) as caller:
        caller.send(begun)
        await caller.until_closed()
        assert await echoes(port)


async def test_a_request_that_never_ends_is_ended(lean: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(server_module, "_REQUEST_SECONDS", 0.1)
    async with lean() as port, calling(port) as caller:
        caller.send(head(1), data(1, message(b"begun")[:-1], flags=0))
        assert await caller.end_of(1) is StatusCode.DEADLINE_EXCEEDED


async def test_more_bytes_than_the_budget_are_refused_until_some_calls_have_ended(lean: Any) -> None:
    async with lean(max_held_bytes=100_000) as port, calling(port) as caller:
        for stream in range(1, 15, 2):
            caller.send(head(stream, path="/t.T/hold"), data(stream, message(bytes(15_000))))
        assert await caller.end_of(13) is StatusCode.UNAVAILABLE
        caller.send(frames.reset(1, ErrorCode.CANCEL), head(15), data(15, message(bytes(5_000))))
        assert await caller.end_of(15) is StatusCode.OK


async def test_a_call_that_was_on_its_way_when_the_server_said_goodbye_is_answered(lean: Any, service: Any) -> None:
    async with asyncio.TaskGroup() as tasks, lean(grace=IN_TIME) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        caller = Caller(reader, writer)
        caller.send(GREETING, head(1, path="/t.T/hold"), data(1, message(b"")))
        await asyncio.wait_for(service.reached.wait(), IN_TIME)

        async def late() -> list[int]:
            last = []
            async for kind, _, stream, payload in caller.frames():
                if kind == Frame.GOAWAY:
                    last.append(struct.unpack(">LL", payload[:8])[0])
                if kind == Frame.PING:  # the server asks whether more is on its way: it is
                    caller.send(head(3), data(3, message(b"late")), frame(Frame.PING, frames.ACK, 0, payload))
                if kind == Frame.HEADERS and stream == 3:
                    service.released.set()
            return last

        said = tasks.create_task(late())
    assert said.result() == [frames.LAST_STREAM, 3]
    writer.close()


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
