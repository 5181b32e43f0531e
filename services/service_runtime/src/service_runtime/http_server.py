"""uvicorn inside our own lifecycle: no signal handlers, a port that can be asked for, a bounded stop."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from functools import partial
from typing import Self, cast

import uvicorn
from starlette.types import ASGIApp

from service_runtime.http_protocol import BoundedHttpProtocol, Shed

_POLL_SECONDS = 0.02


class _Server(uvicorn.Server):
    """A server that leaves signals to the process that owns it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """Serves one ASGI app; enter to listen, leave to drain."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        port: int,
        grace: float,
        head_seconds: float = 20.0,
        shed: Shed | None = None,
    ) -> None:
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._address = (host, port)
        config = uvicorn.Config(
            app,
            http=cast("type[asyncio.Protocol]", partial(BoundedHttpProtocol, head_seconds=head_seconds, shed=shed)),
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=False,
            proxy_headers=False,  # nothing here believes a header about who calls
            backlog=2048,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=max(1, round(grace)),
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that is bound."""
        return int(self._socket.getsockname()[1])

    async def __aenter__(self) -> Self:
        """Bind and listen; a taken port is an OSError that names it."""
        try:
            self._socket.bind(self._address)
        except OSError as error:
            host, port = self._address
            self._socket.close()
            raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
            await asyncio.sleep(_POLL_SECONDS)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Stop accepting, let requests in flight finish within the grace, close."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
