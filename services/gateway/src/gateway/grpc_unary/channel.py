"""A channel of unary calls: connects when needed, again when broken, and keeps deadlines."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

from grpc import StatusCode
from service_runtime.http2.header_blocks import encode_literals

from gateway.grpc_unary.answers import RpcError, fail
from gateway.grpc_unary.connection import Connection

_CONNECT_SECONDS = 2.0
_CLOSE_SECONDS = 1.0
# After a failed attempt others are spared the wait for this long.
_RECONNECT_SECONDS = 0.1
# An address may stand for several servers, one of which is chosen for a connection. Whoever comes is found by a new
# one, and whoever drains is left while it still serves: this is less than the drain delay of what is called.
_RENEW_SECONDS = 2.0
_SILENCE_SECONDS = 10.0
_PATIENCE_SECONDS = 5.0
# A timeout on the wire has at most eight digits.
_LONGEST_TIMEOUT_MS = 99_999_999


class UnaryChannel:
    """gRPC unary calls to one target over one HTTP/2 connection at a time, without TLS (the mesh adds it)."""

    def __init__(self, target: str, *, max_message_bytes: int = 64 << 20) -> None:
        host, _, port = target.rpartition(":")
        self._target, self._host, self._port = target, host.strip("[]"), int(port)
        self._max_message_bytes = max_message_bytes
        self._connection: Connection | None = None
        self._attempt: asyncio.Task[Connection | None] | None = None
        self._failed_at = float("-inf")
        self._connections: set[Connection] = set()
        self._tending: asyncio.Task[None] | None = None
        self._fixed_headers: dict[str, bytes] = {}

    async def connect(self) -> None:
        """Connect before the first call has to wait for it; if that fails, the call tries again."""
        with suppress(RpcError):
            await self._connect(_CONNECT_SECONDS)

    async def call(
        self,
        method: str,
        message: bytes,
        *,
        seconds: float,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> bytes:
        """Call `method`, as in /package.Service/Method, with a serialized message; return the serialized answer.

        Raises RpcError with the server's code: UNAVAILABLE when it cannot be reached, DEADLINE_EXCEEDED after
        `seconds`. Cancelling the task that waits here cancels the call on the server.
        """
        connection = self._connection
        if connection is None or not connection.usable:
            connection = await self._connect(seconds)
        if connection.full or not connection.usable:  # a new one may have been closed before this task ran on
            raise RpcError(StatusCode.UNAVAILABLE, "the server takes no more calls now", processed=False)
        stream_id, answer = connection.start(self._headers(method, seconds, metadata), message)
        expired = RpcError(StatusCode.DEADLINE_EXCEEDED, "the deadline passed")
        timer = asyncio.get_running_loop().call_later(seconds, fail, answer, expired)
        try:
            return await answer
        except BaseException:
            connection.cancel(stream_id)  # does nothing for a call that the server has ended
            raise
        finally:
            timer.cancel()

    async def aclose(self) -> None:
        """Close every connection; calls in flight end UNAVAILABLE."""
        for task in (self._attempt, self._tending):
            if task is not None:
                task.cancel()
        for connection in self._connections:
            connection.close()
        if self._connections:
            await asyncio.wait([each.closed for each in self._connections], timeout=_CLOSE_SECONDS)
        for connection in self._connections:
            connection.abort()  # a peer that stands still reads the rest never

    async def _connect(self, seconds: float) -> Connection:
        if self._attempt is None or self._attempt.done():
            if time.monotonic() - self._failed_at < _RECONNECT_SECONDS:
                raise RpcError(StatusCode.UNAVAILABLE, "the server cannot be reached", processed=False)
            self._attempt = asyncio.create_task(self._open())
        try:
            async with asyncio.timeout(seconds):
                connection = await asyncio.shield(self._attempt)  # others wait for it too, maybe longer
        except TimeoutError as error:
            raise RpcError(StatusCode.DEADLINE_EXCEEDED, "the deadline passed", processed=False) from error
        if connection is None:
            raise RpcError(StatusCode.UNAVAILABLE, "the server cannot be reached", processed=False)
        return connection

    async def _open(self) -> Connection | None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, connection = await loop.create_connection(
                    lambda: Connection(max_message_bytes=self._max_message_bytes), self._host, self._port
                )
        except OSError:  # TimeoutError is one
            self._failed_at = time.monotonic()
            return None
        before, self._connection = self._connection, connection
        if before is not None:
            before.leave()
        self._connections.add(connection)
        if self._tending is None:
            self._tending = asyncio.create_task(self._tend())
        return connection

    async def _tend(self) -> None:
        """Take a new connection every so often; the one before ends with its last call, or when its peer is gone."""
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            self._connections = {each for each in self._connections if not each.closed.done()}
            for connection in self._connections:
                _watch(connection)
            connected = self._connection is not None and self._connection.usable
            if connected and (self._attempt is None or self._attempt.done()):
                self._attempt = asyncio.create_task(self._open())

    def _headers(self, method: str, seconds: float, metadata: Sequence[tuple[str, str]]) -> bytes:
        fixed = self._fixed_headers.get(method)
        if fixed is None:
            names = {":method": "POST", ":scheme": "http", ":path": method, ":authority": self._target}
            names |= {"te": "trailers", "content-type": "application/grpc", "user-agent": "fairlead-gateway"}
            fixed = self._fixed_headers[method] = encode_literals(names.items())
        timeout = f"{min(max(1, int(seconds * 1000)), _LONGEST_TIMEOUT_MS)}m"
        return fixed + encode_literals((("grpc-timeout", timeout), *metadata))


def _watch(connection: Connection) -> None:
    """Close a connection whose peer is gone without a word: calls in flight, but not even a ping comes back."""
    if not connection.busy:
        return
    if connection.silent_for > _SILENCE_SECONDS + _PATIENCE_SECONDS:
        connection.close("the server has gone silent")
    elif connection.silent_for > _SILENCE_SECONDS:
        connection.ping()
