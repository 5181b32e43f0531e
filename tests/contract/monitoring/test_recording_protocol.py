"""The protocol between the gateway's recorder and monitoring: one suite, the real service and its stand-in."""

from typing import Any

import grpc
import pytest
from fairlead.events.v1.events_pb2 import FeedbackGiven, PredictionMade
from fairlead.monitoring.v1 import monitoring_pb2 as pb
from gateway.metrics import RecorderMetrics
from gateway.recorder import MonitoringRecorder
from local_stack.eventually import eventually_async
from prometheus_client import CollectorRegistry

pytestmark = [pytest.mark.component, pytest.mark.requirement("MONITORING-022")]


async def knows(neighbour: Any, prediction: PredictionMade) -> bool:
    """Whether feedback finds its prediction."""
    given = FeedbackGiven(prediction_id=prediction.prediction_id, label="7", source="test", given_at=prediction.made_at)
    answer = await neighbour.stub.RecordFeedback(pb.RecordFeedbackRequest(feedback=given), timeout=5)
    return bool(answer.prediction_known)


async def test_each_batch_is_acknowledged_by_its_sequence_and_then_known(neighbour: Any) -> None:
    call = neighbour.stub.RecordPredictions()
    for sequence in (1, 2, 3):
        batch = [neighbour.made() for _ in range(sequence)]
        await call.write(pb.RecordPredictionsRequest(sequence=sequence, predictions=batch))
        assert (await call.read()).acknowledged_sequence == sequence
        assert all([await knows(neighbour, prediction) for prediction in batch])
    assert not await knows(neighbour, neighbour.made())
    call.cancel()


async def test_a_batch_may_be_sent_again_on_a_new_stream(neighbour: Any) -> None:
    batch = [neighbour.made()]
    for _ in range(2):
        call = neighbour.stub.RecordPredictions()
        await call.write(pb.RecordPredictionsRequest(sequence=1, predictions=batch))
        assert (await call.read()).acknowledged_sequence == 1
        call.cancel()


async def test_a_senseless_record_ends_the_stream_and_stores_nothing(neighbour: Any) -> None:
    good, bad = neighbour.made(), neighbour.senseless()
    call = neighbour.stub.RecordPredictions()
    await call.write(pb.RecordPredictionsRequest(sequence=1, predictions=[bad, good]))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "predictions[0].label" in (caught.value.details() or "")
    assert not await knows(neighbour, good)


async def test_a_stream_that_the_sender_ends_ends_in_order(neighbour: Any) -> None:
    call = neighbour.stub.RecordPredictions()
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_the_gateways_recorder_gets_all_but_the_senseless_recorded(neighbour: Any) -> None:
    registry = CollectorRegistry()
    recorder = MonitoringRecorder(neighbour.address, capacity=1000, flush_seconds=5, metrics=RecorderMetrics(registry))
    sent = [neighbour.made() for _ in range(300)]
    async with recorder:
        for prediction in (*sent[:100], neighbour.senseless(), *sent[100:]):
            recorder.record(prediction)

        async def nothing_pending() -> bool:
            return registry.get_sample_value("gateway_records_pending") == 0

        await eventually_async(nothing_pending)
    assert all([await knows(neighbour, prediction) for prediction in (sent[0], sent[150], sent[-1])])
