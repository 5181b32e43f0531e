"""The protocol on a real gRPC server, in front of a Triton that a test can steer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import grpc
import pytest
from gateway.callers.door import Door
from gateway.catalog import ServedModel, TensorSpec
from gateway.grpc_edge import GrpcEdge
from gateway.metrics import CallerMetrics, RequestMetrics
from gateway.oip.grpc_api import OIP_SERVICE, add_oip_servicer
from gateway.oip.inference import Inference
from gateway.oip.queries import Queries
from gateway.settings import Settings
from google.protobuf.message import Message
from prometheus_client import CollectorRegistry
from service_runtime.admission import AdmissionGate
from service_runtime.deadlines import Deadline
from service_runtime.errors import NotFound
from service_runtime.grpc_server import GrpcServer
from service_runtime.process import Process
from tritonclient.grpc import service_pb2 as oip

M = TypeVar("M", bound=Message)

ROWS = ServedModel(
    name="rows",
    version="1",
    versions=("1",),
    platform="python",
    ready=True,
    digest="sha256:" + "ab" * 32,
    inputs=(TensorSpec("row", "FP32", (-1, 2)),),
    outputs=(TensorSpec("twice", "FP32", (-1, 2)),),
    max_batch_size=4,
    labels=(),
    feature_spec="",
    feature_spec_digest="",
)
Answer = Callable[[oip.ModelInferRequest], Awaitable[bytes]]


async def default_answer(request: oip.ModelInferRequest) -> bytes:
    return answer_to(request).SerializeToString()


def answer_to(request: oip.ModelInferRequest, *, version: str = "1") -> oip.ModelInferResponse:
    response = oip.ModelInferResponse(model_name="rows", model_version=version, id=request.id)
    response.outputs.add(name="twice", datatype="FP32", shape=[1, 2])
    response.raw_output_contents.append(request.raw_input_contents[0])
    return response


@dataclass
class SteeredTriton:
    """Answers as it is told, and remembers what it was sent."""

    answer: Answer = default_answer
    received: list[bytes] = field(default_factory=list)
    deadlines: list[Deadline] = field(default_factory=list)
    cancelled: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)

    async def infer(self, request: bytes, *, deadline: Deadline) -> bytes:
        self.received.append(request)
        self.deadlines.append(deadline)
        try:
            return await self.answer(oip.ModelInferRequest.FromString(request))
        except asyncio.CancelledError:
            self.cancelled.put_nowait(request)
            raise

    async def call(self, rpc: str, request: Message, response: type[M], *, deadline: Deadline) -> M:
        raise NotFound(f"{rpc} is not part of this test")


@dataclass
class KnownModels:
    models: Sequence[ServedModel] = (ROWS,)

    async def get(self, name: str, version: str = "", *, deadline: Deadline) -> ServedModel:
        for model in self.models:
            if model.name == name and (not version or model.version == version):
                return model
        raise NotFound(f"no {name}")

    async def answering(self, name: str, version: str, *, deadline: Deadline) -> ServedModel:
        return await self.get(name, version, deadline=deadline)

    async def list(self, *, deadline: Deadline) -> list[ServedModel]:
        return list(self.models)


@pytest.fixture
def triton() -> SteeredTriton:
    return SteeredTriton()


@pytest.fixture
def models() -> KnownModels:
    return KnownModels()


@pytest.fixture
def with_versions(models: KnownModels) -> dict[str, str]:
    """Serve versions 1 and 2; returns their digests."""
    digests = {version: f"sha256:{version * 64}" for version in ("1", "2")}
    models.models = [replace(ROWS, version=version, digest=digest) for version, digest in digests.items()]
    return digests


@pytest.fixture
def inference(models: KnownModels, triton: SteeredTriton) -> Inference:
    return Inference(models, triton)


@pytest.fixture
def row_message() -> Callable[..., oip.ModelInferRequest]:
    def build(message_id: str = "", **parameters: oip.InferParameter) -> oip.ModelInferRequest:
        request = oip.ModelInferRequest(model_name="rows", id=message_id, raw_input_contents=[bytes(8)])
        request.inputs.add(name="row", datatype="FP32", shape=[1, 2])
        for name, value in parameters.items():
            request.parameters[name].CopyFrom(value)
        return request

    return build


@pytest.fixture
async def channel(inference: Inference, models: KnownModels, triton: SteeredTriton) -> AsyncIterator[grpc.aio.Channel]:
    async def ready() -> bool:
        return True

    registry = CollectorRegistry()
    server = GrpcServer(
        Process(), address="127.0.0.1:0", grace=0, services=[OIP_SERVICE], reflected=False, observe=lambda *_: None
    )
    edge = GrpcEdge(Settings(), Door(CallerMetrics(registry)), AdmissionGate(64, 0), RequestMetrics(registry))
    add_oip_servicer(server.server, edge=edge, inference=inference, queries=Queries(models, triton, ready=ready))
    async with server, grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as opened:
        yield opened
