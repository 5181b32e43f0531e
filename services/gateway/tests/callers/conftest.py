"""A whole gateway, REST and gRPC, native and OIP, behind its door, in front of neighbours that note what they hear."""

import asyncio
import json
import time
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fairlead.events.v1.events_pb2 import FeedbackGiven, PredictionMade
from fairlead.gateway.v1 import gateway_pb2 as pb
from fairlead.preprocessing.v1.preprocessing_pb2 import TransformRequest, TransformResponse
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
from service_runtime.deadlines import Deadline
from service_runtime.grpc_server import GrpcServer
from service_runtime.http_server import HttpServer
from service_runtime.process import Process
from service_runtime.routed_app import RoutedApp
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tritonclient.grpc import service_pb2 as oip

ISSUER, AUDIENCE = "https://issuer.test", "fairlead"
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes([7])

Metadata = Mapping[str, str]


# Neighbours.


class Neighbours:
    """Triton, preprocessing and monitoring in one; `heard` is the arm that each call of a service came with."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str | None]] = []
        self.recorded: list[PredictionMade] = []

    def record(self, prediction: PredictionMade) -> None:
        self.recorded.append(prediction)

    async def feedback(self, feedback: FeedbackGiven, *, deadline: Deadline) -> bool:
        return True

    def handler(self, rpc: str, kind: type[Message], answer: Callable[[Any], Message]) -> Any:
        async def handle(request: Any, context: Any) -> Message:
            self.heard.append((rpc, dict(context.invocation_metadata()).get("x-experiment-arm")))
            return answer(request)

        return grpc.unary_unary_rpc_method_handler(
            handle,
            request_deserializer=kind.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        server = grpc.aio.server()
        triton = {
            "ModelConfig": self.handler("ModelConfig", oip.ModelConfigRequest, config),
            "ModelReady": self.handler(
                "ModelReady", oip.ModelReadyRequest, lambda _: oip.ModelReadyResponse(ready=True)
            ),
            "ModelInfer": self.handler("ModelInfer", oip.ModelInferRequest, infer),
        }
        imaging = {"Transform": self.handler("Transform", TransformRequest, transform)}
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(OIP_SERVICE, triton),
                grpc.method_handlers_generic_handler("fairlead.preprocessing.v1.PreprocessingService", imaging),
            )
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        yield f"127.0.0.1:{port}"
        await server.stop(0)


def config(_request: oip.ModelConfigRequest) -> oip.ModelConfigResponse:
    answer = oip.ModelConfigResponse()
    described = answer.config
    described.name, described.max_batch_size = "digits", 64
    described.version_policy.specific.versions.append(1)
    described.input.add(name="pixels", data_type="TYPE_FP32", dims=[64])
    described.output.add(name="label", data_type="TYPE_INT64", dims=[1])
    described.output.add(name="probabilities", data_type="TYPE_FP32", dims=[10])
    parameters = {
        "digest": "sha256:" + "5b" * 32,
        "labels": json.dumps(list("0123456789")),
        "feature_spec": "digits-8x8",
        "feature_spec_digest": "sha256:" + "8a" * 32,
    }
    for key, value in parameters.items():
        answer.config.parameters[key].string_value = value
    return answer


def infer(request: oip.ModelInferRequest) -> oip.ModelInferResponse:
    count = request.inputs[0].shape[0]
    answer = oip.ModelInferResponse(model_name="digits", model_version="1", id=request.id)
    answer.outputs.add(name="label", datatype="INT64", shape=[count])
    answer.outputs.add(name="probabilities", datatype="FP32", shape=[count, 10])
    answer.raw_output_contents.append(array("q", [7] * count).tobytes())
    answer.raw_output_contents.append(array("f", [0.1] * 10 * count).tobytes())
    return answer


def transform(request: TransformRequest) -> TransformResponse:
    count = len(request.images)
    return TransformResponse(
        feature_spec=request.feature_spec,
        feature_spec_digest=request.feature_spec_digest,
        datatype="FP32",
        shape=[count, 64],
        tensor=bytes(256 * count),
    )


# The issuer of tokens.


class Issuer:
    """Signs tokens; publishes its keys in a file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "jwks.json"
        self.published = True
        self.keys: dict[str, Any] = {"first": rsa.generate_private_key(public_exponent=65537, key_size=2048)}
        self.publish()

    def rotate(self, key_id: str) -> None:
        """Sign with a new key from now on, of another kind."""
        self.keys[key_id] = ec.generate_private_key(ec.SECP256R1())

    def publish(self) -> None:
        self.file.write_text(json.dumps(self.document()))

    def document(self) -> dict[str, Any]:
        published = []
        for key_id, key in self.keys.items():
            kind: Any = (
                jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
            )
            published.append({**kind.to_jwk(key.public_key(), as_dict=True), "kid": key_id, "use": "sig"})
        return {"keys": published}

    def token(self, *scopes: str, subject: str = "ann", without: str = "", key_id: str = "", **claims: Any) -> str:
        key_id = key_id or list(self.keys)[-1]
        key = self.keys[key_id]
        now = int(time.time())
        said = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "exp": now + 600, "scope": " ".join(scopes), **claims}
        said.pop(without, None)
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        return jwt.encode(said, key, algorithm, headers={"kid": key_id})


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    """One for all tests: an RSA key takes its time. Leave it as you found it."""
    return Issuer(tmp_path_factory.mktemp("issuer"))


@pytest.fixture
def own_issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


@pytest.fixture
def published() -> Callable[[Issuer], AbstractAsyncContextManager[tuple[str, list[int]]]]:
    """Publish an issuer's keys over HTTP: the URL, and with which status it was answered each time."""

    @asynccontextmanager
    async def serving(issuer: Issuer) -> AsyncIterator[tuple[str, list[int]]]:
        asked: list[int] = []

        async def keys(_request: Request) -> Response:
            asked.append(200 if issuer.published else 500)
            return JSONResponse(issuer.document(), asked[-1])

        app = RoutedApp([Route("/jwks", keys)], hint="")
        async with HttpServer(app, host="127.0.0.1", port=0, grace=1) as server:
            yield f"http://127.0.0.1:{server.port}/jwks", asked

    return serving


# The gateway, and one way to call everything in it.


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


@pytest.fixture
def open_gateway() -> OpenGateway:
    """Run a gateway with these settings."""

    @asynccontextmanager
    async def running(*, cooldown: float = 10, fresh: float = 300, **settings: Any) -> AsyncIterator[Gateway]:
        async with AsyncExitStack() as stack:
            yield await _start(stack, Settings(**settings), cooldown=cooldown, fresh=fresh)

    return running


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


@pytest.fixture
def with_tokens(issuer: Issuer) -> dict[str, Any]:
    """The settings of a gateway that asks for tokens."""
    return {"issuer": ISSUER, "audience": AUDIENCE, "jwks": str(issuer.file)}


Call = Callable[[Gateway, Metadata], Awaitable[Answer]]


def tensor_message() -> oip.ModelInferRequest:
    message = oip.ModelInferRequest(model_name="digits", raw_input_contents=[bytes(256)])
    message.inputs.add(name="pixels", datatype="FP32", shape=[1, 64])
    return message


TENSOR = {"inputs": [{"name": "pixels", "datatype": "FP32", "shape": [1, 64], "data": [1.0] * 64}]}
CALLS: dict[str, Call] = {
    "native REST": lambda g, h: g.rest("POST", "/v1/models/digits:predict", h, content=PICTURE),
    "native gRPC": lambda g, h: g.rpc(f"/{SERVICE}/Predict", h, pb.PredictRequest(model="digits", image=PICTURE)),
    "native stream": lambda g, h: g.rpc(
        f"/{SERVICE}/PredictStream", h, pb.PredictStreamRequest(model="digits", image=PICTURE)
    ),
    "OIP REST": lambda g, h: g.rest("POST", "/v2/models/digits/infer", h, json=TENSOR),
    "OIP gRPC": lambda g, h: g.rpc(f"/{OIP_SERVICE}/ModelInfer", h, tensor_message()),
    "OIP stream": lambda g, h: g.rpc(f"/{OIP_SERVICE}/ModelStreamInfer", h, tensor_message()),
}


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> Call:
    """One call for a prediction, in each of the ways there are."""
    return CALLS[request.param]


@pytest.fixture
def calls() -> dict[str, Call]:
    return CALLS


@pytest.fixture(params=["native REST", "native gRPC"])
def predict(request: pytest.FixtureRequest) -> Call:
    """A call over each transport, where the encoding can make no difference."""
    return CALLS[request.param]


@pytest.fixture
def bearer() -> Callable[[str], dict[str, str]]:
    return lambda token: {"authorization": f"Bearer {token}"}


@pytest.fixture
def authorized(issuer: Issuer) -> Callable[..., dict[str, str]]:
    """Return the headers that bring a token with these scopes and claims."""
    return lambda *scopes, **claims: {"authorization": f"Bearer {issuer.token(*scopes, **claims)}"}


@pytest.fixture
async def guarded(open_gateway: OpenGateway, with_tokens: dict[str, Any]) -> AsyncIterator[Gateway]:
    """A gateway that asks for tokens."""
    async with open_gateway(**with_tokens) as gateway:
        yield gateway
