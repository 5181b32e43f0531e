"""The life of a service process: start, serve, drain on SIGTERM, stop in reverse order, exit 0."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager

import structlog
import uvloop

from service_runtime.http_server import HttpServer
from service_runtime.logging import configure_logging
from service_runtime.operations import BuildInfo, create_operations_app
from service_runtime.readiness import Readiness
from service_runtime.settings import ServiceSettings
from service_runtime.tracing import configure_tracing, flush_tracing

log = structlog.get_logger()


class StartError(Exception):
    """The process cannot start as it is set up; the message says what to do."""


class Process:
    """What a service may ask of the process that it runs in."""

    def __init__(self) -> None:
        self.readiness = Readiness()
        self.build_info: BuildInfo = dict
        self._stop = asyncio.Event()
        self._failure: str | None = None
        self._on_drain: list[Callable[[], object]] = []

    def _build_info(self) -> Mapping[str, object]:
        return self.build_info()  # looked up late: the service sets it while it starts

    def on_drain(self, callback: Callable[[], object]) -> None:
        """Call `callback` when draining begins, before the drain delay."""
        self._on_drain.append(callback)

    def fail(self, reason: str) -> None:
        """Stop in order and exit 1: something this process cannot live without is gone."""
        self._failure = self._failure or reason
        self._stop.set()

    async def serve(self, service: AbstractAsyncContextManager[None], settings: ServiceSettings) -> int:
        """Run `service` until a signal or a failure; return the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        operations = HttpServer(
            create_operations_app(settings, self.readiness, build_info=self._build_info),
            host=settings.operations_host,
            port=settings.operations_port,
            grace=1,
        )
        async with operations:
            log.info("process.listening", operations_port=operations.port)
            await self._until_stopped(service, settings)
        if self._failure:
            log.error("process.failed", reason=self._failure)
            return 1
        log.info("process.stopped")
        return 0

    async def _until_stopped(self, service: AbstractAsyncContextManager[None], settings: ServiceSettings) -> None:
        stopping = asyncio.create_task(self._stop.wait())
        serving = asyncio.create_task(self._hold(service, settings))
        # A signal during a slow start must not wait for the start to end.
        await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done() and not self.readiness.started:
            serving.cancel()
        try:
            await serving
        except asyncio.CancelledError:
            log.info("process.start_interrupted")
        finally:
            stopping.cancel()

    async def _hold(self, service: AbstractAsyncContextManager[None], settings: ServiceSettings) -> None:
        async with service:
            _settle_memory()
            self.readiness.started = True
            log.info("process.started")
            await self._stop.wait()
            self.readiness.draining = True
            log.info("process.draining", drain_delay=settings.drain_delay, grace=settings.grace)
            for callback in self._on_drain:
                callback()
            if not self._failure:
                await asyncio.sleep(settings.drain_delay)


def _settle_memory() -> None:
    """Take what lives as long as the process out of the collector's sight: every full collection would walk it."""
    gc.collect()
    gc.freeze()


def _wait_for_our_turn() -> None:
    """Leave a busy core to whoever has it until it rests: docs/adr/0012-batch-scheduling.md."""
    try:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    except OSError as error:  # a sandbox may forbid it; nothing but speed depends on it
        log.info("process.scheduling_refused", reason=error.strerror)


def run(
    name: str,
    settings: ServiceSettings,
    service: Callable[[Process], AbstractAsyncContextManager[None]],
    *,
    version: str,
) -> None:
    """Configure logs and traces, run `service(process)` and exit with its code."""
    configure_logging(name, level=settings.log_level, log_format=settings.log_format)
    configure_tracing(name, endpoint=settings.otlp_endpoint, version=version)
    _wait_for_our_turn()
    sys.exit(uvloop.run(_main(settings, service)))


async def _main(settings: ServiceSettings, service: Callable[[Process], AbstractAsyncContextManager[None]]) -> int:
    process = Process()
    try:
        return await process.serve(service(process), settings)
    except (StartError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        log.error("process.start_failed", reason=reason)  # noqa: TRY400 - a taken port needs no stack
        return 1
    finally:
        flush_tracing()
