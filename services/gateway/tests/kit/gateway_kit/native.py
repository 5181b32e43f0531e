"""The native API on real servers, in front of neighbours that a test can steer."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from gateway.callers.door import Door
from gateway.grpc_edge import GrpcEdge
from gateway.http_edge import HttpEdge
from gateway.metrics import CallerMetrics, RequestMetrics
from gateway.native.feedback import FeedbackDesk
from gateway.native.grpc_api import SERVICE, add_prediction_servicer
from gateway.native.http_api import http_routes
from gateway.native.latency import LatencyWindow
from gateway.native.predict import Predictor
from gateway.settings import Settings
from prometheus_client import CollectorRegistry
from service_runtime.admission import AdmissionGate
from service_runtime.grpc_server import GrpcServer
from service_runtime.http_server import HttpServer
from service_runtime.process import Process
from starlette.applications import Starlette

from gateway_kit.fakes import FakeCatalog, FakeInference, FakeMonitoring, FakePreprocessor

MAX_BATCH = 4


@dataclass
class NativeGateway:
    """A gateway's native API and the neighbours that it talks to."""

    catalog: FakeCatalog
    preprocessor: FakePreprocessor
    inference: FakeInference
    monitoring: FakeMonitoring
    http_url: str = ""
    grpc_address: str = ""


@asynccontextmanager
async def native_gateway() -> AsyncIterator[NativeGateway]:
    """Serve the native API alone, over REST and gRPC."""
    settings = Settings(grpc_address="127.0.0.1:0", max_body_bytes=1 << 20)
    world = NativeGateway(FakeCatalog(), FakePreprocessor(), FakeInference(), FakeMonitoring())
    process, gate, latencies = Process(), AdmissionGate(32, 64), LatencyWindow()
    registry = CollectorRegistry()
    metrics, door = RequestMetrics(registry), Door(CallerMetrics(registry))
    predictor = Predictor(
        world.catalog,
        world.preprocessor,
        world.inference,
        world.monitoring,
        max_batch=MAX_BATCH,
        latencies=latencies,
        revision=settings.answering_revision,
    )
    desk = FeedbackDesk(world.catalog, world.monitoring)
    routes = http_routes(
        HttpEdge(settings, door, gate, process.readiness, metrics),
        predictor,
        desk,
        world.catalog,
        latencies=latencies,
        max_body_bytes=settings.max_body_bytes,
    )
    async with AsyncExitStack() as servers:
        http = await servers.enter_async_context(
            HttpServer(Starlette(routes=routes), host="127.0.0.1", port=0, grace=1)
        )
        rpc = GrpcServer(
            process,
            address=settings.grpc_address,
            grace=1,
            services=(SERVICE,),
            reflected=False,
            observe=lambda *_: None,
            max_message_bytes=settings.max_body_bytes,
        )
        add_prediction_servicer(rpc.server, GrpcEdge(settings, door, gate, metrics), predictor, desk, world.catalog)
        await servers.enter_async_context(rpc)
        world.http_url, world.grpc_address = f"http://127.0.0.1:{http.port}", f"127.0.0.1:{rpc.port}"
        yield world
