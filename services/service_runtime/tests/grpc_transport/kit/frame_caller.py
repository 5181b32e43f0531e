"""A caller that speaks in frames, to say what no library lets it say."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc import StatusCode
from service_runtime.http2 import frames
from service_runtime.http2.frames import END_HEADERS, END_STREAM, ErrorCode, Frame, frame
from service_runtime.http2.header_blocks import HeaderDecoder, encode_literals

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
        self.longest = 0

    def send(self, *sent: bytes) -> None:
        self.writer.write(b"".join(sent))

    async def frames(self) -> AsyncIterator[tuple[int, int, int, bytes]]:
        """Yield kind, flags, stream and payload until the server closes."""
        try:
            while True:
                length, kind, flags, stream = frames.read_frame_header(await self._reader.readexactly(9), 0)
                self.longest = max(self.longest, length)
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

    async def first_of(self, wanted: int) -> int:
        """Wait for the first frame of a stream; return its kind."""
        async with asyncio.timeout(IN_TIME):
            return await anext(kind async for kind, _, stream, _ in self.frames() if stream == wanted)

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
