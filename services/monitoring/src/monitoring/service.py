"""The service between start and stop: what is built, in which order, and what readiness asks."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial

import structlog
from fairlead.monitoring.v1 import monitoring_pb2, monitoring_pb2_grpc
from grpc import StatusCode
from service_runtime.grpc_server import GrpcServer
from service_runtime.http_server import HttpServer
from service_runtime.process import Process

from monitoring.database import moved_aside
from monitoring.grpc_api import MonitoringServicer
from monitoring.judgement_metrics import JudgementMetrics, keep_judgement_metrics
from monitoring.metrics import Metrics, QualityMetrics
from monitoring.page_api import create_page_app
from monitoring.quality_metrics import keep_quality_metrics
from monitoring.reader import Reader
from monitoring.recording import Recorder
from monitoring.retention import Retention
from monitoring.settings import Settings
from monitoring.writer import Writer

log = structlog.get_logger()

_SERVICE = monitoring_pb2.DESCRIPTOR.services_by_name["MonitoringService"].full_name


@asynccontextmanager
async def serve(process: Process, settings: Settings) -> AsyncIterator[None]:
    """Serve until left; then stop accepting, finish what is in flight, close."""
    metrics = Metrics()
    writer = Writer(
        settings.database,
        max_waiting=settings.max_waiting_batches,
        interval=settings.commit_interval,
        on_commit=metrics.commit_seconds.observe,
    )
    metrics.database_rows.set_function(lambda: writer.rows)
    metrics.waiting.set_function(lambda: writer.waiting)
    metrics.storage_failing.set_function(lambda: float(writer.failure is not None))
    process.readiness.require("database", writer.check)
    reader = Reader(settings.database, at_once=settings.max_queries, queued=settings.max_queued_queries)
    servicer = MonitoringServicer(Recorder(writer, metrics, settings), reader, timeout=settings.query_timeout)
    retention = Retention(writer, metrics, settings)
    page = _page(settings, reader, writer)
    loops = (
        retention.run,
        partial(keep_quality_metrics, reader, QualityMetrics(), settings),
        partial(keep_judgement_metrics, reader, JudgementMetrics(), settings),
    )
    async with writer, _background(process, *loops), page, _grpc(process, settings, servicer, metrics):
        log.info("page.listening", host=settings.page_host, port=page.port)
        yield


def _grpc(process: Process, settings: Settings, servicer: MonitoringServicer, metrics: Metrics) -> GrpcServer:
    def observe(method: str, code: StatusCode, seconds: float) -> None:
        metrics.call_seconds.labels(method.rpartition("/")[2], code.name).observe(seconds)

    server = GrpcServer(
        process,
        address=settings.grpc_address,
        grace=settings.grace,
        services=(_SERVICE,),
        reflected=settings.reflection,
        observe=observe,
    )
    monitoring_pb2_grpc.add_MonitoringServiceServicer_to_server(servicer, server.server)
    process.on_drain(servicer.drain)
    return server


def _page(settings: Settings, reader: Reader, writer: Writer) -> HttpServer:
    async def storage() -> dict[str, object]:
        kept = await asyncio.to_thread(moved_aside, settings.database)
        return {"failure": writer.failure, "moved_aside": kept}

    app = create_page_app(reader, timeout=settings.query_timeout, storage=storage)
    return HttpServer(app, host=settings.page_host, port=settings.page_port, grace=settings.grace)


@asynccontextmanager
async def _background(process: Process, *loops: Callable[[], Coroutine[object, object, None]]) -> AsyncIterator[None]:
    """Run loops beside the service; one that ends by itself has a defect, and the process with it."""

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            log.error("background.ended", exc_info=task.exception())
            process.fail("a background loop ended")

    tasks = [asyncio.create_task(loop()) for loop in loops]
    for task in tasks:
        task.add_done_callback(ended)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
