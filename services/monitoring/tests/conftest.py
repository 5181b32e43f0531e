"""The real service in a process of its own, and predictions to send to it."""

import json
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from fairlead.events.v1.events_pb2 import CALLER_KIND_REST, FeedbackGiven, ModelRef, PredictionMade, StageTimings
from fairlead.monitoring.v1 import monitoring_pb2 as pb
from fairlead.monitoring.v1.monitoring_pb2_grpc import MonitoringServiceStub
from google.protobuf.timestamp_pb2 import Timestamp
from local_stack.eventually import eventually_async
from local_stack.ports import free_ports
from local_stack.pytest_plugin import StartStack
from local_stack.settings import StackSettings
from local_stack.stack import Stack

DIGEST = "sha256:" + "3f" * 32


class Recording:
    """One stream of batches, each acknowledged before the next is sent; a refusal is an AioRpcError."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.sequence = 0

    async def send(self, *predictions: PredictionMade) -> None:
        """Return once the batch is acknowledged."""
        self.sequence += 1
        await self.call.write(pb.RecordPredictionsRequest(sequence=self.sequence, predictions=predictions))
        answer = await self.call.read()
        assert answer.acknowledged_sequence == self.sequence


@dataclass
class Monitoring:
    """The service as its callers and its operators see it; what is asked is about one test's own model."""

    stack: Stack
    model: str

    @property
    def process(self) -> Any:
        return self.stack["monitoring"]

    @property
    def database(self) -> Path:
        return Path(self.process.environment["MONITORING_DATABASE"])

    @asynccontextmanager
    async def stub(self) -> AsyncIterator[Any]:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.stack.ports['monitoring']['grpc']}") as channel:
            yield MonitoringServiceStub(channel)

    @asynccontextmanager
    async def recording(self) -> AsyncIterator[Recording]:
        async with self.stub() as stub:
            call = stub.RecordPredictions()
            try:
                yield Recording(call)
            finally:
                call.cancel()

    async def record(self, *predictions: PredictionMade) -> None:
        async with self.recording() as recording:
            await recording.send(*predictions)

    async def give(self, feedback: FeedbackGiven) -> bool:
        async with self.stub() as stub:
            answer = await stub.RecordFeedback(pb.RecordFeedbackRequest(feedback=feedback), timeout=5)
        return bool(answer.prediction_known)

    async def quality(self, **request: Any) -> list[Any]:
        async with self.stub() as stub:
            answer = await stub.GetModelQuality(pb.GetModelQualityRequest(model_name=self.model, **request), timeout=5)
        return list(answer.qualities)

    async def listed(self, **request: Any) -> list[Any]:
        async with self.stub() as stub:
            answer = await stub.ListPredictions(self.listing(page_size=500, **request), timeout=5)
        return list(answer.predictions)

    def listing(self, **request: Any) -> pb.ListPredictionsRequest:
        return pb.ListPredictionsRequest(model_name=self.model, **request)

    async def ids(self) -> set[str]:
        return {each.prediction.prediction_id for each in await self.listed()}

    def page(self, path: str) -> tuple[int, Any, Any]:
        """GET from the page's port: status, headers and body (JSON when it is)."""
        return fetch(self.stack.monitoring_url + path)

    def ready(self) -> tuple[int, Any]:
        status, _, body = fetch(self.stack.operations_url("monitoring") + "/readyz")
        return status, body

    def metric(self, line: str) -> float:
        """The value of a metric, named with its labels as /metrics writes it; 0 when absent."""
        _, _, body = fetch(self.stack.operations_url("monitoring") + "/metrics")
        found = [each for each in body.splitlines() if each.startswith(line + " ")]
        return float(found[0].rpartition(" ")[2]) if found else 0.0


def fetch(url: str) -> tuple[int, Any, Any]:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            status, headers, body = response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        status, headers, body = error.code, error.headers, error.read()
    if "json" in headers.get("content-type", ""):
        return status, headers, json.loads(body)
    return status, headers, body.decode()


@pytest.fixture
def model() -> str:
    """The name of a model that only this test predicts with."""
    return f"digits-{secrets.token_hex(4)}"


@pytest.fixture
def start_monitoring(start_stack: StartStack, model: str) -> Callable[..., Monitoring]:
    """Start a service of the test's own with settings; it ends with the test."""

    def start(**settings: object) -> Monitoring:
        variables = {f"MONITORING_{name}".upper(): str(value) for name, value in settings.items()}
        return Monitoring(start_stack(only=["monitoring"], overrides={"monitoring": variables}), model)

    return start


@pytest.fixture(scope="session")
def shared_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run one service for all tests that neither end it nor need settings of their own."""
    settings = {"MONITORING_COMMIT_INTERVAL": "0", "MONITORING_QUALITY_INTERVAL": "0.2"}
    folder = tmp_path_factory.mktemp("monitoring")
    environment = StackSettings.read().environment
    stack = Stack(
        folder, ports=free_ports(), environment=environment, overrides={"monitoring": settings}, only=["monitoring"]
    )
    with stack:
        yield stack


@pytest.fixture
def monitoring(shared_service: Stack, model: str) -> Monitoring:
    """The shared service."""
    return Monitoring(shared_service, model)


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Any]:
    """Wait until something is true."""

    async def wait(ask: Callable[[], Any]) -> Any:
        async def answer() -> Any:
            return ask()

        return await eventually_async(answer)

    return wait


@pytest.fixture
def made(model: str) -> Callable[..., PredictionMade]:
    """Make a valid prediction; keywords replace its fields, `ago` moves it into the past by seconds."""
    return partial(make, model)


@pytest.fixture
def feedback() -> Callable[..., FeedbackGiven]:
    """Make feedback for a prediction id; `at` is its given_at in seconds since 1970."""

    def make_feedback(prediction_id: str, label: str, *, at: float | None = None, source: str = "test") -> Any:
        given_at = timestamp(time.time() if at is None else at)
        return FeedbackGiven(prediction_id=prediction_id, label=label, source=source, given_at=given_at)

    return make_feedback


def make(
    name: str, *, ago: float = 0, confidence: float = 0.91, digest: str = DIGEST, version: str = "1", **fields: Any
) -> Any:
    defaults: dict[str, Any] = {
        "prediction_id": uuid7(),
        "made_at": timestamp(time.time() - ago),
        "model": ModelRef(name=name, version=version, digest=digest),
        "feature_spec": "digits-8x8",
        "feature_spec_digest": "sha256:" + "ab" * 32,
        "label": "7",
        "probabilities": [(1 - confidence) / 9] * 7 + [confidence] + [(1 - confidence) / 9] * 2,
        "features": [float(number % 17) for number in range(64)],
        "timings": StageTimings(preprocessing_ms=1.5, inference_ms=2.25, total_ms=4.125),
        "trace_id": secrets.token_hex(16),
        "caller_kind": CALLER_KIND_REST,
    }
    return PredictionMade(**{**defaults, **fields})


def timestamp(seconds: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMicroseconds(int(seconds * 1e6))
    return stamp


def uuid7() -> str:
    value = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) & ~(0b11 << 62) | 0x7 << 76 | 0b10 << 62
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
