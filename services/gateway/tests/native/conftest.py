"""The native API on real servers, in front of neighbours that a test can steer."""

import asyncio
import base64
import json
import uuid
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import grpc
import httpx2
import pytest
from fairlead.events.v1.events_pb2 import FeedbackGiven, PredictionMade
from fairlead.gateway.v1 import gateway_pb2 as pb
from fairlead.gateway.v1.gateway_pb2_grpc import PredictionServiceStub
from fairlead.preprocessing.v1.preprocessing_pb2 import TransformResponse
from gateway.callers.door import Door
from gateway.catalog import ServedModel, TensorSpec
from gateway.grpc_edge import GrpcEdge
from gateway.http_edge import HttpEdge
from gateway.metrics import CallerMetrics, RequestMetrics
from gateway.native.feedback import FeedbackDesk
from gateway.native.grpc_api import SERVICE, add_prediction_servicer
from gateway.native.http_api import http_routes
from gateway.native.latency import LatencyWindow
from gateway.native.predict import Predictor
from gateway.settings import Settings
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from prometheus_client import CollectorRegistry
from service_runtime.admission import AdmissionGate
from service_runtime.deadlines import Deadline
from service_runtime.errors import InvalidInput, NotFound, ServiceError, Violation
from service_runtime.grpc_server import GrpcServer
from service_runtime.http_server import HttpServer
from service_runtime.process import Process
from starlette.applications import Starlette
from tritonclient.grpc.service_pb2 import ModelInferRequest, ModelInferResponse

MAX_BATCH = 4

DIGITS = ServedModel(
    name="digits",
    version="3",
    versions=("3",),
    platform="python",
    ready=True,
    digest="sha256:" + "5b" * 32,
    inputs=(TensorSpec("pixels", "FP32", (-1, 64)),),
    outputs=(TensorSpec("label", "INT64", (-1,)), TensorSpec("probabilities", "FP32", (-1, 10))),
    max_batch_size=64,
    labels=tuple("0123456789"),
    feature_spec="digits-8x8",
    feature_spec_digest="sha256:" + "8a" * 32,
)
TENSORS_ONLY = replace(DIGITS, name="tensors", labels=(), feature_spec="", feature_spec_digest="")


@dataclass
class FakeCatalog:
    models: dict[tuple[str, str], ServedModel] = field(
        default_factory=lambda: {("digits", ""): DIGITS, ("tensors", ""): TENSORS_ONLY}
    )
    failure: ServiceError | None = None

    async def get(self, name: str, version: str = "", *, deadline: Deadline) -> ServedModel:
        if self.failure:
            raise self.failure
        try:
            return self.models[name, version]
        except KeyError:
            raise NotFound(f"There is no model '{name}'.") from None

    async def answering(self, name: str, version: str, *, deadline: Deadline) -> ServedModel:
        return await self.get(name, version, deadline=deadline)

    async def list(self, *, deadline: Deadline) -> list[ServedModel]:
        if self.failure:
            raise self.failure
        return [model for (_, version), model in self.models.items() if not version]


@dataclass
class FakePreprocessor:
    """Reads pictures as `picture()` makes them: a PNG signature and the digit."""

    failure: ServiceError | None = None
    hold: asyncio.Event | None = None
    specs: list[str] = field(default_factory=list)
    most_at_once: int = 0
    at_once: int = 0

    async def transform(
        self, images: Sequence[bytes], *, feature_spec: str, digest: str, deadline: Deadline
    ) -> TransformResponse:
        self.specs.append(digest)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.hold:
                await self.hold.wait()
        finally:
            self.at_once -= 1
        if self.failure:
            raise self.failure
        for position, image in enumerate(images):
            if not image.startswith(b"\x89PNG"):
                reason = "This is not a picture that can be read."
                raise InvalidInput(
                    f"images[{position}]: {reason}", violations=(Violation(f"images[{position}]", reason),)
                )
        rows = b"".join(array("f", [image[-1]] * 64).tobytes() for image in images)
        return TransformResponse(
            feature_spec=feature_spec,
            feature_spec_digest=digest,
            datatype="FP32",
            shape=[len(images), 64],
            tensor=rows,
        )


@dataclass
class FakeInference:
    """Answers with the digit that the features hold, 91 % sure, as one version or as several in turn."""

    version: str = "3"
    turns: list[str] = field(default_factory=list)
    probability: float = 0.91
    classes: int = 10
    failure: ServiceError | None = None

    async def infer(self, request: bytes, *, deadline: Deadline) -> bytes:
        if self.failure:
            raise self.failure
        asked = ModelInferRequest.FromString(request)
        count = asked.inputs[0].shape[0]
        digits = [int(value) for value in array("f", asked.raw_input_contents[0])[::64]]
        rows = [[self.probability if each == digit else 0.01 for each in range(self.classes)] for digit in digits]
        version = self.turns.pop(0) if self.turns else self.version
        answer = ModelInferResponse(model_name=asked.model_name, model_version=version)
        answer.outputs.add(name="label", datatype="INT64", shape=[count])
        answer.outputs.add(name="probabilities", datatype="FP32", shape=[count, self.classes])
        answer.raw_output_contents.append(array("q", digits).tobytes())
        answer.raw_output_contents.append(array("f", chain.from_iterable(rows)).tobytes())
        return bytes(answer.SerializeToString())

    async def call(self, rpc: str, request: Message, response: type[Any], *, deadline: Deadline) -> Any:
        raise NotImplementedError(rpc)


@dataclass
class FakeMonitoring:
    recorded: list[PredictionMade] = field(default_factory=list)
    feedbacks: list[FeedbackGiven] = field(default_factory=list)
    failure: ServiceError | None = None

    def record(self, prediction: PredictionMade) -> None:
        self.recorded.append(prediction)

    async def feedback(self, feedback: FeedbackGiven, *, deadline: Deadline) -> bool:
        if self.failure:
            raise self.failure
        self.feedbacks.append(feedback)
        return any(made.prediction_id == feedback.prediction_id for made in self.recorded)


@dataclass
class Gateway:
    """A gateway's native API and the neighbours that it talks to."""

    catalog: FakeCatalog
    preprocessor: FakePreprocessor
    inference: FakeInference
    monitoring: FakeMonitoring
    http_url: str = ""
    grpc_address: str = ""


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in code that knows no events
            await asyncio.sleep(0.005)


@pytest.fixture(name="until")
def until_() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Wait for something to become true, five seconds at most."""
    return until


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    settings = Settings(grpc_address="127.0.0.1:0", max_body_bytes=1 << 20)
    world = Gateway(FakeCatalog(), FakePreprocessor(), FakeInference(), FakeMonitoring())
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


@dataclass
class Refused(Exception):
    """What a caller sees of an error, the same over both transports."""

    code: str
    message: str
    violations: list[str]
    retryable: bool


class RestApi:
    """The native API over REST, its answers in the shape of the proto's JSON."""

    caller_kind = "CALLER_KIND_REST"

    def __init__(self, gateway: Gateway) -> None:
        self._client = httpx2.AsyncClient(base_url=gateway.http_url)

    async def predict(self, model: str, image: bytes) -> dict[str, Any]:
        return await self._post(f"/v1/models/{model}:predict", image, "image/png")

    async def batch_predict(self, model: str, images: list[bytes]) -> list[dict[str, Any]]:
        body = json.dumps({"images": [base64.b64encode(image).decode() for image in images]}).encode()
        answer = await self._post(f"/v1/models/{model}:batchPredict", body, "application/json")
        return list(answer["predictions"])

    async def feedback(self, prediction_id: str, label: str, source: str = "") -> bool:
        body = json.dumps({"label": label, "source": source}).encode()
        answer = await self._post(f"/v1/predictions/{prediction_id}:feedback", body, "application/json")
        return bool(answer["prediction_known"])

    async def models(self) -> list[dict[str, Any]]:
        return list(self._answer(await self._client.get("/v1/models"))["models"])

    async def model(self, name: str) -> dict[str, Any]:
        return self._answer(await self._client.get(f"/v1/models/{name}"))

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _post(self, path: str, body: bytes, media_type: str) -> dict[str, Any]:
        return self._answer(await self._client.post(path, content=body, headers={"content-type": media_type}))

    def _answer(self, response: httpx2.Response) -> dict[str, Any]:
        body = response.json()
        if response.is_success:
            return dict(body)
        assert response.headers["content-type"] == "application/problem+json"
        raise Refused(body["code"], body["detail"], [v["field"] for v in body["violations"]], body["retryable"])


class GrpcApi:
    """The native API over gRPC, its answers in the shape of REST's JSON."""

    caller_kind = "CALLER_KIND_GRPC"

    def __init__(self, gateway: Gateway) -> None:
        self._channel = grpc.aio.insecure_channel(gateway.grpc_address)
        self._stub = PredictionServiceStub(self._channel)

    async def predict(self, model: str, image: bytes) -> dict[str, Any]:
        answer = await self._call(self._stub.Predict(pb.PredictRequest(model=model, image=image)))
        return _as_rest(answer["prediction"])

    async def batch_predict(self, model: str, images: list[bytes]) -> list[dict[str, Any]]:
        answer = await self._call(self._stub.BatchPredict(pb.BatchPredictRequest(model=model, images=images)))
        return [_as_rest(prediction) for prediction in answer["predictions"]]

    async def feedback(self, prediction_id: str, label: str, source: str = "") -> bool:
        request = pb.SendFeedbackRequest(prediction_id=prediction_id, label=label, source=source)
        return bool((await self._call(self._stub.SendFeedback(request)))["prediction_known"])

    async def models(self) -> list[dict[str, Any]]:
        answer = await self._call(self._stub.ListModels(pb.ListModelsRequest()))
        return [_model_as_rest(model) for model in answer["models"]]

    async def model(self, name: str) -> dict[str, Any]:
        return _model_as_rest((await self._call(self._stub.GetModel(pb.GetModelRequest(model=name))))["model"])

    async def aclose(self) -> None:
        await self._channel.close()

    async def _call(self, call: Any) -> dict[str, Any]:
        try:
            message = await call
        except grpc.aio.AioRpcError as error:
            trailers = dict(error.trailing_metadata() or ())
            raise Refused(
                error.code().name, error.details() or "", _violations(trailers), "grpc-retry-pushback-ms" in trailers
            ) from error
        return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _violations(trailers: dict[str, Any]) -> list[str]:
    status = status_pb2.Status.FromString(trailers.get("grpc-status-details-bin", b""))
    bad = error_details_pb2.BadRequest()
    return [v.field for detail in status.details if detail.Unpack(bad) for v in bad.field_violations]


def _as_rest(prediction: dict[str, Any]) -> dict[str, Any]:
    timings = prediction.pop("timings")
    return {**prediction, "timings_ms": {stage.removesuffix("_ms"): spent for stage, spent in timings.items()}}


def _model_as_rest(model: dict[str, Any]) -> dict[str, Any]:
    ref = model.pop("ref")
    tensors = {
        kind: [{**tensor, "shape": [int(size) for size in tensor["shape"]]} for tensor in model.pop(kind)]
        for kind in ("inputs", "outputs")
    }
    return {**ref, **tensors, "feature_spec": None, **model}


@pytest.fixture(params=[RestApi, GrpcApi], ids=["rest", "grpc"])
async def api(request: pytest.FixtureRequest, gateway: Gateway) -> AsyncIterator[RestApi | GrpcApi]:
    client = request.param(gateway)
    yield client
    await client.aclose()


@pytest.fixture
def fakes() -> tuple[FakeCatalog, FakePreprocessor, FakeInference]:
    return FakeCatalog(), FakePreprocessor(), FakeInference()


@pytest.fixture
def refused() -> type[Refused]:
    return Refused


@pytest.fixture
async def http(gateway: Gateway) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=gateway.http_url) as client:
        yield client


@pytest.fixture
async def stub(gateway: Gateway) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(gateway.grpc_address) as channel:
        yield PredictionServiceStub(channel)


@pytest.fixture
def unknown_id() -> str:
    return str(uuid.uuid4())
