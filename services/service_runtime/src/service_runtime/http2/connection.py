"""What both ends of an HTTP/2 connection share: frames in, frames out, settings, pings, flow control."""

import asyncio
import struct
from abc import abstractmethod
from collections.abc import Callable
from typing import cast

from service_runtime.http2 import frames
from service_runtime.http2.frames import ErrorCode, Frame, ProtocolError, Setting
from service_runtime.http2.header_blocks import MAX_HEADER_BYTES
from service_runtime.http2.sending import SendingHalf, StreamT

_MAX_CONTINUATIONS = 16
_WINDOW_TOP_UP = 1 << 20


class Http2Connection(SendingHalf[StreamT]):
    """Never blocks, keeps nothing of a finished stream."""

    def __init__(self) -> None:
        super().__init__()
        self._incoming = b""
        self._peer_max_streams = frames.LAST_STREAM
        self._header_block: tuple[int, int, bytearray, int] | None = None
        self._control_frames = 0
        self._uncredited = 0
        self._handlers: dict[int, Callable[[int, int, bytes], None]] = {
            Frame.DATA: self._receive_data,
            Frame.HEADERS: self._receive_headers,
            Frame.CONTINUATION: self._continue_headers,
            Frame.PRIORITY: self._receive_priority,
            Frame.WINDOW_UPDATE: self._receive_window,
            Frame.RST_STREAM: self._receive_reset,
            Frame.SETTINGS: self._receive_settings,
            Frame.PING: self._receive_ping,
            Frame.GOAWAY: self._receive_goaway,
            Frame.PUSH_PROMISE: self._receive_push,
        }

    # What each end does in its own way.

    @abstractmethod
    def _greeting(self) -> bytes:
        """Return what is sent first."""

    @abstractmethod
    def _receive_data(self, flags: int, stream_id: int, payload: bytes) -> None: ...

    @abstractmethod
    def _receive_block(self, flags: int, stream_id: int, block: bytes) -> None:
        """Handle a whole header block; `flags` are those of its HEADERS frame."""

    @abstractmethod
    def _stream_reset(self, stream_id: int, reason: int) -> None: ...

    @abstractmethod
    def _peer_leaves(self, last_stream: int) -> None: ...

    @abstractmethod
    def _is_idle(self, stream_id: int) -> bool:
        """Say whether a stream was never opened: most frames about it break the protocol."""

    @abstractmethod
    def _end(self, reason: str) -> None:
        """End every stream: the connection is gone."""

    def _ping_answered(self) -> None:
        """Hear the answer of a ping."""

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the peer."""
        self._transport = cast("asyncio.Transport", transport)
        self._write(self._greeting())

    def connection_lost(self, exc: Exception | None) -> None:
        """End every stream that was open."""
        self._transport = None
        self._end("the connection was lost" if exc else "the peer closed the connection")

    def data_received(self, data: bytes) -> None:
        """Handle every whole frame; keep the rest for the next time."""
        try:
            self._incoming = self._receive_frames(self._incoming + data if self._incoming else data)
        except (ProtocolError, struct.error) as error:
            code = error.code if isinstance(error, ProtocolError) else ErrorCode.FRAME_SIZE_ERROR
            self.break_off(f"the peer broke HTTP/2: {error}", code)

    def break_off(self, reason: str, code: ErrorCode) -> None:
        """Close at once, saying why."""
        self._write(frames.goaway(self._last_stream_seen(), code))
        self.close(reason)

    def close(self, reason: str = "the connection was closed") -> None:
        """End every stream and close."""
        self._incoming = b""
        self._end(reason)
        if self._transport is not None:
            self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Let go of a connection whose peer does not take what was written before it was closed."""
        if self._transport is not None:
            self._transport.abort()

    def _last_stream_seen(self) -> int:
        return 0

    # Frames in.

    def _receive_frames(self, buffer: bytes) -> bytes:
        position, end = 0, len(buffer)
        while end - position >= frames.FRAME_HEADER_BYTES:
            length, kind, flags, stream_id = frames.read_frame_header(buffer, position)
            if length > frames.DEFAULT_FRAME_BYTES:
                raise ProtocolError("a frame larger than allowed", ErrorCode.FRAME_SIZE_ERROR)
            start = position + frames.FRAME_HEADER_BYTES
            position = start + length
            if position > end:
                return buffer[start - frames.FRAME_HEADER_BYTES :]
            if self._header_block is not None and kind != Frame.CONTINUATION:
                raise ProtocolError("a header block was interrupted")
            handler = self._handlers.get(kind)
            if handler is not None:  # unknown frame types are ignored, RFC 9113 section 5.5
                self._handle(handler, flags, stream_id, buffer[start:position])
            if self._transport is None or self._transport.is_closing():
                return b""
        return buffer[position:]

    def _handle(self, handler: Callable[[int, int, bytes], None], flags: int, stream_id: int, payload: bytes) -> None:
        try:
            handler(flags, stream_id, payload)
        except ProtocolError as error:
            if not error.stream:
                raise
            self._write(frames.reset(error.stream, error.code))
            self._stream_reset(error.stream, error.code)

    def _credit_connection(self, size: int) -> None:
        """Let the peer send as much again on all streams together; what one may hold is bounded elsewhere."""
        self._uncredited += size
        if self._uncredited >= _WINDOW_TOP_UP:
            self._write(frames.window_update(0, self._uncredited))
            self._uncredited = 0

    def _receive_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id == 0:
            raise ProtocolError("headers of no stream")
        block = frames.unpad(flags, payload) if flags & (frames.PADDED | frames.PRIORITY) else payload
        if flags & frames.PRIORITY:
            priority = payload[1:] if flags & frames.PADDED else payload
            _check_dependency(stream_id, priority)
        if flags & frames.END_HEADERS:
            self._receive_block(flags, stream_id, block)
        else:
            self._header_block = (stream_id, flags, bytearray(block), 0)

    def _continue_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._header_block is None or self._header_block[0] != stream_id:
            raise ProtocolError("a continuation of nothing")
        _, first_flags, block, count = self._header_block
        block += payload
        if len(block) > MAX_HEADER_BYTES or count >= _MAX_CONTINUATIONS:
            raise ProtocolError("headers larger than allowed", ErrorCode.ENHANCE_YOUR_CALM)
        self._header_block = (stream_id, first_flags, block, count + 1)
        if flags & frames.END_HEADERS:
            self._header_block = None
            self._receive_block(first_flags, stream_id, bytes(block))

    def _receive_priority(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._control_frames += 1
        if stream_id == 0:
            raise ProtocolError("a priority of no stream")
        if len(payload) != 5:  # noqa: PLR2004 - RFC 9113 section 6.3
            raise ProtocolError("a priority of a wrong length", ErrorCode.FRAME_SIZE_ERROR, stream=stream_id)
        _check_dependency(stream_id, payload)

    def _receive_reset(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._control_frames += 1
        (reason,) = struct.unpack(">L", payload)
        if stream_id == 0 or self._is_idle(stream_id):
            raise ProtocolError("a reset of a stream that never was")
        self._stream_reset(stream_id, reason)

    def _receive_goaway(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ProtocolError("a goodbye of one stream")
        self._peer_leaves(struct.unpack(">L", payload[:4])[0] & frames.LAST_STREAM)

    def _receive_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._control_frames += 1
        if stream_id:
            raise ProtocolError("a ping of one stream")
        if len(payload) != 8:  # noqa: PLR2004 - RFC 9113 section 6.7
            raise ProtocolError("a ping of a wrong length", ErrorCode.FRAME_SIZE_ERROR)
        if flags & frames.ACK:
            self._ping_answered()
        else:
            self._write(frames.frame(Frame.PING, frames.ACK, 0, payload))

    def _receive_push(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise ProtocolError("a push that was switched off")

    def _receive_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._control_frames += 1
        if stream_id:
            raise ProtocolError("settings of one stream")
        if flags & frames.ACK:
            if payload:
                raise ProtocolError("an acknowledgement with settings", ErrorCode.FRAME_SIZE_ERROR)
            return
        # The last value of each counts; to obey a thousand in between would be work for a thousand frames.
        for key, value in dict(frames.parse_settings(payload)).items():
            if key == Setting.INITIAL_WINDOW_SIZE:
                self._resize_windows(value)
            elif key == Setting.MAX_FRAME_SIZE:
                self._frame_bytes = value
            elif key == Setting.MAX_CONCURRENT_STREAMS:
                self._peer_max_streams = value
        self._write(frames.frame(Frame.SETTINGS, frames.ACK, 0))  # before any data that only the new windows allow
        for stream in [stream for stream in self._streams.values() if stream.unsent and not stream.waits]:
            self._resume(stream)

    def _resize_windows(self, size: int) -> None:
        change, self._initial_window = size - self._initial_window, size
        for stream in self._streams.values():
            stream.window += change
            if stream.window > frames.MAX_WINDOW:
                raise ProtocolError("a window over 2^31 - 1", ErrorCode.FLOW_CONTROL_ERROR)

    def _receive_window(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._control_frames += 1
        (increment,) = struct.unpack(">L", payload)
        increment &= frames.MAX_WINDOW
        if not increment:
            raise ProtocolError("a window update of nothing", stream=stream_id)
        if stream_id == 0:
            self._window += increment
            if self._window > frames.MAX_WINDOW:
                raise ProtocolError("a window over 2^31 - 1", ErrorCode.FLOW_CONTROL_ERROR)
            self._send_waiting()
        elif (stream := self._streams.get(stream_id)) is not None:
            stream.widen(increment)
            if stream.unsent:
                self._resume(stream)
        elif self._is_idle(stream_id):
            raise ProtocolError("a window of a stream that never was")


def _check_dependency(stream_id: int, priority: bytes) -> None:
    if int.from_bytes(priority[:4], "big") & frames.LAST_STREAM == stream_id:
        raise ProtocolError("a stream that depends on itself", stream=stream_id)
