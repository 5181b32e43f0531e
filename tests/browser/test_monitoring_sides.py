"""A canary, and a shadow, on the monitoring page: their share, their accuracy, and what the judgement says."""

import re
import secrets
import time
from typing import Any

import grpc
import pytest
from fairlead.events.v1.events_pb2 import (
    AnswersCompared,
    FeedbackGiven,
    ModelRef,
    PredictionMade,
    StageTimings,
    TensorCompared,
)
from fairlead.monitoring.v1 import monitoring_pb2 as pb
from fairlead.monitoring.v1.monitoring_pb2_grpc import MonitoringServiceStub
from local_stack.pytest_plugin import StartStack
from local_stack.stack import Stack
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

STABLE, CANARY, SHADOW = (ModelRef(name="digits", version=each, digest="sha256:" + each * 64) for each in "123")
SECONDS_BACK = 3000
CALLS = 1200


@pytest.fixture
def rollout(start_stack: StartStack) -> Stack:
    """An hour in which a canary gets a tenth, then half of the calls, and every second of its answers is wrong."""
    stack = start_stack(only=["monitoring"])
    made = [prediction(number) for number in range(CALLS)]
    with grpc.insecure_channel(f"127.0.0.1:{stack.ports['monitoring']['grpc']}") as channel:
        stub = MonitoringServiceStub(channel)
        for sequence, part in enumerate((made[:600], made[600:]), start=1):
            batches = [pb.RecordPredictionsRequest(sequence=1, predictions=part)]
            assert [each.acknowledged_sequence for each in stub.RecordPredictions(iter(batches))] == [1], sequence
        for number, each in enumerate(made):
            if number % 7 == 0 or (is_canary(number) and number % 2):
                stub.RecordFeedback(pb.RecordFeedbackRequest(feedback=feedback(each, number)))
        stub.RecordComparisons(pb.RecordComparisonsRequest(comparisons=[compared(number) for number in range(200)]))
    return stack


def is_canary(number: int) -> bool:
    return number % 10 == 1 if 400 <= number < 800 else number >= 800 and number % 2 == 1


def prediction(number: int) -> PredictionMade:
    """Make the call with this number; the higher the later."""
    made = PredictionMade(
        prediction_id=identifier(),
        model=CANARY if is_canary(number) else STABLE,
        label=str(number % 10),
        probabilities=[0.9 if label == number % 10 else 0.1 / 9 for label in range(10)],
        features=[float((number * 7 + pixel * 5) % 17) for pixel in range(64)],
        timings=StageTimings(preprocessing_ms=1, inference_ms=2, total_ms=4),
        revision="0a" * 20,
        trace_id=secrets.token_hex(16),
    )
    made.made_at.FromMicroseconds(int((time.time() - SECONDS_BACK * (1 - number / CALLS)) * 1e6))
    return made


def feedback(made: PredictionMade, number: int) -> FeedbackGiven:
    wrong = number % 4 == 1 if is_canary(number) else number % 20 == 0
    given = FeedbackGiven(prediction_id=made.prediction_id, label=str((int(made.label) + wrong) % 10), source="test")
    given.given_at.GetCurrentTime()
    return given


def compared(number: int) -> AnswersCompared:
    tensors = [
        TensorCompared(name="label", largest_difference=0),
        TensorCompared(name="probabilities", largest_difference=1e-7),
    ]
    each = AnswersCompared(
        comparison_id=identifier(), stable=STABLE, shadow=SHADOW, labels_differ=number % 8 == 0, tensors=tensors
    )
    each.compared_at.GetCurrentTime()
    return each


def identifier() -> str:
    return re.sub(r"(.{8})(.{4})(.{4})(.{4})(.{12})", r"\1-\2-\3-\4-\5", secrets.token_hex(16))


@pytest.mark.requirement("MONITORING-038", "MONITORING-039")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_canary_that_is_worse_is_seen_by_its_share_its_accuracy_and_its_verdict(
    rollout: Stack, visitor: Any, screenshot: Any, scheme: str
) -> None:
    page = visitor.open(rollout.monitoring_url, color_scheme=scheme, viewport={"width": 1320, "height": 900})
    expect(page.get_by_role("radio", name="Digest")).to_be_checked()
    expect(page.locator("#shares .legend li")).to_have_text(["1" * 12, "2" * 12])
    expect(page.locator("#shares svg[role=img]")).to_have_attribute(
        "aria-label", re.compile(r"1{12} \d+ %, 2{12} \d+ %")
    )
    expect(page.locator("#accuracies .legend li")).to_have_text(["1" * 12, "2" * 12])
    expect(page.locator("#canary .badge")).to_have_text("to be aborted")
    expect(page.locator("#canary").get_by_role("row", name="canary")).to_contain_text(re.compile(r"[45]\d\.\d %"))
    expect(page.locator("#canary svg[role=img]")).to_have_attribute("aria-label", re.compile(r"[12]\d\d for abort"))
    expect(page.locator("#shadow .badge")).to_have_text("to be aborted")
    expect(page.locator("#shadow")).to_contain_text("Against 111111111111")
    screenshot(page, f"monitoring-page-canary-{scheme}")

    page.get_by_role("radio", name="Revision").check()
    expect(page.locator("#shares .legend li")).to_have_count(0)
    expect(page.locator("#canary")).to_contain_text("Only one revision answers in this window")
    assert visitor.problems == []


@pytest.mark.requirement("MONITORING-023", "MONITORING-038")
def test_the_comparison_fits_a_telephone(rollout: Stack, visitor: Any, screenshot: Any) -> None:
    page = visitor.open(rollout.monitoring_url, viewport={"width": 360, "height": 740}, has_touch=True)
    expect(page.locator("#canary .badge")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    screenshot(page, "monitoring-page-canary-telephone")
    assert visitor.problems == []
