"""The answering half of a server's connection: what calls send, and how their streams end."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque

from grpc import StatusCode

from service_runtime.grpc_transport import status as wire
from service_runtime.grpc_transport.call import Call
from service_runtime.grpc_transport.messages import PREFIX_BYTES, pack
from service_runtime.grpc_transport.status import Status
from service_runtime.http2 import frames
from service_runtime.http2.connection import Http2Connection
from service_runtime.http2.frames import ErrorCode, Frame

MAX_STREAMS = 256
STREAM_WINDOW = 1 << 20
# Callers say by window updates what they have read: gRPC's own client twice for an answer, others for every few KiB.
_FRAMES_PER_MESSAGE = 4
_BYTES_PER_FRAME = 4096

_END_BOTH = frames.END_HEADERS | frames.END_STREAM


class AnsweringHalf(Http2Connection[Call]):
    """Turns answers into frames."""

    def __init__(self) -> None:
        super().__init__()
        self._ended_early: deque[int] = deque(maxlen=MAX_STREAMS)  # by us, before the caller had said all

    @abstractmethod
    def _over(self, call: Call) -> None:
        """Hear that nothing of a call is left."""

    def answer(self, call: Call, message: bytes) -> None:
        """Send the one answer of a call, and that all went well."""
        size = len(message) + PREFIX_BYTES
        room = min(self._frame_bytes, self._window, call.window)
        if call.ended is not None:
            return
        self._earn_frames(size)
        if size > room or self._paused:
            self._write(frames.frame(Frame.HEADERS, frames.END_HEADERS, call.number, wire.HEADERS + call.greeting))
            call.headers_sent = True
            call.unsent = memoryview(pack(message))
            self.end(call, Status(StatusCode.OK))
            self._send_data(call, ends=False)
            return
        number = call.number
        self._window -= size
        self._write(
            frames.frame(Frame.HEADERS, frames.END_HEADERS, number, wire.HEADERS + call.greeting)
            + frames.frame_header(size, Frame.DATA, 0, number)
            + pack(message)
            + frames.frame(Frame.HEADERS, _END_BOTH, number, wire.OK_TRAILERS)
        )
        call.ended = StatusCode.OK
        self._finished(call)

    async def send_message(self, call: Call, message: bytes) -> None:
        """Send one of several answers; returns when there is room for the next."""
        if call.ended is not None:
            return
        if not call.headers_sent:
            self._write(frames.frame(Frame.HEADERS, frames.END_HEADERS, call.number, wire.HEADERS + call.greeting))
            call.headers_sent = True
        call.unsent = memoryview(pack(message))
        self._earn_frames(len(message))
        self._send_data(call, ends=False)
        if call.unsent:
            call.drained = self._loop.create_future()
            await call.drained

    def end(self, call: Call, status: Status) -> None:
        """End a call, once all of its data has left."""
        if call.ended is not None:
            return
        call.ended = status.code
        block = status.trailers(alone=not call.headers_sent)
        if not call.headers_sent:
            block += call.greeting
        call.trailers = frames.headers(call.number, frames.END_STREAM, block)
        if not call.unsent:
            self._data_sent(call)

    def refuse(self, call: Call, block: bytes, text: bytes) -> None:
        """End a call with an answer that is not gRPC's: headers, and perhaps a text."""
        if call.ended is not None:
            return
        call.ended = StatusCode.UNIMPLEMENTED
        call.headers_sent = True
        self._write(frames.headers(call.number, 0 if text else frames.END_STREAM, block))
        call.trailers = b""  # the last data ends the stream
        call.unsent = memoryview(text)
        self._send_data(call, ends=True)

    def credit(self, call: Call) -> None:
        """Let the caller send on."""
        if call.remote_closed or call.backlog or call.owed < STREAM_WINDOW // 2:
            return
        call.credit += call.owed
        self._write(frames.window_update(call.number, call.owed))
        call.owed = 0

    def _earn_frames(self, size: int) -> None:
        """Allow the caller the frames of control that belong to a message: only those without any are a flood."""
        self._control_frames -= _FRAMES_PER_MESSAGE + size // _BYTES_PER_FRAME

    def _data_sent(self, stream: Call) -> None:
        if stream.drained is not None and not stream.drained.done():
            stream.drained.set_result(None)
        if stream.trailers is not None:
            self._write(stream.trailers)
            self._finished(stream)

    def _resume(self, stream: Call) -> None:
        self._send_data(stream, ends=stream.trailers == b"")

    def _finished(self, call: Call) -> None:
        if not call.remote_closed:  # answered before the request was read whole: the rest is not wanted
            self._write(frames.reset(call.number, ErrorCode.NO_ERROR))
            self._ended_early.append(call.number)
        self._forget(call)

    def _forget(self, call: Call) -> None:
        if self._drop(call.number) is not None:
            if call.timer is not None:
                call.timer.cancel()
            self._over(call)
