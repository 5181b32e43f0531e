"""A stable inference and a shadow that a test can steer, and what comes to monitoring of it."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn, Self

import pytest
from fairlead.events.v1.events_pb2 import AnswersCompared
from gateway.catalog import ServedModel
from gateway.metrics import ShadowMetrics
from gateway.shadow.mirror import MirroredInference, Shadow
from prometheus_client import CollectorRegistry
from service_runtime.deadlines import Deadline
from service_runtime.errors import ServiceError
from tritonclient.grpc import service_pb2 as oip


@dataclass
class Model:
    """An inference server with one model, and the catalog that knows it."""

    version: str
    label: int = 7
    failure: ServiceError | None = None
    hold: asyncio.Event | None = None
    asked: int = 0
    raw: bytes = b""

    async def infer(self, request: bytes, *, deadline: Deadline) -> bytes:
        self.asked += 1
        if self.hold:
            await self.hold.wait()
        if self.failure:
            raise self.failure
        if self.raw:
            return self.raw
        answer = oip.ModelInferResponse(model_name="digits", model_version=self.version)
        answer.outputs.add(name="label", datatype="INT64", shape=[1])
        answer.raw_output_contents.append(struct.pack("<q", self.label))
        return bytes(answer.SerializeToString())

    async def call(self, rpc: str, request: object, response: object, *, deadline: Deadline) -> NoReturn:
        raise AssertionError(rpc)

    async def answering(self, name: str, version: str, *, deadline: Deadline) -> ServedModel:
        labels = tuple("0123456789")
        digest = f"sha256:{int(self.version):064x}"
        return ServedModel(name, version, (version,), "", True, digest, (), (), 0, labels, "", "")


@dataclass
class Reports:
    """Monitoring's end."""

    comparisons: list[AnswersCompared] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None: ...

    def report(self, comparison: AnswersCompared) -> None:
        self.comparisons.append(comparison)


@dataclass
class World:
    stable: Model
    shadow: Model
    reports: Reports
    registry: CollectorRegistry
    inference: MirroredInference

    async def ask(self, *, version: str = "", sequence: bool = False) -> bytes:
        request = oip.ModelInferRequest(model_name="digits", model_version=version, raw_input_contents=[bytes(256)])
        if sequence:
            request.parameters["sequence_id"].int64_param = 5
        return await self.inference.infer(request.SerializeToString(), deadline=Deadline.after(5))

    def counted(self, what: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"gateway_shadow_{what}_total", labels) or 0


@pytest.fixture
def open_world() -> Callable[..., AbstractAsyncContextManager[World]]:
    @asynccontextmanager
    async def running(**settings: Any) -> AsyncIterator[World]:
        stable, beside, reports, registry = Model("1"), Model("2"), Reports(), CollectorRegistry()
        catalogs: Any = (stable, beside)
        chosen: dict[str, Any] = {"share": 1.0, "capacity": 8, "seconds": 5.0, "tolerance": 0.001, **settings}
        shadow = Shadow(beside, catalogs=catalogs, reports=reports, metrics=ShadowMetrics(registry), **chosen)
        async with shadow:
            yield World(stable, beside, reports, registry, MirroredInference(stable, shadow.offer))

    return running


@pytest.fixture
async def world(open_world: Any) -> AsyncIterator[World]:
    async with open_world() as opened:
        yield opened
