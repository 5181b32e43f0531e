"""The gateway as one service: REST, gRPC and the page over the same use cases."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fairlead.gateway.v1 import gateway_pb2
from service_runtime.grpc_server import GrpcServer
from service_runtime.http_server import HttpServer
from service_runtime.process import Process
from service_runtime.readiness import Readiness
from service_runtime.routed_app import RoutedApp

from gateway.bootstrap import Collaborators, build_collaborators
from gateway.grpc_edge import GrpcEdge
from gateway.http_edge import HttpEdge
from gateway.native.grpc_api import add_prediction_servicer
from gateway.native.http_api import http_routes
from gateway.oip.grpc_api import OIP_SERVICE, add_oip_servicer
from gateway.oip.http_api import oip_routes
from gateway.oip.queries import Queries
from gateway.openapi.document import openapi_routes
from gateway.page.http_api import page_routes
from gateway.settings import Settings

_NATIVE_SERVICE = gateway_pb2.DESCRIPTOR.services_by_name["PredictionService"].full_name


@asynccontextmanager
async def gateway(process: Process, settings: Settings) -> AsyncIterator[None]:
    """Serve until left; then stop accepting, finish what is in flight, flush to monitoring, close."""
    parts = build_collaborators(settings)
    process.readiness.require("inference", parts.triton.check_ready)
    queries = build_queries(parts, process.readiness)
    if parts.keys is not None:
        process.readiness.require("issuer", parts.keys.check_ready)
    http = HttpEdge(settings, parts.door, parts.gate, process.readiness, parts.metrics)
    app = create_app(settings, parts, queries, http)
    async with AsyncExitStack() as stack:
        for upstream in parts.upstreams:
            stack.push_async_callback(upstream.aclose)
        # On a busy node the first look at a name takes seconds: before somebody waits for it, and not longer than that.
        await asyncio.gather(*(upstream.connect() for upstream in parts.upstreams))
        if parts.keys is not None:
            await stack.enter_async_context(parts.keys)
        await stack.enter_async_context(parts.recorder)
        if parts.shadow is not None:
            await stack.enter_async_context(parts.shadow)
        await stack.enter_async_context(
            HttpServer(app, host=settings.http_host, port=settings.http_port, grace=settings.grace, shed=http.shed)
        )
        edge = GrpcEdge(settings, parts.door, parts.gate, parts.metrics)
        server = GrpcServer(
            process,
            address=settings.grpc_address,
            grace=settings.grace,
            services=(_NATIVE_SERVICE, OIP_SERVICE),
            reflected=settings.reflection,
            observe=edge.observe,
            enter=edge.enter,
            max_message_bytes=settings.max_body_bytes,
        )
        add_prediction_servicer(server.server, edge, parts.predictor, parts.feedback, parts.catalog)
        add_oip_servicer(server.server, edge=edge, inference=parts.inference, queries=queries)
        await stack.enter_async_context(server)
        yield


def build_queries(parts: Collaborators, readiness: Readiness) -> Queries:
    """Return what answers the OIP calls that are no inference."""

    async def ready() -> bool:
        return not await readiness.failures()

    return Queries(parts.catalog, parts.triton, ready=ready)


def create_app(settings: Settings, parts: Collaborators, queries: Queries, edge: HttpEdge) -> RoutedApp:
    """Return the HTTP app: native API, Open Inference Protocol and the pages."""
    routes = [
        *http_routes(
            edge,
            parts.predictor,
            parts.feedback,
            parts.catalog,
            latencies=parts.latencies,
            max_body_bytes=settings.max_body_bytes,
        ),
        *oip_routes(
            edge=edge,
            inference=parts.inference,
            queries=queries,
            body_limit=settings.max_body_bytes,
            json_limit=settings.max_json_bytes,
        ),
        *openapi_routes(),
        *page_routes(),
    ]
    routes.sort(key=lambda route: "POST" not in (route.methods or ()))  # tried in order, and these are the busy ones
    return RoutedApp(routes, hint="GET /docs lists what there is.")
