"""A gRPC server with health from real state and reflection."""

import asyncio
from collections.abc import Sequence
from typing import Self, cast

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2_grpc import add_ServerReflectionServicer_to_server

from service_runtime.deadlines import Deadline
from service_runtime.grpc_errors import Context
from service_runtime.grpc_transport.methods import Enter, Observe
from service_runtime.grpc_transport.server import LeanServer
from service_runtime.process import Process

log = structlog.get_logger()

_HEALTH_SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_HEALTH_PERIOD_SECONDS = 1.0
_STARTING_PERIOD_SECONDS = 0.05
_MIB = 1024 * 1024
# So many messages of the largest size may be in memory at a time.
_HELD_MESSAGES = 16


class GrpcServer:
    """Serves gRPC on one port; enter to listen, leave to drain.

    `services` are full names: each has its own entry in grpc.health.v1, beside the empty one for the whole server.
    `enter` runs before every call of every method, health and reflection included, and may refuse it.
    """

    def __init__(
        self,
        process: Process,
        *,
        address: str,
        grace: float,
        services: Sequence[str],
        reflected: bool,
        observe: Observe,
        enter: Enter | None = None,
        max_message_bytes: int = 16 * _MIB,
    ) -> None:
        self._process = process
        self._address = address
        self._grace = grace
        self._services = ("", *services)
        self._health = health.HealthServicer()
        self._server = LeanServer(
            observe=observe,
            enter=enter,
            max_message_bytes=max_message_bytes,
            max_held_bytes=_HELD_MESSAGES * max_message_bytes,
        )
        # What generated code asks for; of it, it uses the two methods that add handlers.
        self.server = cast("grpc.aio.Server", self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.server)
        if reflected:
            names = (*services, _HEALTH_SERVICE, reflection.SERVICE_NAME)
            add_ServerReflectionServicer_to_server(reflection.aio.ReflectionServicer(names), self.server)
        self.port = 0
        self._watch: asyncio.Task[None] | None = None
        self._draining: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        """Bind and serve; a taken port is an OSError that names it."""
        try:
            self.port = await self._server.start(self._address)
        except OSError as error:
            raise OSError(None, f"cannot listen on {self._address} for gRPC: {error.strerror or error}") from error
        self._process.on_drain(self._start_draining)
        self._watch = asyncio.create_task(self._follow_readiness())
        log.info("grpc.listening", port=self.port)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Stop accepting, let calls in flight finish within the grace."""
        if self._watch is not None:
            self._watch.cancel()
        await self._server.stop(self._grace)

    def _start_draining(self) -> None:
        self._draining = asyncio.ensure_future(self._health.enter_graceful_shutdown())

    async def _follow_readiness(self) -> None:
        while True:
            ready = not await self._process.readiness.failures()
            status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
            for service in self._services:
                await self._health.set(service, status)
            await asyncio.sleep(_HEALTH_PERIOD_SECONDS if self._process.readiness.started else _STARTING_PERIOD_SECONDS)


def call_deadline(context: Context, *, default: float, cap: float) -> Deadline:
    """Return the deadline of a call: the caller's, else the default, never beyond the cap (seconds)."""
    remaining = context.time_remaining()
    return Deadline.after(min(default if remaining is None else remaining, cap))
