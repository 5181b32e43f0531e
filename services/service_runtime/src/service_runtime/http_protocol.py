"""uvicorn's HTTP/1.1 with what it lacks: bounds on a request's head, and a cheap refusal under overload."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

DEPARTURES = "departures"
"""Where in an ASGI scope's state the set of what to call when the caller hangs up is."""

ARRIVED = "arrived"
"""Is in an ASGI scope's state once the whole body has arrived: to receive it takes no waiting, and so no timer."""

Shed = Callable[[bytes, bytes, Sequence[tuple[bytes, bytes]], str], bytes | None]
"""Given method, target, headers and the peer's address: the whole answer to a request refused unread, or None."""

_MAX_FRUITLESS_BYTES = 64 * 1024


class BoundedHttpProtocol(HttpToolsProtocol):
    """Ends a connection whose head, or whose trailers, come without end or not at all.

    uvicorn keeps headers of any size and waits for them for ever: one caller could take all memory, or all
    file descriptors. A caller that hangs up is told to whoever is in the set of `DEPARTURES`: ASGI alone would
    take a task per request that waits for it. What `shed` refuses costs no task either, and its body no memory.
    """

    def __init__(self, *args: Any, head_seconds: float, shed: Shed | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_seconds = head_seconds
        self._patience: asyncio.TimerHandle | None = None
        self._awaits_head = True
        self._fruitless_bytes = 0
        self._bore_fruit = False
        self._shed = shed
        self._refusal: bytes | None = None
        self._departures: set[Callable[[], None]] = set()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a first request."""
        super().connection_made(transport)
        self._keep_time()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._awaits_head = False
        self._keep_time()
        super().connection_lost(exc)
        for depart in tuple(self._departures):
            depart()

    def data_received(self, data: bytes) -> None:
        """Parse; bytes that complete no head and carry no body count against the bound."""
        self._bore_fruit = False
        super().data_received(data)
        self._fruitless_bytes = 0 if self._bore_fruit else self._fruitless_bytes + len(data)
        if self._fruitless_bytes > _MAX_FRUITLESS_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The headers are larger than {_MAX_FRUITLESS_BYTES} bytes.")
        self._keep_time()

    def on_message_begin(self) -> None:
        """Begin to wait for a head."""
        self._awaits_head = True
        super().on_message_begin()
        self.scope["state"][DEPARTURES] = self._departures

    def on_headers_complete(self) -> None:
        """Have a head."""
        self._bore_fruit = True
        self._refusal = self._refuse()
        self._awaits_head = self._refusal is not None  # of a request that is refused only the next one counts
        if self._refusal is None:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Have a part of a body."""
        self._bore_fruit = True
        if self._refusal is None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Have a whole request."""
        if self._refusal is None:
            self.scope["state"][ARRIVED] = True
            super().on_message_complete()
            return
        self.transport.write(self._refusal)
        self._refusal, self._awaits_head = None, False
        if self.parser.should_keep_alive():
            self.on_response_complete()
        else:
            self.transport.close()

    def _refuse(self) -> bytes | None:
        # Whoever reads no answers must not make us keep them: past the door, the next request waits for that.
        busy = self.flow.write_paused or (self.cycle is not None and not self.cycle.response_complete)
        if self._shed is None or busy or self.expect_100_continue or self.parser.should_upgrade():
            return None
        address = self.client[0] if self.client else ""
        return self._shed(self.parser.get_method(), self.url, self.headers, address)

    def _keep_time(self) -> None:
        if self._awaits_head and self._patience is None:
            self._patience = self.loop.call_later(self._head_seconds, self.transport.close)
        elif not self._awaits_head and self._patience is not None:
            self._patience.cancel()
            self._patience = None
