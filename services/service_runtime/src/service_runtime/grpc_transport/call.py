"""One call: the context that a handler sees, and the stream that its connection sees."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

from grpc import StatusCode

from service_runtime.errors import InvalidInput, ServiceError
from service_runtime.grpc_transport.messages import PREFIX_BYTES, MessageReader, decompress
from service_runtime.grpc_transport.request_head import Metadata, RequestHead
from service_runtime.grpc_transport.status import Status
from service_runtime.http2.header_blocks import encode_literals
from service_runtime.http2.sending import Stream

if TYPE_CHECKING:
    from service_runtime.grpc_transport.methods import Method, Refusal
    from service_runtime.grpc_transport.server_connection import ServerConnection


_encoded = lru_cache(maxsize=256)(encode_literals)  # most answers say one of a few things


class AbortError(Exception):
    """A handler has ended its call with a status of its own."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.code.name)
        self.status = status


class Call(Stream):
    """A call in flight. Handlers use what gRPC's servicer context offers of the same name."""

    __slots__ = (
        "_connection",
        "_reader",
        "_wake",
        "credit",
        "drained",
        "ended",
        "expires_at",
        "failure",
        "greeting",
        "head",
        "headers_sent",
        "held",
        "held_since",
        "method",
        "opened_at",
        "owed",
        "received",
        "remote_closed",
        "task",
        "timer",
        "trailers",
    )

    def __init__(
        self,
        connection: ServerConnection,
        number: int,
        window: int,
        *,
        head: RequestHead,
        method: Method | Refusal,
        credit: int,
    ) -> None:
        super().__init__(number, window)
        self._connection = connection
        self.head = head
        self.method = method
        self.opened_at = time.monotonic()
        self.expires_at = None if head.timeout is None else self.opened_at + head.timeout
        self.credit = credit  # bytes that the caller may still send
        self.owed = 0  # bytes that arrived and were not credited again
        self.held = 0  # bytes that count against the server's budget
        self.held_since = 0.0  # or since a message was last taken
        self.received = 0
        self.remote_closed = False
        self.headers_sent = False
        self.greeting = b""  # initial metadata, encoded
        self.ended: StatusCode | None = None
        self.failure: ServiceError | None = None
        self.trailers: bytes | None = None  # sent once all data has left
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.drained: asyncio.Future[None] | None = None
        self._reader = MessageReader(method.max_message_bytes)
        self._wake: asyncio.Future[None] | None = None

    # What handlers use.

    def time_remaining(self) -> float | None:
        """Return the seconds that the caller still waits; None when it named no deadline."""
        return None if self.expires_at is None else max(0.0, self.expires_at - time.monotonic())

    def invocation_metadata(self) -> Metadata:
        """Return the headers that the caller sent."""
        return self.head.metadata

    @property
    def peer_host(self) -> str:
        """The address that the connection comes from; a proxy's where one is between."""
        return self._connection.peer_host

    def set_initial_metadata(self, metadata: Metadata) -> None:
        """Say this in the headers of the answer, be it a result or an error."""
        self.greeting = _encoded(metadata)

    async def abort(
        self, code: StatusCode, details: str = "", trailing_metadata: Iterable[tuple[str, str | bytes]] = ()
    ) -> NoReturn:
        """End the call with a status."""
        raise AbortError(Status(code, details, trailing_metadata))

    async def write(self, message: Any) -> None:
        """Send one message of a streamed answer; returns when the caller has room for the next."""
        await self._connection.send_message(self, self.method.serialize(message))

    # What its method uses.

    def answer(self, message: bytes) -> None:
        """Send the one answer, and that all went well."""
        self._connection.answer(self, message)

    def refuse(self, block: bytes, text: bytes) -> None:
        """End with headers, and perhaps a text, for who does not speak gRPC."""
        self._connection.refuse(self, block, text)

    def end(self, status: Status) -> None:
        """End with a status."""
        self._connection.end(self, status)

    async def messages(self) -> AsyncIterator[Any]:
        """Yield the caller's messages."""
        while (message := await self.read()) is not None:
            yield self.method.deserialize(message)

    async def read(self) -> bytes | None:
        """Return the next message, unpacked, or None after the last."""
        whole = self._reader.whole
        while not (whole or self.failure or self.remote_closed):
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        if self.failure is not None:
            raise self.failure
        if not whole:
            if self.cut_short and self.method.streams_in:  # of one message the method knows better
                raise InvalidInput("The request ends in the middle of a message.")
            return None
        compressed, message = whole.popleft()
        self._connection.taken(self, PREFIX_BYTES + len(message))
        if compressed:
            return await self._unpack(message)
        return message

    async def _unpack(self, message: bytes) -> bytes:
        plain = await decompress(message, self.head.encoding, max_bytes=self.method.max_message_bytes)
        if not self.method.streams_in:  # the handler of a stream lets go of its messages, when is its own affair
            self._connection.hold(self, len(plain))
            if self.failure is not None:
                raise self.failure
        return plain

    # What its connection uses.

    @property
    def backlog(self) -> int:
        """How many whole messages wait for the handler."""
        return len(self._reader.whole)

    def feed(self, payload: bytes) -> None:
        """Take bytes of the request."""
        try:
            self._reader.feed(payload)
        except ServiceError as error:
            self.failure = error
        self.wake()

    def wake(self) -> None:
        """Let the handler look again: there is a message, or there will be none."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    @property
    def cut_short(self) -> bool:
        """Whether the request ended in the middle of a message."""
        return self._reader.unfinished
