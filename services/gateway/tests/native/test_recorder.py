"""Predictions on their way to a monitoring service that comes, goes, stalls and refuses."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest
from fairlead.events.v1.events_pb2 import FeedbackGiven, PredictionMade
from fairlead.monitoring.v1 import monitoring_pb2 as pb
from fairlead.monitoring.v1.monitoring_pb2_grpc import (
    MonitoringServiceServicer,
    add_MonitoringServiceServicer_to_server,
)
from gateway.metrics import RecorderMetrics
from gateway.recorder import MonitoringRecorder
from gateway_kit.until import until
from local_stack.ports import free_ports
from prometheus_client import CollectorRegistry
from service_runtime.deadlines import Deadline
from service_runtime.errors import DeadlineExceeded, DependencyUnavailable, InvalidInput

CAPACITY = 500


class Monitoring(MonitoringServiceServicer):
    """Keeps what it acknowledged; `stalled` holds every answer back, `refused` ids end the stream."""

    def __init__(self) -> None:
        self.durable: dict[str, PredictionMade] = {}
        self.batches: list[int] = []
        self.refused: set[str] = set()
        self.stalled = False
        self.feedback_code: grpc.StatusCode | None = None

    async def RecordPredictions(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        async for request in request_iterator:
            if self.stalled:
                await asyncio.Event().wait()
            ids = [prediction.prediction_id for prediction in request.predictions]
            if self.refused.intersection(ids):
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "predictions[0].label is wrong.")
            self.batches.append(len(ids))
            self.durable.update(zip(ids, request.predictions, strict=True))
            yield pb.RecordPredictionsResponse(acknowledged_sequence=request.sequence)

    async def RecordFeedback(self, request: Any, context: Any) -> Any:  # noqa: N802
        if self.stalled:
            await asyncio.Event().wait()
        if self.feedback_code:
            await context.abort(self.feedback_code, "The label is wrong.")
        return pb.RecordFeedbackResponse(prediction_known=request.feedback.prediction_id in self.durable)

    async def RecordComparisons(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise NotImplementedError

    async def GetModelQuality(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise NotImplementedError

    async def ListPredictions(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise NotImplementedError


class Neighbourhood:
    """A recorder, and a monitoring service that can be stopped and started on one address."""

    def __init__(self, recorder: MonitoringRecorder, registry: CollectorRegistry, port: int) -> None:
        self.recorder = recorder
        self.monitoring = Monitoring()
        self._registry = registry
        self._port = port
        self._server: grpc.aio.Server | None = None

    async def start_monitoring(self) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        add_MonitoringServiceServicer_to_server(self.monitoring, self._server)
        self._server.add_insecure_port(f"127.0.0.1:{self._port}")
        await self._server.start()

    async def stop_monitoring(self) -> None:
        if self._server:
            await self._server.stop(None)

    def count(self, name: str, **labels: str) -> float:
        return self._registry.get_sample_value(f"gateway_records_{name}", labels) or 0


@asynccontextmanager
async def neighbourhood(port: int, *, flush_seconds: float = 5) -> AsyncIterator[Neighbourhood]:
    registry = CollectorRegistry()
    recorder = MonitoringRecorder(
        f"127.0.0.1:{port}", capacity=CAPACITY, flush_seconds=flush_seconds, metrics=RecorderMetrics(registry)
    )
    async with AsyncExitStack() as stack:
        around = Neighbourhood(recorder, registry, port)
        stack.push_async_callback(around.stop_monitoring)
        await stack.enter_async_context(recorder)
        yield around


@pytest.fixture
def port() -> int:
    return free_ports()["monitoring"]["grpc"]


@pytest.fixture
async def around(port: int) -> AsyncIterator[Neighbourhood]:
    async with neighbourhood(port, flush_seconds=0.1) as started:
        yield started


def made(number: int) -> PredictionMade:
    return PredictionMade(prediction_id=str(number), label="7")


def record(around: Neighbourhood, numbers: range) -> None:
    for number in numbers:
        around.recorder.record(made(number))


@pytest.mark.requirement("NATIVE-016")
async def test_predictions_reach_monitoring_in_few_batches(around: Neighbourhood) -> None:
    await around.start_monitoring()
    record(around, range(300))
    await until(lambda: len(around.monitoring.durable) == 300)
    assert len(around.monitoring.batches) <= 3
    await until(lambda: around.count("pending") == 0)
    assert around.count("acknowledged_total") == 300


@pytest.mark.requirement("NATIVE-014", "NATIVE-016")
async def test_what_was_recorded_while_monitoring_was_away_arrives_when_it_is_back(around: Neighbourhood) -> None:
    record(around, range(10))
    await around.start_monitoring()
    await until(lambda: len(around.monitoring.durable) == 10)

    await around.stop_monitoring()
    record(around, range(10, 20))
    await around.start_monitoring()
    await until(lambda: len(around.monitoring.durable) == 20)


@pytest.mark.requirement("NATIVE-016")
async def test_a_batch_that_was_sent_but_not_acknowledged_is_sent_again(around: Neighbourhood) -> None:
    await around.start_monitoring()
    around.monitoring.stalled = True
    record(around, range(5))
    await until(lambda: around.count("pending") == 5)
    await around.stop_monitoring()
    around.monitoring.stalled = False
    await around.start_monitoring()
    await until(lambda: len(around.monitoring.durable) == 5)


@pytest.mark.requirement("NATIVE-014", "NATIVE-015")
@pytest.mark.parametrize("state", ["away", "stalled"])
async def test_recording_costs_nothing_and_is_bounded_while_monitoring_takes_nothing(
    around: Neighbourhood, state: str
) -> None:
    if state == "stalled":
        around.monitoring.stalled = True
        await around.start_monitoring()
    start = time.perf_counter()
    record(around, range(10 * CAPACITY))
    assert time.perf_counter() - start < 0.5, "recording must not wait for anything"
    assert around.count("pending") == CAPACITY
    assert around.count("dropped_total", reason="full") == 9 * CAPACITY


@pytest.mark.requirement("NATIVE-016")
async def test_one_prediction_that_monitoring_refuses_does_not_hold_up_the_others(around: Neighbourhood) -> None:
    around.monitoring.refused = {"3"}
    await around.start_monitoring()
    record(around, range(8))
    await until(lambda: len(around.monitoring.durable) == 7)
    assert around.count("dropped_total", reason="refused") == 1


@pytest.mark.requirement("NATIVE-016")
async def test_predictions_too_large_for_one_message_go_apart_and_one_too_large_alone_is_dropped(
    around: Neighbourhood,
) -> None:
    await around.start_monitoring()  # takes messages of up to 4 MiB
    for number, size in enumerate((750_000, 750_000, 1_500_000, 10)):
        around.recorder.record(PredictionMade(prediction_id=str(number), label="7", features=bytes(size)))
    await until(lambda: set(around.monitoring.durable) == {"0", "1", "3"})
    assert around.count("dropped_total", reason="refused") == 1


@pytest.mark.requirement("NATIVE-017")
async def test_leaving_flushes_what_is_recorded(port: int) -> None:
    async with neighbourhood(port) as around:
        await around.start_monitoring()
        record(around, range(20))
    assert len(around.monitoring.durable) == 20


@pytest.mark.requirement("NATIVE-017")
async def test_leaving_without_monitoring_ends_in_time_and_counts_the_loss(port: int) -> None:
    async with asyncio.timeout(3), neighbourhood(port, flush_seconds=0.2) as around:
        record(around, range(20))
    assert around.count("dropped_total", reason="shutdown") == 20


def feedback() -> FeedbackGiven:
    return FeedbackGiven(prediction_id="1", label="9", source="test")


@pytest.mark.requirement("NATIVE-013")
async def test_feedback_says_whether_its_prediction_is_known(around: Neighbourhood) -> None:
    await around.start_monitoring()
    assert not await around.recorder.feedback(feedback(), deadline=Deadline.after(5))
    around.recorder.record(made(1))
    await until(lambda: bool(around.monitoring.durable))
    assert await around.recorder.feedback(feedback(), deadline=Deadline.after(5))


@pytest.mark.requirement("NATIVE-013")
@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidInput),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DependencyUnavailable),
        (grpc.StatusCode.UNAVAILABLE, DependencyUnavailable),
        (grpc.StatusCode.INTERNAL, DependencyUnavailable),
        (None, DependencyUnavailable),
    ],
)
async def test_feedback_that_is_not_durable_is_an_error(
    around: Neighbourhood, code: grpc.StatusCode | None, error: type[Exception]
) -> None:
    if code:
        around.monitoring.feedback_code = code
        await around.start_monitoring()
    with pytest.raises(error):
        await around.recorder.feedback(feedback(), deadline=Deadline.after(5))


@pytest.mark.requirement("NATIVE-013")
async def test_feedback_ends_with_the_deadline_of_its_caller(around: Neighbourhood) -> None:
    around.monitoring.stalled = True
    await around.start_monitoring()
    with pytest.raises(DeadlineExceeded):
        await around.recorder.feedback(feedback(), deadline=Deadline.after(0.1))


@pytest.mark.requirement("NATIVE-013")
async def test_feedback_reaches_a_monitoring_that_has_just_come_back(around: Neighbourhood) -> None:
    with pytest.raises(DependencyUnavailable):
        await around.recorder.feedback(feedback(), deadline=Deadline.after(5))
    await around.start_monitoring()
    await around.recorder.feedback(feedback(), deadline=Deadline.after(5))
