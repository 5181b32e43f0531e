"""What is recorded comes back exactly, once, and only if it makes sense."""

from typing import Any

import grpc
import pytest
from fairlead.monitoring.v1 import monitoring_pb2 as pb

pytestmark = pytest.mark.component


@pytest.mark.requirement("MONITORING-001")
async def test_a_prediction_comes_back_as_it_was_sent(monitoring: Any, made: Any) -> None:
    sent = made(revision="1f2e3d", experiment="colours", arm="blue")
    await monitoring.record(sent)
    (listed,) = await monitoring.listed()
    assert listed.prediction == sent
    assert not listed.HasField("feedback")


async def test_a_prediction_may_lack_what_is_optional(monitoring: Any, made: Any) -> None:
    sent = made(probabilities=[], features=[], trace_id="", feature_spec="", feature_spec_digest="", caller_kind=0)
    await monitoring.record(sent)
    (listed,) = await monitoring.listed()
    assert listed.prediction == sent


@pytest.mark.requirement("MONITORING-002")
async def test_a_prediction_sent_twice_is_stored_and_counted_once(monitoring: Any, made: Any) -> None:
    first, second, third = made(), made(), made()
    repeated = monitoring.metric("monitoring_predictions_repeated_total")
    await monitoring.record(first, second)
    await monitoring.record(second, third, third)
    assert await monitoring.ids() == {each.prediction_id for each in (first, second, third)}
    assert monitoring.metric(f'monitoring_predictions_recorded_total{{label="7",model="{monitoring.model}"}}') == 3
    assert monitoring.metric("monitoring_predictions_repeated_total") == repeated + 2
    _, _, overview = monitoring.page(f"/api/overview?window=15m&model={monitoring.model}")
    assert sum(count for _, count in overview["traffic"]) == 3


@pytest.mark.requirement("MONITORING-003")
@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("prediction_id", {"prediction_id": "17"}),
        ("prediction_id", {"prediction_id": "0192A8B2-7C3D-7E4F-8A5B-6C7D8E9F0A1B"}),
        ("made_at", {"made_at": None}),
        ("made_at", {"ago": -3 * 86_400}),
        ("label", {"label": ""}),
        ("label", {"label": "x" * 257}),
        ("model.name", {"model": None}),
        ("trace_id", {"trace_id": "xyz"}),
        ("revision", {"arm": "x" * 257}),
        ("probabilities", {"probabilities": [0.5, 1.5]}),
        ("probabilities", {"probabilities": [0.5, float("nan")]}),
        ("features", {"features": [0.0] * 4097}),
        ("timings", {"timings": {"total_ms": float("inf")}}),
        ("timings", {"timings": {"inference_ms": -1}}),
    ],
)
async def test_a_prediction_that_makes_no_sense_is_refused_with_its_whole_batch(
    monitoring: Any, made: Any, field: str, fields: dict[str, Any]
) -> None:
    counter = 'monitoring_records_refused_total{reason="invalid_argument"}'
    refused = monitoring.metric(counter)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await monitoring.record(made(), made(**fields))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (caught.value.details() or "").startswith(f"predictions[1].{field} ")
    assert await monitoring.ids() == set()
    assert monitoring.metric(counter) == refused + 1


@pytest.mark.requirement("MONITORING-003")
@pytest.mark.parametrize(("sequence", "count"), [(0, 1), (2, 1), (1, 0), (1, 1001)])
async def test_a_batch_out_of_sequence_or_size_is_refused(
    monitoring: Any, made: Any, sequence: int, count: int
) -> None:
    async with monitoring.stub() as stub:
        call = stub.RecordPredictions()
        predictions = [made() for _ in range(count)]
        await call.write(pb.RecordPredictionsRequest(sequence=sequence, predictions=predictions))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_stream_that_its_sender_ends_ends_well(monitoring: Any, made: Any) -> None:
    async with monitoring.recording() as recording:
        await recording.send(made())
        await recording.call.done_writing()
        assert await recording.call.read() is grpc.aio.EOF
        assert await recording.call.code() is grpc.StatusCode.OK


async def test_many_streams_record_side_by_side(start_monitoring: Any, made: Any) -> None:
    """More streams than places in the queue, and commits that wait for company."""
    monitoring = start_monitoring(max_waiting_batches=2, commit_interval=0.05)
    sent = []
    async with monitoring.stub() as stub:
        calls = [stub.RecordPredictions() for _ in range(8)]
        for sequence in (1, 2, 3):
            for call in calls:
                sent.append(made())
                await call.write(pb.RecordPredictionsRequest(sequence=sequence, predictions=[sent[-1]]))
            for call in calls:
                assert (await call.read()).acknowledged_sequence == sequence
        for call in calls:
            call.cancel()
    assert await monitoring.ids() == {each.prediction_id for each in sent}


@pytest.mark.requirement("MONITORING-012")
async def test_predictions_are_listed_newest_first_page_by_page(monitoring: Any, made: Any) -> None:
    sent = [made(ago=ago) for ago in (50, 40, 30, 20, 20)]
    await monitoring.record(*sent)
    seen: list[Any] = []
    async with monitoring.stub() as stub:
        token, pages = "", 0
        while pages == 0 or token:
            answer = await stub.ListPredictions(monitoring.listing(page_size=2, page_token=token))
            seen += [each.prediction for each in answer.predictions]
            token, pages = answer.next_page_token, pages + 1
    assert pages == 3
    newest_first = sorted(sent, key=lambda each: (each.made_at.ToMicroseconds(), each.prediction_id), reverse=True)
    assert seen == newest_first


@pytest.mark.requirement("MONITORING-012")
@pytest.mark.parametrize(
    "request_fields",
    [{"page_size": 501}, {"page_size": -1}, {"page_token": "here"}, {"from": "later", "to": "earlier"}],
)
async def test_a_listing_that_makes_no_sense_is_refused(
    monitoring: Any, made: Any, request_fields: dict[str, Any]
) -> None:
    moments = {"later": made().made_at, "earlier": made(ago=60).made_at}
    fields = {name: moments.get(value, value) for name, value in request_fields.items()}
    async with monitoring.stub() as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ListPredictions(pb.ListPredictionsRequest(**fields))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
