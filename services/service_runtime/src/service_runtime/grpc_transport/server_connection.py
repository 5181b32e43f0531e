"""The server's end of a connection: streams become calls, within limits, until somebody leaves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from grpc import StatusCode

from service_runtime.grpc_transport.answering import MAX_STREAMS, STREAM_WINDOW, AnsweringHalf
from service_runtime.grpc_transport.call import Call
from service_runtime.grpc_transport.request_head import RequestHead, check_trailers, read_head
from service_runtime.grpc_transport.status import Status
from service_runtime.http2 import frames
from service_runtime.http2.frames import ErrorCode, Frame, ProtocolError, Setting
from service_runtime.http2.header_blocks import MAX_HEADER_BYTES, HeaderDecoder

if TYPE_CHECKING:
    from service_runtime.grpc_transport.server import LeanServer

_CONNECTION_WINDOW = 16 << 20
_REMEMBERED_HEADS = 16
_REMEMBERED_BYTES = 4096  # room for a bearer token: to decode a head anew costs a call more than to check its token
# Frames that ask for work and carry none, between two sweeps: pings, resets (CVE-2023-44487), settings, empty data.
_MAX_CONTROL_FRAMES = 10_000
# What a message costs in memory beside its bytes: one of no bytes is five on the wire.
_MESSAGE_BYTES = 96
_FAREWELL_SECONDS = 1.0
# So many sweeps may find a connection before its preface or in the middle of a header block.
_PATIENCE_SWEEPS = 3


class ServerConnection(AnsweringHalf):
    """One caller's connection."""

    def __init__(self, server: LeanServer) -> None:
        super().__init__()
        self._server = server
        self.peer_host = ""
        self._decoder = HeaderDecoder()
        self._heads: dict[bytes, RequestHead] = {}
        self._preface: bytes = frames.PREFACE
        self._last_stream = 0
        self._leaving = self._refusing = False
        self._patience = _PATIENCE_SWEEPS

    # What the server uses.

    def leave(self) -> None:
        """Take no new calls, without losing one that is on its way (RFC 9113 section 6.8): warn, wait, close."""
        if self._leaving:
            return
        self._leaving = True
        self._write(frames.goaway(frames.LAST_STREAM, ErrorCode.NO_ERROR))
        self._write(frames.frame(Frame.PING, 0, 0, bytes(8)))
        self._loop.call_later(_FAREWELL_SECONDS, self._refuse_new)

    def cut(self) -> None:
        """End what is left."""
        for call in list(self._streams.values()):
            self._stop(call, Status(StatusCode.UNAVAILABLE, "The server is stopping."))
        self.close()

    def hold(self, call: Call, size: int) -> None:
        """Count bytes that a call has in memory."""
        self._server.hold(call, size)

    def taken(self, call: Call, size: int) -> None:
        """Hear that a handler has taken a message: of a stream it is the handler's now, and the caller may send on."""
        if call.method.streams_in:
            self._server.release(call, min(size + _MESSAGE_BYTES, call.held))
        if call.owed:
            self.credit(call)

    def sweep(self, *, before: float) -> None:
        """Let go of what has begun before a time and got nowhere."""
        self._control_frames = 0
        self._patience = self._patience - 1 if self._preface or self._header_block else _PATIENCE_SWEEPS
        if not self._patience:
            self.abort()
        for call in list(self._streams.values()):
            stuck = call.task is None or (call.method.streams_in and call.held)
            if stuck and (call.held_since or call.opened_at) < before:
                self._stop(call, Status(StatusCode.DEADLINE_EXCEEDED, "The request did not arrive in time."))

    # Frames in.

    def data_received(self, data: bytes) -> None:
        """Expect the preface first; end a caller who floods."""
        if self._preface:
            data = self._after_preface(data)
        super().data_received(data)
        if self._control_frames > _MAX_CONTROL_FRAMES:
            self.break_off("a flood of frames", ErrorCode.ENHANCE_YOUR_CALM)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection."""
        self._server.connections.add(self)
        peer: tuple[str, int] | None = transport.get_extra_info("peername")
        if peer:
            self.peer_host = peer[0].removeprefix("::ffff:")  # IPv4 on a listener of both kinds
        super().connection_made(transport)
        if self._server.stopping:
            self.leave()

    def _after_preface(self, data: bytes) -> bytes:
        size = min(len(data), len(self._preface))
        if data[:size] != self._preface[:size]:
            self.break_off("no HTTP/2", ErrorCode.PROTOCOL_ERROR)
            return b""
        self._preface = self._preface[size:]
        return data[size:]

    def _greeting(self) -> bytes:
        wanted = [
            (Setting.MAX_CONCURRENT_STREAMS, MAX_STREAMS),
            (Setting.INITIAL_WINDOW_SIZE, STREAM_WINDOW),
            (Setting.MAX_HEADER_LIST_SIZE, MAX_HEADER_BYTES),
        ]
        return frames.settings(wanted) + frames.window_update(0, _CONNECTION_WINDOW - frames.DEFAULT_WINDOW)

    def _receive_block(self, flags: int, stream_id: int, block: bytes) -> None:
        if stream_id <= self._last_stream:
            self._receive_trailers(flags, stream_id, block)
            return
        if not stream_id & 1:
            raise ProtocolError("a stream with a number of the server's")
        self._last_stream = stream_id
        head = self._head(block, stream_id)
        if self._refusing or len(self._streams) >= MAX_STREAMS:
            raise ProtocolError("no more calls", ErrorCode.REFUSED_STREAM, stream=stream_id)
        self._open(head, stream_id, ends=bool(flags & frames.END_STREAM))

    def _head(self, block: bytes, stream_id: int) -> RequestHead:
        known = self._heads.get(block)
        if known is not None:
            return known
        changes = self._decoder.changes
        fields = self._decoder.decode(block)
        unchanged = changes == self._decoder.changes
        if not unchanged or len(self._heads) >= _REMEMBERED_HEADS:
            self._heads.clear()
        head = read_head(fields, stream=stream_id)
        # What it unfolds to is what is kept, and a small block can unfold to 64 KiB.
        if unchanged and sum(len(name) + len(value) for name, value in fields) <= _REMEMBERED_BYTES:
            self._heads[block] = head
        return head

    def _receive_trailers(self, flags: int, stream_id: int, block: bytes) -> None:
        self._heads.clear()
        fields = self._decoder.decode(block)
        call = self._streams.get(stream_id)
        if call is None or call.remote_closed:
            self._closed("headers", stream_id, connection=True)
            return
        if not flags & frames.END_STREAM:
            raise ProtocolError("headers in the middle of a request", stream=stream_id)
        check_trailers(fields, stream=stream_id)
        self._request_ended(call)

    def _open(self, head: RequestHead, number: int, *, ends: bool) -> None:
        method = self._server.methods.find(head)
        call = Call(self, number, self._initial_window, head=head, method=method, credit=STREAM_WINDOW)
        self._streams[number] = call
        if head.timeout is not None:
            call.timer = self._loop.call_later(head.timeout, self._expire, call)
        if method.streams_in:
            self._server.start_call(call)
        if ends:
            self._request_ended(call)

    def _receive_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._credit_connection(len(payload))
        call = self._streams.get(stream_id)
        if call is None or call.remote_closed:
            if self._is_idle(stream_id):
                raise ProtocolError("data of a stream that never was")
            self._closed("data", stream_id, connection=False)
            return
        call.credit -= len(payload)
        call.owed += len(payload)
        if call.credit < 0:
            raise ProtocolError("data beyond the window", ErrorCode.FLOW_CONTROL_ERROR, stream=stream_id)
        if flags & frames.PADDED:
            payload = frames.unpad(flags & frames.PADDED, payload)
        self._take(call, payload)
        if flags & frames.END_STREAM:
            self._request_ended(call)
        elif call.ended is None:
            self._control_frames += not payload
            self.credit(call)

    def _take(self, call: Call, payload: bytes) -> None:
        call.received += len(payload)
        if call.ended is None and call.failure is None:
            backlog = call.backlog
            call.feed(payload)
            self.hold(call, len(payload) + _MESSAGE_BYTES * (call.backlog - backlog))
            if call.failure is not None and call.task is None:
                self._server.start_call(call)

    def _request_ended(self, call: Call) -> None:
        length = call.head.content_length
        if length is not None and length != call.received:
            raise ProtocolError("a body of another length than announced", stream=call.number)
        call.remote_closed = True
        if call.task is None:
            self._server.start_call(call)
        else:
            call.wake()

    def _closed(self, what: str, stream_id: int, *, connection: bool) -> None:
        """Ignore what was on its way when we ended a stream early; on one that the caller ended it is an error."""
        self._control_frames += 1
        if stream_id not in self._ended_early:
            blamed = 0 if connection else stream_id
            raise ProtocolError(f"{what} on a closed stream", ErrorCode.STREAM_CLOSED, stream=blamed)

    # How streams end.

    def _expire(self, call: Call) -> None:
        self._stop(call, Status(StatusCode.DEADLINE_EXCEEDED, "The deadline passed."))

    def _stop(self, call: Call, status: Status) -> None:
        """End a call whose handler has not ended it."""
        if call.unsent:  # the caller does not take the answer
            self._write(frames.reset(call.number, ErrorCode.CANCEL))
            self._ended_early.append(call.number)
            self._abandon(call, status.code)
            return
        self.end(call, status)
        if call.task is not None:
            call.task.cancel()

    def _abandon(self, call: Call, code: StatusCode) -> None:
        call.ended = call.ended or code
        self._forget(call)
        if call.task is not None:
            call.task.cancel()

    def _stream_reset(self, stream_id: int, reason: int) -> None:  # noqa: ARG002 - every reason means the same
        call = self._streams.get(stream_id)
        if call is not None:
            self._abandon(call, StatusCode.CANCELLED)

    def _over(self, call: Call) -> None:
        self._server.release(call, call.held)
        if self._refusing and not self._streams:
            self.close()

    def _end(self, reason: str) -> None:  # noqa: ARG002 - callers who left need no reason
        for call in list(self._streams.values()):
            self._abandon(call, StatusCode.CANCELLED)
        self._waiting.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel what the caller had asked for."""
        super().connection_lost(exc)
        self._server.gone(self)

    def _peer_leaves(self, last_stream: int) -> None:
        """Hear a goodbye; the caller opens no more streams and closes when it has its answers."""

    def _ping_answered(self) -> None:
        if self._leaving:
            self._refuse_new()

    def _refuse_new(self) -> None:
        if self._refusing or self._transport is None:
            return
        self._refusing = True
        self._write(frames.goaway(self._last_stream, ErrorCode.NO_ERROR))
        if not self._streams:
            self.close()

    def _is_idle(self, stream_id: int) -> bool:
        return stream_id > self._last_stream or not stream_id & 1

    def _last_stream_seen(self) -> int:
        return self._last_stream
