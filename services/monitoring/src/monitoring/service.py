"""The service between start and stop: what is built, in which order, and what readiness asks."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fairlead.monitoring.v1 import monitoring_pb2, monitoring_pb2_grpc
from grpc import StatusCode
from service_runtime.grpc_server import GrpcServer
from service_runtime.process import Process

from monitoring.grpc_api import MonitoringServicer
from monitoring.metrics import Metrics
from monitoring.reader import Reader
from monitoring.recording import Recorder
from monitoring.settings import Settings
from monitoring.writer import Writer

_SERVICE = monitoring_pb2.DESCRIPTOR.services_by_name["MonitoringService"].full_name


def create_service(settings: Settings) -> Callable[[Process], AbstractAsyncContextManager[None]]:
    """Return what `service_runtime.process.run` runs."""

    @asynccontextmanager
    async def service(process: Process) -> AsyncIterator[None]:
        metrics = Metrics()
        writer = Writer(
            settings.database, max_waiting=settings.max_waiting_batches, on_commit=metrics.commit_seconds.observe
        )
        metrics.waiting.set_function(lambda: writer.waiting)
        metrics.storage_failing.set_function(lambda: float(writer.failure is not None))
        process.readiness.require("database", writer.check)
        reader = Reader(settings.database, at_once=settings.max_queries, queued=settings.max_queued_queries)
        servicer = MonitoringServicer(Recorder(writer, metrics, settings), reader, timeout=settings.query_timeout)
        async with writer, _grpc(process, settings, servicer, metrics):
            yield

    return service


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
