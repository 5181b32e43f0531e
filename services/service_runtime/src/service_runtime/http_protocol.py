"""uvicorn's HTTP/1.1 with the bounds that it lacks: on the bytes and on the seconds of a request's head."""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

DEPARTURES = "departures"
"""Where in an ASGI scope's state the set of what to call when the caller hangs up is."""

_MAX_FRUITLESS_BYTES = 64 * 1024


class BoundedHttpProtocol(HttpToolsProtocol):
    """Ends a connection whose head, or whose trailers, come without end or not at all.

    uvicorn keeps headers of any size and waits for them for ever: one caller could take all memory, or all
    file descriptors. A caller that hangs up is told to whoever is in the set of `DEPARTURES`: ASGI alone would
    take a task per request that waits for it.
    """

    def __init__(self, *args: Any, head_seconds: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_seconds = head_seconds
        self._patience: asyncio.TimerHandle | None = None
        self._awaits_head = True
        self._fruitless_bytes = 0
        self._bore_fruit = False
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
        self._awaits_head, self._bore_fruit = False, True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Have a part of a body."""
        self._bore_fruit = True
        super().on_body(body)

    def _keep_time(self) -> None:
        if self._awaits_head and self._patience is None:
            self._patience = self.loop.call_later(self._head_seconds, self.transport.close)
        elif not self._awaits_head and self._patience is not None:
            self._patience.cancel()
            self._patience = None
