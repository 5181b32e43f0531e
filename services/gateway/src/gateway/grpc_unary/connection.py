"""One HTTP/2 connection that carries gRPC unary calls."""

import asyncio
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from grpc import StatusCode
from hpack import HPACKError

from gateway.grpc_unary import frames
from gateway.grpc_unary.answers import MAX_HEADER_BYTES, RpcError, decode_headers, fail, read_message, reset_error
from gateway.grpc_unary.frames import ErrorCode, Frame, ProtocolError, Setting

_LAST_STREAM = 2**31 - 1
_WINDOW_TOP_UP = 1 << 20


@dataclass(slots=True)
class _Stream:
    answer: asyncio.Future[bytes]
    window: int
    unsent: memoryview = field(default_factory=lambda: memoryview(b""))
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)


class Connection(asyncio.Protocol):
    """Frames in, frames out; one future per call. Never blocks, keeps nothing of a finished call."""

    def __init__(self, *, max_message_bytes: int) -> None:
        self._max_message_bytes = max_message_bytes
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._outgoing: list[bytes] = []
        self._incoming = b""
        self._streams: dict[int, _Stream] = {}
        self._next_stream = 1
        self._blocked: deque[int] = deque()
        self._window = frames.DEFAULT_WINDOW
        self._initial_window = frames.DEFAULT_WINDOW
        self._frame_bytes = frames.DEFAULT_FRAME_BYTES
        self._max_streams = _LAST_STREAM
        self._unreported = 0
        self._header_block: tuple[int, int, bytearray] | None = None
        self._last_heard = time.monotonic()
        self._handlers: dict[int, Callable[[int, int, bytes], None]] = {
            Frame.DATA: self._receive_data,
            Frame.HEADERS: self._receive_headers,
            Frame.CONTINUATION: self._continue_headers,
            Frame.WINDOW_UPDATE: self._receive_window,
            Frame.RST_STREAM: self._receive_reset,
            Frame.SETTINGS: self._receive_settings,
            Frame.PING: self._receive_ping,
            Frame.GOAWAY: self._receive_goaway,
            Frame.PUSH_PROMISE: self._receive_push,
        }
        self.usable = True
        self.closed: asyncio.Future[None] = self._loop.create_future()

    @property
    def busy(self) -> int:
        """How many calls are in flight."""
        return len(self._streams)

    @property
    def silent_for(self) -> float:
        """Seconds since the peer was last heard."""
        return time.monotonic() - self._last_heard

    @property
    def full(self) -> bool:
        """Whether the peer wants no further call at a time."""
        return len(self._streams) >= self._max_streams

    # The calls.

    def start(self, headers: bytes, message: bytes) -> tuple[int, asyncio.Future[bytes]]:
        """Send a request; the future gives the message of the answer or an RpcError."""
        stream_id = self._next_stream
        self._next_stream += 2
        if self._next_stream >= _LAST_STREAM:
            self.usable = False
        stream = _Stream(self._loop.create_future(), self._initial_window)
        self._streams[stream_id] = stream
        self._write(frames.frame(Frame.HEADERS, frames.END_HEADERS, stream_id, headers))
        stream.unsent = memoryview(struct.pack(">BL", 0, len(message)) + message)
        self._send_data(stream_id, stream)
        return stream_id, stream.answer

    def cancel(self, stream_id: int) -> None:
        """Tell the peer that nobody waits for this call any more."""
        if self._streams.pop(stream_id, None) is not None:
            self._write(frames.frame(Frame.RST_STREAM, 0, stream_id, struct.pack(">L", ErrorCode.CANCEL)))
            self._retire()

    def ping(self) -> None:
        """Ask for a sign of life; any frame that comes back renews `silent_for`."""
        self._write(frames.frame(Frame.PING, 0, 0, bytes(8)))

    def close(self, reason: str = "the connection was closed") -> None:
        """Close; calls in flight end UNAVAILABLE."""
        self._fail_all(reason)
        if self._transport is not None:
            self._flush()
            self._transport.close()

    def abort(self) -> None:
        """Let go of a connection whose peer does not take what was written before it was closed."""
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the server."""
        self._transport = cast("asyncio.Transport", transport)
        self._write(frames.greeting(max_header_bytes=MAX_HEADER_BYTES))

    def connection_lost(self, exc: Exception | None) -> None:
        """End every call that was in flight."""
        self._transport = None
        self._fail_all("the connection was lost" if exc else "the server closed the connection")
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Handle every whole frame; keep the rest for the next time."""
        self._last_heard = time.monotonic()
        try:
            self._incoming = self._receive_frames(self._incoming + data if self._incoming else data)
        except (ProtocolError, HPACKError, struct.error) as error:
            self._write(frames.frame(Frame.GOAWAY, 0, 0, struct.pack(">LL", 0, ErrorCode.PROTOCOL_ERROR)))
            self.close(f"the server broke HTTP/2: {error}")

    # Frames in.

    def _receive_frames(self, buffer: bytes) -> bytes:
        position, end = 0, len(buffer)
        while end - position >= frames.FRAME_HEADER_BYTES:
            length = int.from_bytes(buffer[position : position + 3], "big")
            if length > frames.DEFAULT_FRAME_BYTES:
                raise ProtocolError("a frame larger than allowed")
            start = position + frames.FRAME_HEADER_BYTES
            if end - start < length:
                break
            stream_id = int.from_bytes(buffer[position + 5 : start], "big") & _LAST_STREAM
            self._receive(buffer[position + 3], buffer[position + 4], stream_id, buffer[start : start + length])
            position = start + length
        return buffer[position:]

    def _receive(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if self._header_block is not None and kind != Frame.CONTINUATION:
            raise ProtocolError("a header block was interrupted")
        handler = self._handlers.get(kind)
        if handler is not None:  # unknown frame types are ignored, RFC 9113 section 5.5
            handler(flags, stream_id, payload)

    def _receive_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._unreported += len(payload)
        if self._unreported >= _WINDOW_TOP_UP:
            self._write(frames.window_update(0, self._unreported))
            self._unreported = 0
        stream = self._streams.get(stream_id)
        if stream is None:  # cancelled while the answer was on its way
            return
        stream.body += frames.unpad(flags, payload) if flags & frames.PADDED else payload
        if len(stream.body) > self._max_message_bytes + 5:
            self.cancel(stream_id)
            limit = f"The answer is larger than {self._max_message_bytes} bytes."
            fail(stream.answer, RpcError(StatusCode.RESOURCE_EXHAUSTED, limit))
        elif flags & frames.END_STREAM:
            self._finish(stream_id)

    def _receive_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._collect_headers(flags, stream_id, bytearray(frames.unpad(flags, payload)), flags)

    def _collect_headers(self, flags: int, stream_id: int, block: bytearray, first_flags: int) -> None:
        if len(block) > MAX_HEADER_BYTES:
            raise ProtocolError("headers larger than allowed")
        if not flags & frames.END_HEADERS:
            self._header_block = (stream_id, first_flags, block)
            return
        self._header_block = None
        headers = decode_headers(bytes(block))
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.headers.update(headers)
            if first_flags & frames.END_STREAM:
                self._finish(stream_id)

    def _continue_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._header_block is None or self._header_block[0] != stream_id:
            raise ProtocolError("a continuation of nothing")
        _, first_flags, block = self._header_block
        self._collect_headers(flags, stream_id, block + payload, first_flags)

    def _receive_reset(self, _flags: int, stream_id: int, payload: bytes) -> None:
        (reason,) = struct.unpack(">L", payload)
        stream = self._streams.pop(stream_id, None)
        if stream is None:
            return
        fail(stream.answer, reset_error(reason))

    def _receive_goaway(self, _flags: int, _stream_id: int, payload: bytes) -> None:
        self.usable = False
        last_processed = struct.unpack(">L", payload[:4])[0] & _LAST_STREAM
        for stream_id in [number for number in self._streams if number > last_processed]:
            stream = self._streams.pop(stream_id)
            fail(stream.answer, RpcError(StatusCode.UNAVAILABLE, "the server is going away", processed=False))
        self._retire()

    def _finish(self, stream_id: int) -> None:
        stream = self._streams.pop(stream_id)
        if stream.unsent:  # answered before the request was read whole: the rest is not wanted
            self._write(frames.frame(Frame.RST_STREAM, 0, stream_id, struct.pack(">L", ErrorCode.NO_ERROR)))
        if not stream.answer.done():
            try:
                stream.answer.set_result(read_message(stream.headers, stream.body))
            except RpcError as error:
                stream.answer.set_exception(error)
        self._retire()

    def _retire(self) -> None:
        """Close once the last call of a connection that takes no new ones has ended."""
        if not self.usable and not self._streams:
            self.close()

    def _receive_ping(self, flags: int, _stream_id: int, payload: bytes) -> None:
        if not flags & frames.ACK:
            self._write(frames.frame(Frame.PING, frames.ACK, 0, payload))

    def _receive_push(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise ProtocolError("a push that was switched off")

    def _receive_settings(self, flags: int, _stream_id: int, payload: bytes) -> None:
        if flags & frames.ACK:
            return
        for key, value in frames.parse_settings(payload):
            if key == Setting.INITIAL_WINDOW_SIZE:
                for stream in self._streams.values():
                    stream.window += value - self._initial_window
                self._initial_window = value
            elif key == Setting.MAX_FRAME_SIZE:
                self._frame_bytes = value
            elif key == Setting.MAX_CONCURRENT_STREAMS:
                self._max_streams = value
        self._write(frames.frame(Frame.SETTINGS, frames.ACK, 0))
        self._unblock()

    # Frames out.

    def _send_data(self, stream_id: int, stream: _Stream) -> None:
        while stream.unsent:
            size = min(len(stream.unsent), self._frame_bytes, self._window, stream.window)
            if size <= 0:
                self._blocked.append(stream_id)
                return
            chunk, stream.unsent = stream.unsent[:size], stream.unsent[size:]
            self._window -= size
            stream.window -= size
            self._write(frames.frame(Frame.DATA, 0 if stream.unsent else frames.END_STREAM, stream_id, bytes(chunk)))

    def _receive_window(self, _flags: int, stream_id: int, payload: bytes) -> None:
        increment = struct.unpack(">L", payload)[0] & frames.MAX_WINDOW
        if stream_id == 0:
            self._window += increment
        elif (stream := self._streams.get(stream_id)) is not None:
            stream.window += increment
        self._unblock()

    def _unblock(self) -> None:
        for _ in range(len(self._blocked)):
            stream_id = self._blocked.popleft()
            stream = self._streams.get(stream_id)
            if stream is not None:
                self._send_data(stream_id, stream)

    def _write(self, data: bytes) -> None:
        if not self._outgoing:  # one system call for all that this turn of the loop sends
            self._loop.call_soon(self._flush)
        self._outgoing.append(data)

    def _flush(self) -> None:
        if self._transport is not None and self._outgoing:
            self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()

    def _fail_all(self, reason: str) -> None:
        self.usable = False
        for stream in self._streams.values():
            fail(stream.answer, RpcError(StatusCode.UNAVAILABLE, reason))
        self._streams.clear()
        self._blocked.clear()
