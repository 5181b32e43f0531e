"""Two real Tritons, each with its own version of digits, behind one address; and a gateway in front of that."""

import asyncio
import random
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import httpx2
import pytest
import yaml
from fairlead.gateway.v1 import gateway_pb2 as pb
from fairlead.gateway.v1.gateway_pb2_grpc import PredictionServiceStub
from local_stack.first_picture import PICTURE
from local_stack.ports import free_ports
from local_stack.pytest_plugin import StartStack
from local_stack.settings import ROOT, StackSettings, release_pins
from local_stack.stack import Stack
from tritonclient.grpc import service_pb2 as oip
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

RECORDS = [yaml.safe_load(path.read_text()) for path in (ROOT / "models" / "digits" / "releases").glob("*.yaml")]
DIGESTS = {str(record["version"]): str(record["digest"]) for record in RECORDS}
[STABLE] = [version for version, digest in DIGESTS.items() if release_pins()["INFERENCE_PINS"].endswith(digest)]
[CANARY] = DIGESTS.keys() - {STABLE}
ARM_HEADER = "x-experiment-arm"
SHADOW_HEADER = "x-fairlead-shadow"


class Mesh:
    """One address for several servers, of which each call meets another, as behind an Envoy.

    The share of a canary, and which one an arm of an experiment meets, may change at any time.
    """

    def __init__(self, stable: str, canary: str) -> None:
        self.canary_share = 0.0
        self.canary_arms: set[str] = set()
        self._targets = (stable, canary)
        self._chance = random.Random(20261130)

    def meets(self, metadata: Mapping[str, str]) -> int:
        if SHADOW_HEADER in metadata:
            return 1
        arm = metadata.get(ARM_HEADER)
        if arm is not None and self.canary_arms:
            return int(arm in self.canary_arms)
        return int(self._chance.random() < self.canary_share)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        channels = [grpc.aio.insecure_channel(target) for target in self._targets]
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        server.add_generic_rpc_handlers((_PassedOn(self, channels),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        yield f"127.0.0.1:{port}"
        await server.stop(0)
        for channel in channels:
            await channel.close()


class _PassedOn(grpc.GenericRpcHandler):
    def __init__(self, mesh: Mesh, channels: list[grpc.aio.Channel]) -> None:
        self._mesh = mesh
        self._channels = channels

    def service(self, call: Any) -> Any:
        async def pass_on(message: bytes, context: Any) -> bytes:
            headers = dict(context.invocation_metadata())
            method: Any = self._channels[self._mesh.meets(headers)].unary_unary(call.method)
            try:
                return await method(message, timeout=context.time_remaining())
            except grpc.aio.AioRpcError as error:
                return await context.abort(error.code(), error.details() or "")

        return grpc.unary_unary_rpc_method_handler(pass_on)


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A real Triton with the version that the shared one does not have."""
    inference = Stack(
        tmp_path_factory.mktemp("canary"),
        ports=free_ports(),
        environment=StackSettings.read().environment,
        overrides={"inference": {"INFERENCE_PINS": f"digits@{DIGESTS[CANARY]}"}},
        only=("inference",),
    )
    with inference:
        yield inference


@pytest.fixture
def mesh(stack: Stack, canary: Stack) -> Mesh:
    return Mesh(stack.triton_grpc_address, canary.triton_grpc_address)


@pytest.fixture
def mesh_address(mesh: Mesh) -> Iterator[str]:
    """In a thread of its own: who starts services blocks the loop of the test."""
    up, over, address = threading.Event(), asyncio.Event(), ""
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        nonlocal address
        async with mesh.serving() as address:
            up.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert up.wait(5)
    yield address
    loop.call_soon_threadsafe(over.set)
    thread.join()
    loop.close()


@dataclass(frozen=True)
class Answered:
    """What an answer says of who gave it."""

    version: str
    digest: str
    headers: Mapping[str, str]


Ask = Callable[["Gateway", Mapping[str, str]], Any]


@dataclass
class Gateway:
    """A real gateway, asked in each of the ways there are."""

    stack: Stack
    http: httpx2.AsyncClient
    channel: grpc.aio.Channel

    async def native_rest(self, headers: Mapping[str, str]) -> Answered:
        content = PICTURE.read_bytes()
        answer = await self.http.post("/v1/models/digits:predict", content=content, headers=dict(headers))
        assert answer.status_code == 200, answer.text
        model = answer.json()["model"]
        return Answered(model["version"], model["digest"], answer.headers)

    async def native_grpc(self, headers: Mapping[str, str]) -> Answered:
        request = pb.PredictRequest(model="digits", image=PICTURE.read_bytes())
        call = PredictionServiceStub(self.channel).Predict(request, metadata=tuple(headers.items()))
        model = (await call).prediction.model
        return Answered(model.version, model.digest, _texts(await call.initial_metadata()))

    async def oip_rest(self, headers: Mapping[str, str], version: str = "") -> Answered:
        path = f"/v2/models/digits{f'/versions/{version}' if version else ''}/infer"
        tensor = {"name": "pixels", "shape": [1, 64], "datatype": "FP32", "data": [0.0] * 64}
        answer = await self.http.post(path, json={"inputs": [tensor]}, headers=dict(headers))
        assert answer.status_code == 200, answer.text
        body = answer.json()
        return Answered(body["model_version"], body["parameters"]["model_digest"], answer.headers)

    async def oip_grpc(self, headers: Mapping[str, str], version: str = "") -> Answered:
        request = oip.ModelInferRequest(model_name="digits", model_version=version, raw_input_contents=[bytes(256)])
        request.inputs.add(name="pixels", datatype="FP32", shape=[1, 64])
        call = GRPCInferenceServiceStub(self.channel).ModelInfer(request, metadata=tuple(headers.items()))
        answer = await call
        digest = answer.parameters["model_digest"].string_param
        return Answered(answer.model_version, digest, _texts(await call.initial_metadata()))


def _texts(metadata: Any) -> dict[str, str]:
    return {name: value for name, value in metadata if isinstance(value, str)}


@pytest.fixture
def gateway_settings() -> dict[str, str]:
    """Settings of the gateway beside its addresses; a module may say otherwise."""
    return {"GATEWAY_REVISION": "tested"}


@pytest.fixture
def gateway_of() -> Callable[[Stack], AbstractAsyncContextManager[Gateway]]:
    """Connect to the gateway of a stack."""

    @asynccontextmanager
    async def connected(services: Stack) -> AsyncIterator[Gateway]:
        async with (
            httpx2.AsyncClient(base_url=services.http_url, timeout=30) as http,
            grpc.aio.insecure_channel(services.grpc_address) as channel,
        ):
            yield Gateway(services, http, channel)

    return connected


@pytest.fixture
async def gateway(
    mesh_address: str, start_stack: StartStack, gateway_settings: dict[str, str], gateway_of: Any
) -> AsyncIterator[Gateway]:
    """A gateway whose Triton is whoever the mesh chooses."""
    settings = {"GATEWAY_INFERENCE_ADDRESS": mesh_address, **gateway_settings}
    services = start_stack(overrides={"gateway": settings}, only=("monitoring", "preprocessing", "gateway"))
    async with gateway_of(services) as opened:
        yield opened


@pytest.fixture
def digests() -> dict[str, str]:
    """The digest of each version."""
    return DIGESTS


@pytest.fixture
def versions() -> tuple[str, str]:
    """Stable's and the canary's."""
    return STABLE, CANARY


@pytest.fixture
def unused_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
