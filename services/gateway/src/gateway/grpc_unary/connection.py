"""One HTTP/2 connection that carries gRPC unary calls."""

import asyncio
import time

from grpc import StatusCode
from service_runtime.grpc_transport.messages import pack
from service_runtime.http2 import frames
from service_runtime.http2.connection import Http2Connection
from service_runtime.http2.frames import ErrorCode, Frame, Setting
from service_runtime.http2.header_blocks import MAX_HEADER_BYTES
from service_runtime.http2.sending import Stream

from gateway.grpc_unary.answers import RpcError, decode_headers, fail, read_message, reset_error


class _Call(Stream):
    """A call that waits for its answer."""

    __slots__ = ("answer", "body", "headers")

    def __init__(self, number: int, window: int, answer: asyncio.Future[bytes]) -> None:
        super().__init__(number, window)
        self.answer = answer
        self.headers: dict[str, str] = {}
        self.body = bytearray()


class Connection(Http2Connection[_Call]):
    """Requests out, answers in; one future per call."""

    def __init__(self, *, max_message_bytes: int) -> None:
        super().__init__()
        self._max_message_bytes = max_message_bytes
        self._next_stream = 1
        self._last_heard = time.monotonic()
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
        return len(self._streams) >= self._peer_max_streams

    # The calls.

    def start(self, headers: bytes, message: bytes) -> tuple[int, asyncio.Future[bytes]]:
        """Send a request; the future gives the message of the answer or an RpcError."""
        call = _Call(self._next_stream, self._initial_window, self._loop.create_future())
        self._next_stream += 2
        if self._next_stream >= frames.LAST_STREAM:
            self.usable = False
        self._streams[call.number] = call
        self._write(frames.frame(Frame.HEADERS, frames.END_HEADERS, call.number, headers))
        call.unsent = memoryview(pack(message))
        self._resume(call)
        return call.number, call.answer

    def cancel(self, stream_id: int) -> None:
        """Tell the peer that nobody waits for this call any more."""
        if self._drop(stream_id) is not None:
            self._write(frames.reset(stream_id, ErrorCode.CANCEL))
            self._retire()

    def leave(self) -> None:
        """Take no further calls; close once those in flight have ended."""
        self.usable = False
        self._retire()

    def ping(self) -> None:
        """Ask for a sign of life; any frame that comes back renews `silent_for`."""
        self._write(frames.frame(Frame.PING, 0, 0, bytes(8)))

    # Frames in.

    def data_received(self, data: bytes) -> None:
        """Note that the peer lives."""
        self._last_heard = time.monotonic()
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """End every call that was in flight."""
        super().connection_lost(exc)
        if not self.closed.done():
            self.closed.set_result(None)

    def _greeting(self) -> bytes:
        """Return preface, settings, and a window that never makes the server wait."""
        wanted = [
            # No dynamic table: equal header blocks are equal bytes, so decoding them can be remembered.
            (Setting.HEADER_TABLE_SIZE, 0),
            (Setting.ENABLE_PUSH, 0),
            (Setting.INITIAL_WINDOW_SIZE, frames.MAX_WINDOW),
            (Setting.MAX_HEADER_LIST_SIZE, MAX_HEADER_BYTES),
        ]
        widened = frames.window_update(0, frames.MAX_WINDOW - frames.DEFAULT_WINDOW)
        return frames.PREFACE + frames.settings(wanted) + widened

    def _receive_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._credit_connection(len(payload))
        call = self._streams.get(stream_id)
        if call is None:  # cancelled while the answer was on its way
            return
        call.body += frames.unpad(flags & frames.PADDED, payload) if flags & frames.PADDED else payload
        if len(call.body) > self._max_message_bytes + 5:
            self.cancel(stream_id)
            limit = f"The answer is larger than {self._max_message_bytes} bytes."
            fail(call.answer, RpcError(StatusCode.RESOURCE_EXHAUSTED, limit))
        elif flags & frames.END_STREAM:
            self._finish(call)

    def _receive_block(self, flags: int, stream_id: int, block: bytes) -> None:
        headers = decode_headers(block)
        call = self._streams.get(stream_id)
        if call is not None:
            call.headers.update(headers)
            if flags & frames.END_STREAM:
                self._finish(call)

    def _stream_reset(self, stream_id: int, reason: int) -> None:
        call = self._drop(stream_id)
        if call is not None:
            fail(call.answer, reset_error(reason))
            self._retire()

    def _peer_leaves(self, last_stream: int) -> None:
        self.usable = False
        for call in [call for number, call in self._streams.items() if number > last_stream]:
            self._drop(call.number)
            fail(call.answer, RpcError(StatusCode.UNAVAILABLE, "the server is going away", processed=False))
        self._retire()

    def _finish(self, call: _Call) -> None:
        self._drop(call.number)
        if call.unsent:  # answered before the request was read whole: the rest is not wanted
            self._write(frames.reset(call.number, ErrorCode.NO_ERROR))
        if not call.answer.done():
            try:
                call.answer.set_result(read_message(call.headers, call.body))
            except RpcError as error:
                call.answer.set_exception(error)
        self._retire()

    def _retire(self) -> None:
        """Close once the last call of a connection that takes no new ones has ended."""
        if not self.usable and not self._streams:
            self.close()

    def _is_idle(self, stream_id: int) -> bool:
        return stream_id >= self._next_stream

    # Frames out.

    def _resume(self, stream: _Call) -> None:
        self._send_data(stream, ends=True)

    def _data_sent(self, stream: _Call) -> None:
        """Wait for the answer."""

    def _end(self, reason: str) -> None:
        self.usable = False
        for call in self._streams.values():
            fail(call.answer, RpcError(StatusCode.UNAVAILABLE, reason))
        self._streams.clear()
        self._waiting.clear()
