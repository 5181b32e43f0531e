"""A monitoring service to agree with: the real process, or the stand-in that the gateway's tests use."""

import importlib.util
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import pytest
from fairlead.events.v1.events_pb2 import ModelRef, PredictionMade
from fairlead.monitoring.v1.monitoring_pb2_grpc import (
    MonitoringServiceStub,
    add_MonitoringServiceServicer_to_server,
)
from local_stack.pytest_plugin import StartStack

STAND_IN = Path(__file__).parents[3] / "services" / "gateway" / "tests" / "native" / "test_recorder.py"


@dataclass
class Neighbour:
    """A monitoring service at an address."""

    address: str
    stub: Any
    stand_in: Any = None

    def made(self) -> PredictionMade:
        """Make a prediction that it takes."""
        prediction = PredictionMade(prediction_id=uuid7(), label="7", model=ModelRef(name="digits"))
        prediction.made_at.GetCurrentTime()
        return prediction

    def senseless(self) -> PredictionMade:
        """Make one that it refuses."""
        prediction = self.made()
        prediction.label = ""
        if self.stand_in:
            self.stand_in.refused.add(prediction.prediction_id)
        return prediction


@pytest.fixture(params=["real service", "stand-in of the gateway's tests"])
async def neighbour(request: pytest.FixtureRequest, start_stack: StartStack) -> AsyncIterator[Neighbour]:
    server, stand_in = None, None
    if request.param == "real service":
        address = f"127.0.0.1:{start_stack(only=['monitoring']).ports['monitoring']['grpc']}"
    else:
        stand_in = load_stand_in().Monitoring()
        server = grpc.aio.server()
        add_MonitoringServiceServicer_to_server(stand_in, server)
        address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
    async with grpc.aio.insecure_channel(address) as channel:
        yield Neighbour(address, MonitoringServiceStub(channel), stand_in)
    if server:
        await server.stop(None)


def load_stand_in() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gateway_recorder_tests", STAND_IN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def uuid7() -> str:
    value = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    text = f"{value & ~(0xF << 76) & ~(0b11 << 62) | 0x7 << 76 | 0b10 << 62:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
