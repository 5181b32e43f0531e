"""Feedback may come late, twice or before its prediction; quality follows it."""

import time
from typing import Any

import grpc
import pytest
from fairlead.monitoring.v1 import monitoring_pb2 as pb

pytestmark = pytest.mark.component


@pytest.mark.requirement("MONITORING-004")
async def test_feedback_after_the_prediction_is_joined_to_it(monitoring: Any, made: Any, feedback: Any) -> None:
    prediction = made()
    await monitoring.record(prediction)
    given = feedback(prediction.prediction_id, "1")
    assert await monitoring.give(given) is True
    (listed,) = await monitoring.listed()
    assert listed.feedback == given


@pytest.mark.requirement("MONITORING-004")
async def test_feedback_before_the_prediction_is_joined_when_it_comes(
    monitoring: Any, made: Any, feedback: Any
) -> None:
    prediction = made()
    given = feedback(prediction.prediction_id, "1")
    assert await monitoring.give(given) is False
    await monitoring.record(made(), prediction, made())
    (listed,) = await monitoring.listed(mistakes_only=True)
    assert (listed.prediction, listed.feedback) == (prediction, given)
    (quality,) = await monitoring.quality()
    assert (quality.labelled, quality.predictions) == (1, 3)


@pytest.mark.requirement("MONITORING-005")
@pytest.mark.parametrize("recorded_first", [True, False])
async def test_of_two_feedbacks_the_one_given_later_counts_in_whatever_order_they_come(
    monitoring: Any, made: Any, feedback: Any, *, recorded_first: bool
) -> None:
    prediction, now = made(label="7"), time.time()
    if recorded_first:
        await monitoring.record(prediction)
    await monitoring.give(feedback(prediction.prediction_id, "7", at=now))
    await monitoring.give(feedback(prediction.prediction_id, "1", at=now - 60))
    if not recorded_first:
        await monitoring.record(prediction)
    (listed,) = await monitoring.listed()
    assert listed.feedback.label == "7"
    (quality,) = await monitoring.quality()
    assert (quality.accuracy.successes, quality.accuracy.trials) == (1, 1)

    await monitoring.give(feedback(prediction.prediction_id, "1", at=now + 60))
    (quality,) = await monitoring.quality()
    assert (quality.accuracy.successes, quality.accuracy.trials) == (0, 1)


@pytest.mark.requirement("MONITORING-003")
@pytest.mark.parametrize("field", ["prediction_id", "label", "source", "given_at"])
async def test_feedback_that_makes_no_sense_is_refused(monitoring: Any, made: Any, feedback: Any, field: str) -> None:
    given = feedback(made().prediction_id, "1")
    given.ClearField(field)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await monitoring.give(given)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"feedback.{field}" in (caught.value.details() or "")


@pytest.mark.requirement("MONITORING-008", "MONITORING-009", "MONITORING-010")
async def test_quality_is_computed_per_digest_over_the_window(monitoring: Any, made: Any, feedback: Any) -> None:
    old, new = "sha256:" + "0" * 64, "sha256:" + "1" * 64
    early = [made(ago=7200, digest=old) for _ in range(2)]
    late = [made(ago=60, digest=new, version="2", confidence=0.95) for _ in range(4)]
    await monitoring.record(*early, *late)
    for prediction, label in zip([*early, *late[:3]], ["7", "1", "7", "7", "9"], strict=True):
        await monitoring.give(feedback(prediction.prediction_id, label))

    newer, older = await monitoring.quality()
    assert (newer.model.digest, newer.model.version, newer.predictions, newer.labelled) == (new, "2", 4, 3)
    assert (older.model.digest, older.predictions, older.accuracy.value) == (old, 2, 0.5)
    assert newer.accuracy.value == pytest.approx(2 / 3)
    assert (newer.accuracy.lower, newer.accuracy.upper) == pytest.approx((0.2077, 0.9385), abs=1e-4)
    assert [(cell.actual, cell.predicted, cell.count) for cell in newer.confusion] == [("7", "7", 2), ("9", "7", 1)]
    assert newer.expected_calibration_error == pytest.approx(0.95 - 2 / 3, abs=1e-6)

    (only,) = await monitoring.quality(**{"from": made(ago=3600).made_at})
    assert only.model.digest == new
    (only,) = await monitoring.quality(model_digest=old)
    assert only.model.digest == old
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await monitoring.quality(model_digest="sha256:unknown")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_quality_without_a_model_is_refused(monitoring: Any) -> None:
    async with monitoring.stub() as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetModelQuality(pb.GetModelQualityRequest())
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.requirement("MONITORING-015")
async def test_accuracy_is_a_metric_per_digest(monitoring: Any, made: Any, feedback: Any, until: Any) -> None:
    prediction = made()
    await monitoring.record(prediction)
    await monitoring.give(feedback(prediction.prediction_id, "7"))
    labels = f'{{digest="3f3f3f3f3f3f",model="{monitoring.model}"}}'
    await until(lambda: monitoring.metric(f"monitoring_accuracy_ratio{labels}") == 1)
    assert monitoring.metric(f"monitoring_labelled_predictions{labels}") == 1
    assert monitoring.metric(f"monitoring_accuracy_lower_ratio{labels}") == pytest.approx(0.2065, abs=1e-4)
    assert monitoring.metric(f"monitoring_accuracy_upper_ratio{labels}") == 1


@pytest.mark.requirement("MONITORING-035")
async def test_accuracy_is_a_metric_per_revision_and_per_arm(
    monitoring: Any, made: Any, feedback: Any, until: Any
) -> None:
    for arm, label in (("blue", "7"), ("blue", "1"), ("red", "7")):
        prediction = made(revision="1f2e3d", experiment="colours", arm=arm)
        await monitoring.record(prediction)
        await monitoring.give(feedback(prediction.prediction_id, label))

    def split(metric: str, by: str, value: str) -> float:
        labels = f'{{by="{by}",model="{monitoring.model}",value="{value}"}}'
        return float(monitoring.metric(f"monitoring_split_{metric}{labels}"))

    await until(lambda: split("labelled_predictions", "revision", "1f2e3d") == 3)
    assert split("accuracy_ratio", "revision", "1f2e3d") == pytest.approx(2 / 3)
    assert split("labelled_predictions", "arm", "colours/blue") == 2
    assert split("accuracy_ratio", "arm", "colours/blue") == 0.5
    assert split("accuracy_lower_ratio", "arm", "colours/blue") == pytest.approx(0.0945, abs=1e-4)
    assert split("accuracy_upper_ratio", "arm", "colours/blue") == pytest.approx(0.9055, abs=1e-4)
    assert split("accuracy_ratio", "arm", "colours/red") == 1
