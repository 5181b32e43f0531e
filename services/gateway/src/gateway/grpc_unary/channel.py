"""A channel of unary calls: connects when needed, again when broken, and keeps deadlines."""

import asyncio
import time
from collections.abc import Sequence

from grpc import StatusCode
from service_runtime.http2.header_blocks import encode_literals

from gateway.grpc_unary.answers import RpcError, fail
from gateway.grpc_unary.connection import Connection

_CONNECT_SECONDS = 2.0
_CLOSE_SECONDS = 1.0
# After a failed attempt others are spared the wait for this long.
_RECONNECT_SECONDS = 0.1
_SILENCE_SECONDS = 10.0
_WATCH_SECONDS = 5.0
# A timeout on the wire has at most eight digits.
_LONGEST_TIMEOUT_MS = 99_999_999


class UnaryChannel:
    """gRPC unary calls to one target over one HTTP/2 connection, without TLS (the mesh adds it)."""

    def __init__(self, target: str, *, max_message_bytes: int = 64 << 20) -> None:
        host, _, port = target.rpartition(":")
        self._target, self._host, self._port = target, host.strip("[]"), int(port)
        self._max_message_bytes = max_message_bytes
        self._connection: Connection | None = None
        self._attempt: asyncio.Task[Connection | None] | None = None
        self._failed_at = float("-inf")
        self._watch: asyncio.Task[None] | None = None
        self._fixed_headers: dict[str, bytes] = {}

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
        """Close the connection; calls in flight end UNAVAILABLE."""
        for task in (self._attempt, self._watch):
            if task is not None:
                task.cancel()
        if self._connection is not None:
            self._connection.close()
            await asyncio.wait({self._connection.closed}, timeout=_CLOSE_SECONDS)
            self._connection.abort()  # a peer that stands still reads the rest never

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
        if self._watch is not None:
            self._watch.cancel()
        self._watch = asyncio.create_task(_watch(connection))
        self._connection = connection
        return connection

    def _headers(self, method: str, seconds: float, metadata: Sequence[tuple[str, str]]) -> bytes:
        fixed = self._fixed_headers.get(method)
        if fixed is None:
            names = {":method": "POST", ":scheme": "http", ":path": method, ":authority": self._target}
            names |= {"te": "trailers", "content-type": "application/grpc", "user-agent": "fairlead-gateway"}
            fixed = self._fixed_headers[method] = encode_literals(names.items())
        timeout = f"{min(max(1, int(seconds * 1000)), _LONGEST_TIMEOUT_MS)}m"
        return fixed + encode_literals((("grpc-timeout", timeout), *metadata))


async def _watch(connection: Connection) -> None:
    """Close a connection whose peer is gone without a word: calls in flight, but not even a ping comes back."""
    while not connection.closed.done():
        await asyncio.sleep(_WATCH_SECONDS)
        if not connection.busy:
            continue
        if connection.silent_for > _SILENCE_SECONDS + _WATCH_SECONDS:
            connection.close("the server has gone silent")
        elif connection.silent_for > _SILENCE_SECONDS:
            connection.ping()
