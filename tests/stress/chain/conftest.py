"""A gateway, a preprocessing and a monitoring of the test's own in front of the shared Triton, and one call to them."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx2
import pytest
from fairlead.gateway.v1 import gateway_pb2
from fairlead.gateway.v1.gateway_pb2_grpc import PredictionServiceStub
from fairlead.monitoring.v1 import monitoring_pb2
from fairlead.monitoring.v1.monitoring_pb2_grpc import MonitoringServiceStub
from google.rpc import error_details_pb2, status_pb2
from local_stack.eventually import eventually
from local_stack.first_picture import PICTURE
from local_stack.pytest_plugin import StartStack
from local_stack.stack import Stack
from tritonclient.grpc import service_pb2 as oip
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

_PICTURE = PICTURE.read_bytes()
_TENSOR = {"inputs": [{"name": "pixels", "shape": [1, 64], "datatype": "FP32", "data": [0.0] * 64}]}
_MESSAGE = oip.ModelInferRequest(
    model_name="digits",
    inputs=[oip.ModelInferRequest.InferInputTensor(name="pixels", datatype="FP32", shape=[1, 64])],
    raw_input_contents=[bytes(256)],
)
_OUR_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a caller sees, in the same words over every transport."""

    code: str
    detail: str = ""
    seconds: float = 0.0
    prediction_id: str = ""
    hints: dict[str, str] = field(default_factory=dict)


class Caller:
    """Calls one gateway in four ways; the same prediction each time."""

    def __init__(self, http_url: str, channel: grpc.aio.Channel, client: httpx2.AsyncClient) -> None:
        self._url = http_url
        self._channel = channel
        self._client = client

    async def call(self, kind: str, *, asked: float | None = None) -> Reply:
        """Predict by `kind`; `asked`: seconds that the caller grants, by the means of that transport."""
        started = time.monotonic()
        reply = await {
            "native-rest": self._native_rest,
            "native-grpc": self._native_grpc,
            "oip-rest": self._oip_rest,
            "oip-grpc": self._oip_grpc,
        }[kind](asked)
        return Reply(reply.code, reply.detail, time.monotonic() - started, reply.prediction_id, reply.hints)

    async def _native_rest(self, asked: float | None) -> Reply:
        headers = {"content-type": "image/png", **_timeout_header(asked)}
        return await self._post("/v1/models/digits:predict", headers=headers, content=_PICTURE)

    async def _oip_rest(self, asked: float | None) -> Reply:
        return await self._post("/v2/models/digits/infer", headers=_timeout_header(asked), json=_TENSOR)

    async def _native_grpc(self, asked: float | None) -> Reply:
        request = gateway_pb2.PredictRequest(model="digits", image=_PICTURE)
        return await _grpc(PredictionServiceStub(self._channel).Predict(request, timeout=asked))

    async def _oip_grpc(self, asked: float | None) -> Reply:
        return await _grpc(GRPCInferenceServiceStub(self._channel).ModelInfer(_MESSAGE, timeout=asked))

    async def infer_with_timeout_parameter(self, kind: str, seconds: float) -> Reply:
        """Infer with the protocol's own `timeout`, in microseconds, and no other deadline."""
        microseconds = int(seconds * 1e6)
        started = time.monotonic()
        if kind == "oip-rest":
            body = {**_TENSOR, "parameters": {"timeout": microseconds}}
            reply = await self._post("/v2/models/digits/infer", json=body)
        else:
            message = oip.ModelInferRequest()
            message.CopyFrom(_MESSAGE)
            message.parameters["timeout"].int64_param = microseconds
            reply = await _grpc(GRPCInferenceServiceStub(self._channel).ModelInfer(message))
        return Reply(reply.code, reply.detail, time.monotonic() - started)

    async def _post(self, path: str, **request: Any) -> Reply:
        answer = await self._client.post(self._url + path, timeout=_OUR_PATIENCE, **request)
        body = answer.json()
        hints = dict(answer.headers)
        if answer.status_code == 200:
            return Reply("OK", prediction_id=body.get("prediction_id", ""), hints=hints)
        return Reply(body["code"], body["detail"], hints={**hints, "status": str(answer.status_code)})


def _timeout_header(asked: float | None) -> dict[str, str]:
    return {} if asked is None else {"x-request-timeout-ms": str(round(asked * 1000))}


async def _grpc(call: Any) -> Reply:
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return Reply(error.code().name, error.details() or "", hints=_grpc_hints(error))
    prediction = getattr(answer, "prediction", None)
    return Reply("OK", prediction_id=prediction.prediction_id if prediction else "")


def _grpc_hints(error: grpc.aio.AioRpcError) -> dict[str, str]:
    trailing = dict(error.trailing_metadata())
    hints = {key: value for key, value in trailing.items() if isinstance(value, str)}
    retry_info = error_details_pb2.RetryInfo()
    for detail in status_pb2.Status.FromString(trailing.get("grpc-status-details-bin", b"")).details:
        if detail.Unpack(retry_info):
            hints["retry-after"] = str(retry_info.retry_delay.ToMilliseconds() / 1000)
    return hints


@dataclass(frozen=True, slots=True)
class Services:
    """The services of one test, as callers and operators see them."""

    stack: Stack

    @asynccontextmanager
    async def caller(self) -> AsyncIterator[Caller]:
        """Connect to the gateway."""
        limits = httpx2.Limits(max_connections=None)
        async with (
            grpc.aio.insecure_channel(self.stack.grpc_address) as channel,
            httpx2.AsyncClient(limits=limits) as client,
        ):
            yield Caller(self.stack.http_url, channel, client)

    def metric(self, line: str) -> float:
        """The value of a gateway's metric, named with its labels as /metrics writes it; 0 when absent."""
        answer = httpx2.get(self.stack.operations_url("gateway") + "/metrics", timeout=10)
        found = [each for each in answer.text.splitlines() if each.startswith(line + " ")]
        return float(found[0].rpartition(" ")[2]) if found else 0.0

    async def works(self) -> bool:
        """Whether the gateway works on a request."""
        return await asyncio.to_thread(self.metric, "gateway_requests_in_flight") > 0

    def recorded(self) -> dict[str, str]:
        """The trace ids of what monitoring holds, by prediction id."""
        found: dict[str, str] = {}
        with grpc.insecure_channel(f"127.0.0.1:{self.stack.ports['monitoring']['grpc']}") as channel:
            stub, token = MonitoringServiceStub(channel), ""
            while True:
                request = monitoring_pb2.ListPredictionsRequest(page_size=500, page_token=token)
                page = stub.ListPredictions(request, timeout=10)
                found |= {each.prediction.prediction_id: each.prediction.trace_id for each in page.predictions}
                if not (token := page.next_page_token):
                    return found


class StartServices:
    """Starts services in front of the shared Triton; settings by service, without their prefix.

    Call it in the main thread: the kernel ends services with the thread that started them.
    """

    def __init__(self, shared: Stack, start_stack: StartStack) -> None:
        self._shared = shared
        self._start_stack = start_stack

    def __call__(self, **settings: dict[str, str]) -> Services:
        settings = {**settings, "gateway": settings.get("gateway", {})}
        settings["gateway"].setdefault("inference_address", self._shared.triton_grpc_address)
        overrides = {
            service: {name if name.isupper() else f"{service}_{name}".upper(): value for name, value in own.items()}
            for service, own in settings.items()
        }
        return Services(self._start_stack(overrides=overrides, only=("monitoring", "preprocessing", "gateway")))


@pytest.fixture
def start_services(stack: Stack, start_stack: StartStack) -> StartServices:
    """All services of the test's own, but for Triton, which takes long to start."""
    return StartServices(stack, start_stack)


@pytest.fixture
def frozen_triton(stack: Stack) -> Iterator[Callable[[], Any]]:
    """A context in which the shared Triton's clock stands still; it is as before when the test ends."""

    @contextmanager
    def frozen() -> Iterator[None]:
        pids = stack["inference"].descendants()
        _signal(pids, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal(pids, signal.SIGCONT)
            _settle(stack)

    yield frozen
    eventually(lambda: not stack["inference"].obstacles() and not stack["gateway"].obstacles(), within=30)


def _settle(stack: Stack) -> None:
    """Wait until Triton has worked off what came while it stood still.

    Triton 2.51 may end by SIGSEGV over calls that were cancelled meanwhile; it is started again, as a cluster would.
    """
    inference = stack["inference"]
    eventually(lambda: _infers(stack) or not inference.running, within=30)
    if not inference.running:
        print(f"Triton did not survive its cancelled calls:\n{inference.tail(3)}")
        inference.restart()


def _infers(stack: Stack) -> bool:
    try:
        answer = httpx2.post(f"{stack.triton_url}/v2/models/digits/infer", json=_TENSOR, timeout=5)
    except httpx2.HTTPError:
        return False
    return answer.status_code == httpx2.codes.OK


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
