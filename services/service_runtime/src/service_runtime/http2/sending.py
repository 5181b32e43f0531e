"""The sending half of a connection: one write per turn of the event loop, within windows and what the socket takes."""

import asyncio
from abc import abstractmethod
from collections import deque
from typing import Generic, TypeVar

from service_runtime.http2 import frames
from service_runtime.http2.frames import ErrorCode, Frame, ProtocolError

# What one turn of the event loop writes is joined up to here, then handed over, so that a full socket is noticed.
_FLUSH_BYTES = 256 * 1024
# A peer that makes us write and reads nothing: more than this waits in the transport although no data is sent any more.
_UNREAD_BYTES = 4 << 20


class Stream:
    """The sending side of a stream."""

    __slots__ = ("number", "unsent", "waits", "window")

    def __init__(self, number: int, window: int) -> None:
        self.number = number
        self.window = window
        self.unsent = memoryview(b"")
        self.waits = False  # in line for a window or for the socket

    def widen(self, increment: int) -> None:
        """Let more data leave, or less; raises ProtocolError for a window that HTTP/2 does not have."""
        self.window += increment
        if self.window > frames.MAX_WINDOW:
            raise ProtocolError("a window over 2^31 - 1", ErrorCode.FLOW_CONTROL_ERROR, stream=self.number)


StreamT = TypeVar("StreamT", bound=Stream)


class SendingHalf(asyncio.Protocol, Generic[StreamT]):
    """Sends frames; data waits for the windows and for the socket."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._streams: dict[int, StreamT] = {}
        self._outgoing: list[bytes] = []
        self._outgoing_bytes = 0
        self._waiting: deque[StreamT] = deque()
        self._paused = False
        self._window = frames.DEFAULT_WINDOW
        self._initial_window = frames.DEFAULT_WINDOW
        self._frame_bytes = frames.DEFAULT_FRAME_BYTES

    @abstractmethod
    def _data_sent(self, stream: StreamT) -> None:
        """Hear that all of a stream's data has left."""

    @abstractmethod
    def _resume(self, stream: StreamT) -> None:
        """Go on sending the data of a stream that had to wait."""

    def pause_writing(self) -> None:
        """Send no more data while the socket is full."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on."""
        self._paused = False
        self._send_waiting()

    def _send_data(self, stream: StreamT, *, ends: bool) -> None:
        """Send what the windows and the socket take; the rest follows when they open."""
        while stream.unsent:
            size = min(len(stream.unsent), self._frame_bytes, self._window, stream.window)
            if size <= 0 or self._paused:
                if not stream.waits:
                    stream.waits = True
                    self._waiting.append(stream)
                return
            chunk, stream.unsent = stream.unsent[:size], stream.unsent[size:]
            self._window -= size
            stream.window -= size
            flags = frames.END_STREAM if ends and not stream.unsent else 0
            self._write(frames.frame(Frame.DATA, flags, stream.number, bytes(chunk)))
        self._data_sent(stream)

    def _send_waiting(self) -> None:
        for _ in range(len(self._waiting)):
            stream = self._waiting.popleft()
            stream.waits = False
            if self._streams.get(stream.number) is stream:
                self._resume(stream)

    def _write(self, data: bytes) -> None:
        if not self._outgoing:  # one system call for all that this turn of the loop sends
            self._loop.call_soon(self._flush)
        self._outgoing.append(data)
        self._outgoing_bytes += len(data)
        if self._outgoing_bytes > _FLUSH_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._transport is not None and self._outgoing:
            self._transport.write(b"".join(self._outgoing))
            if self._paused and self._transport.get_write_buffer_size() > _UNREAD_BYTES:
                self._transport.abort()
        self._outgoing.clear()
        self._outgoing_bytes = 0
