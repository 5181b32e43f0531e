"""A whole gateway, REST and gRPC, native and OIP, behind its door, in front of neighbours that note what they hear."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx2
from gateway.app import build_queries, create_app
from gateway.bootstrap import Collaborators, build_door
from gateway.callers.keys import KeyRing
from gateway.grpc_edge import GrpcEdge
from gateway.http_edge import HttpEdge
from gateway.metrics import CallerMetrics, IssuerMetrics, RequestMetrics, UpstreamMetrics
from gateway.native.feedback import FeedbackDesk
from gateway.native.grpc_api import SERVICE, add_prediction_servicer
from gateway.native.latency import LatencyWindow
from gateway.native.predict import Predictor
from gateway.oip.grpc_api import OIP_SERVICE, add_oip_servicer
from gateway.oip.inference import Inference
from gateway.preprocessing import PreprocessingClient
from gateway.settings import Settings
from gateway.triton import Triton
from gateway.triton_catalog import TritonCatalog
from gateway.upstream import Upstream
from google.protobuf.message import Message
from prometheus_client import CollectorRegistry
from service_runtime.admission import AdmissionGate
from service_runtime.grpc_server import GrpcServer
from service_runtime.http_server import HttpServer
from service_runtime.process import Process
from service_runtime.routed_app import RoutedApp

from gateway_kit.neighbours import Neighbours

Metadata = Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """What a caller sees: a gRPC status code, what was said beside the answer, and the body of an HTTP answer."""

    code: str
    said: str
    headers: dict[str, str]
    body: Any = None


@dataclass
class Gateway:
    """A running gateway, with the ways to call it."""

    neighbours: Neighbours
    registry: CollectorRegistry
    app: RoutedApp
    keys: KeyRing | None
    http: httpx2.AsyncClient
    grpc_address: str
    turned_away: Callable[[str], float] = field(init=False)

    def __post_init__(self) -> None:
        def count(reason: str) -> float:
            return self.registry.get_sample_value("gateway_callers_refused_total", {"reason": reason}) or 0

        self.turned_away = count

    async def rest(self, method: str, path: str, headers: Metadata, **content: Any) -> Answer:
        response = await self.http.request(method, path, headers=dict(headers), **content)
        body = response.json() if "json" in response.headers.get("content-type", "") else response.content
        if response.is_success:
            return Answer("OK", "", dict(response.headers), body)
        problem = response.json()
        return Answer(problem["code"], problem["detail"], dict(response.headers), problem)

    async def rpc(self, path: str, headers: Metadata, message: Message | bytes = b"", *, seconds: float = 10) -> Answer:
        """Call any method, of any kind, with one message."""
        raw = message if isinstance(message, bytes) else message.SerializeToString()
        return await asyncio.to_thread(self._rpc, path, tuple(headers.items()), raw, seconds)

    def _rpc(self, path: str, headers: tuple[tuple[str, str], ...], message: bytes, seconds: float) -> Answer:
        # Not by grpc.aio: when a stream is refused while it still sends, it reports its own INTERNAL instead.
        with grpc.insecure_channel(self.grpc_address) as channel:
            method: Any = channel.stream_stream(path)
            call = method(iter((message,)), metadata=headers, timeout=seconds)
            answers: list[bytes] = []
            with suppress(grpc.RpcError):
                answers.extend(call)
            beside = {**dict(call.initial_metadata() or ()), **dict(call.trailing_metadata() or ())}
            return Answer(call.code().name, call.details(), beside, answers)


OpenGateway = Callable[..., AbstractAsyncContextManager[Gateway]]


@asynccontextmanager
async def running(*, cooldown: float = 10, fresh: float = 300, **settings: Any) -> AsyncIterator[Gateway]:
    """Run a gateway with these settings."""
    async with AsyncExitStack() as stack:
        yield await _start(stack, Settings(**settings), cooldown=cooldown, fresh=fresh)


async def _start(stack: AsyncExitStack, settings: Settings, *, cooldown: float, fresh: float) -> Gateway:
    neighbours, registry, process = Neighbours(), CollectorRegistry(), Process()
    process.readiness.started = True
    address = await stack.enter_async_context(neighbours.serving())
    keys = None
    if settings.issuer:
        keys = KeyRing(settings.jwks, IssuerMetrics(registry), cooldown_seconds=cooldown, fresh_seconds=fresh)
        await stack.enter_async_context(keys)
    parts = _parts(
        settings,
        neighbours,
        registry,
        Upstream("t", address, max_message_bytes=1 << 20, metrics=UpstreamMetrics(registry)),
        keys,
    )
    stack.push_async_callback(parts.upstreams[0].aclose)
    queries = build_queries(parts, process.readiness)
    edge = HttpEdge(settings, parts.door, parts.gate, process.readiness, parts.metrics)
    app = create_app(settings, parts, queries, edge)
    web = await stack.enter_async_context(HttpServer(app, host="127.0.0.1", port=0, grace=1, shed=edge.shed))
    rpc_edge = GrpcEdge(settings, parts.door, parts.gate, parts.metrics)
    rpc = GrpcServer(
        process,
        address="127.0.0.1:0",
        grace=1,
        services=(SERVICE, OIP_SERVICE),
        reflected=True,
        observe=rpc_edge.observe,
        enter=rpc_edge.enter,
    )
    add_prediction_servicer(rpc.server, rpc_edge, parts.predictor, parts.feedback, parts.catalog)
    add_oip_servicer(rpc.server, edge=rpc_edge, inference=parts.inference, queries=queries)
    await stack.enter_async_context(rpc)
    client = await stack.enter_async_context(httpx2.AsyncClient(base_url=f"http://127.0.0.1:{web.port}", timeout=10))
    return Gateway(neighbours, registry, app, keys, client, f"127.0.0.1:{rpc.port}")


def _parts(
    settings: Settings, neighbours: Neighbours, registry: CollectorRegistry, upstream: Upstream, keys: KeyRing | None
) -> Collaborators:
    triton = Triton(upstream)
    catalog = TritonCatalog(triton, ttl=60)
    latencies = LatencyWindow()
    predictor = Predictor(
        catalog,
        PreprocessingClient(upstream),
        triton,
        neighbours,
        max_batch=4,
        latencies=latencies,
        revision=settings.answering_revision,
    )
    recorder: Any = neighbours
    return Collaborators(
        triton=triton,
        upstreams=(upstream,),
        catalog=catalog,
        inference=Inference(catalog, triton),
        recorder=recorder,
        shadow=None,
        predictor=predictor,
        feedback=FeedbackDesk(catalog, neighbours),
        latencies=latencies,
        keys=keys,
        door=build_door(settings, keys, CallerMetrics(registry)),
        gate=AdmissionGate(32, 64),
        metrics=RequestMetrics(registry),
    )
