"""The listening server: connections, the calls that run, and how it stops."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Sequence
from typing import Any

import grpc

from service_runtime.errors import Overloaded
from service_runtime.grpc_transport.call import Call
from service_runtime.grpc_transport.methods import Enter, MethodTable, Observe
from service_runtime.grpc_transport.server_connection import ServerConnection

_SWEEP_SECONDS = 5.0
_REQUEST_SECONDS = 60.0
_CUT_SECONDS = 1.0
_BACKLOG = 512
# A peer that vanished without a word is noticed after a minute and a half.
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))


class LeanServer:
    """Serves the handlers of generated code, as grpc.aio.Server does, without TLS (the mesh adds it).

    `max_held_bytes` bounds the requests of all callers together that are in memory at a time.
    """

    def __init__(
        self, *, observe: Observe, max_message_bytes: int, max_held_bytes: int, enter: Enter | None = None
    ) -> None:
        self.methods = MethodTable(observe=observe, enter=enter, max_message_bytes=max_message_bytes)
        self.connections: set[ServerConnection] = set()
        self.stopping = False
        self._max_held_bytes = max_held_bytes
        self._held_bytes = 0
        self._running: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Server | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._empty = asyncio.Event()

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Serve these; generated code calls it."""
        for handler in handlers:
            self.methods.add(handler)

    def add_registered_method_handlers(self, service_name: str, method_handlers: Any) -> None:
        """Do nothing: generated code gives the same handlers as generic ones too."""

    async def start(self, address: str) -> int:
        """Listen; return the port. Raises OSError when the address cannot be had."""
        listener = _listener(address)
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(lambda: ServerConnection(self), sock=listener, backlog=_BACKLOG)
        self._sweeping = asyncio.create_task(self._sweep())
        port: int = listener.getsockname()[1]
        return port

    async def stop(self, grace: float) -> None:
        """Take no new calls; those in flight have `grace` seconds, then they end UNAVAILABLE."""
        self.stopping = True
        if self._listening is not None:
            self._listening.close()
        for connection in list(self.connections):
            connection.leave()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._until_empty()
        for connection in list(self.connections):
            connection.cut()
        if self._running:
            await asyncio.wait(self._running, timeout=_CUT_SECONDS)
        for connection in list(self.connections):
            connection.abort()
        if self._sweeping is not None:
            self._sweeping.cancel()

    async def _until_empty(self) -> None:
        while self.connections:
            self._empty.clear()
            await self._empty.wait()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            for connection in list(self.connections):
                connection.sweep(before=time.monotonic() - _REQUEST_SECONDS)

    # What connections use.

    def start_call(self, call: Call) -> None:
        """Run the handler of a call."""
        task = call.task = asyncio.create_task(call.method.run(call))
        self._running.add(task)

        def ran(task: asyncio.Task[None]) -> None:
            self._running.discard(task)
            self.release(call, call.held)  # an answer that its caller does not take holds no request

        task.add_done_callback(ran)

    def hold(self, call: Call, size: int) -> None:
        """Count the bytes of a request until a handler is done with them."""
        if not call.held:
            call.held_since = time.monotonic()
        call.held += size
        self._held_bytes += size
        if self._held_bytes > self._max_held_bytes:
            call.failure = Overloaded("Too many bytes are being received at once. Retry later.", retry_after=1)

    def release(self, call: Call, size: int) -> None:
        """Count them no longer."""
        self._held_bytes -= size
        call.held -= size
        call.held_since = time.monotonic()

    def gone(self, connection: ServerConnection) -> None:
        """Forget a connection."""
        self.connections.discard(connection)
        if not self.connections:
            self._empty.set()


def _listener(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    anywhere = host in ("", "::")
    family = socket.AF_INET6 if ":" in host or anywhere else socket.AF_INET
    # No SO_REUSEPORT: a second server on this port must fail, not share it silently.
    listener = socket.create_server((host, int(port)), family=family, backlog=_BACKLOG, dualstack_ipv6=anywhere)
    listener.setblocking(False)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # accepted sockets inherit these
    for option, value in _KEEPALIVE:
        listener.setsockopt(socket.IPPROTO_TCP, option, value)
    return listener
