"""The monitoring page in a real browser, in front of the real monitoring service."""

import re
import secrets
import time
from typing import Any

import grpc
import pytest
from fairlead.events.v1.events_pb2 import FeedbackGiven, ModelRef, PredictionMade, StageTimings
from fairlead.monitoring.v1 import monitoring_pb2 as pb
from fairlead.monitoring.v1.monitoring_pb2_grpc import MonitoringServiceStub
from local_stack.pytest_plugin import StartStack
from local_stack.stack import Stack
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

PREDICTIONS = 400
DIGESTS = ("sha256:" + "1f" * 32, "sha256:" + "2e" * 32)
REVISIONS = ("0a" * 20, "9b" * 20)


@pytest.fixture
def judged(start_stack: StartStack) -> Stack:
    """Monitoring with an hour of predictions of two digests; every fourth is judged, every twentieth was wrong."""
    stack = start_stack(only=["monitoring"])
    made = [prediction(number) for number in range(PREDICTIONS)]
    with grpc.insecure_channel(f"127.0.0.1:{stack.ports['monitoring']['grpc']}") as channel:
        stub = MonitoringServiceStub(channel)
        list(stub.RecordPredictions(iter([pb.RecordPredictionsRequest(sequence=1, predictions=made)])))
        for number in range(0, PREDICTIONS, 4):
            label = str((number + (number % 20 == 0)) % 10)
            given = FeedbackGiven(prediction_id=made[number].prediction_id, label=label, source="test")
            given.given_at.GetCurrentTime()
            stub.RecordFeedback(pb.RecordFeedbackRequest(feedback=given))
    return stack


def prediction(number: int) -> PredictionMade:
    """Make a prediction of a row of digits, the higher the number the older."""
    shade = [float((number * 7 + pixel * 5) % 17) for pixel in range(64)]
    made = PredictionMade(
        prediction_id=re.sub(r"(.{8})(.{4})(.{4})(.{4})(.{12})", r"\1-\2-\3-\4-\5", secrets.token_hex(16)),
        model=ModelRef(name="digits", version="1", digest=DIGESTS[number % 2]),
        label=str(number % 10),
        probabilities=[0.9 if label == number % 10 else 0.1 / 9 for label in range(10)],
        features=shade,
        timings=StageTimings(preprocessing_ms=1, inference_ms=2 + number % 3, total_ms=4 + number % 5),
        revision=REVISIONS[number < PREDICTIONS // 4],
        experiment="colours",
        arm="red" if number % 8 < 4 else "blue",
    )
    made.made_at.FromMicroseconds(int((time.time() - number * 8) * 1e6))
    return made


@pytest.mark.requirement("MONITORING-018", "MONITORING-019")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_draws_every_figure_and_asks_nobody_else(
    judged: Stack, visitor: Any, screenshot: Any, scheme: str
) -> None:
    page = visitor.open(judged.monitoring_url, color_scheme=scheme, viewport={"width": 1320, "height": 900})
    expect(page.locator("#tiles")).to_contain_text("400")
    expect(page.locator("#tiles")).to_contain_text("80.0 %")
    for chart in ("traffic", "latency", "accuracy", "calibration"):
        expect(page.locator(f"#{chart} svg[role=img]").first).to_have_attribute("aria-label", re.compile(r"\w+: "))
    expect(page.locator("#mix dt")).to_have_count(10)
    expect(page.locator("#confusion tbody tr")).to_have_count(len(page.locator("#classes tbody tr").all()))
    side_by_side = page.locator("#splits tbody th[scope=row]")
    expect(side_by_side).to_have_text(["2e" * 6, "1f" * 6, "0a" * 6, "9b" * 6, "colours: blue", "colours: red"])
    expect(page.get_by_role("row", name="colours: blue")).to_contain_text("80.0 %")
    expect(page.locator("#mistakes li")).to_have_count(12)
    page.get_by_role("button", name="Show older ones").click()
    expect(page.locator("#mistakes li")).to_have_count(20)
    expect(page.locator("#mistakes svg").first).to_have_attribute("aria-label", re.compile("predicted ., right is ."))
    page.evaluate("scrollTo(0, 0)")
    screenshot(page, f"monitoring-page-{scheme}")
    assert visitor.problems == []
    assert {url for url in visitor.requests if not url.startswith(judged.monitoring_url)} == set()


@pytest.mark.requirement("MONITORING-018", "MONITORING-023")
def test_the_page_works_by_keyboard_alone(judged: Stack, visitor: Any) -> None:
    page = visitor.open(judged.monitoring_url)
    expect(page.locator("#tiles")).to_contain_text("400")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the figures")).to_be_focused()
    page.get_by_label("1 h", exact=True).focus()
    page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(re.compile("window=15m"))
    expect(page.locator("#tiles")).not_to_contain_text("400")
    page.get_by_role("combobox", name="Digest").focus()
    page.keyboard.press("ArrowDown")
    expect(page).to_have_url(re.compile("digest=sha256"))

    page.get_by_role("combobox", name="Arm").focus()
    page.keyboard.press("End")
    expect(page).to_have_url(re.compile("arm=colours%2F"))
    expect(page.locator("#splits tbody th[scope=row]").last).to_contain_text("colours: ")

    chart = page.locator("#traffic svg").first
    chart.focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#traffic .tip")).to_contain_text("predictions")


@pytest.mark.requirement("MONITORING-023")
def test_the_page_fits_a_telephone(judged: Stack, visitor: Any, screenshot: Any) -> None:
    page = visitor.open(judged.monitoring_url, viewport={"width": 360, "height": 740}, has_touch=True)
    expect(page.locator("#mistakes li")).to_have_count(12)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert (
        page.evaluate("document.querySelector('#splits').scrollWidth - document.querySelector('#splits').clientWidth")
        == 0
    )
    screenshot(page, "monitoring-page-telephone")


@pytest.mark.requirement("MONITORING-032")
def test_many_revisions_are_shown_to_a_dozen_and_counted(start_stack: StartStack, visitor: Any) -> None:
    stack = start_stack(only=["monitoring"])
    made = [prediction(number) for number in range(15)]
    for number, each in enumerate(made):
        each.revision = f"revision-{number}"
    with grpc.insecure_channel(f"127.0.0.1:{stack.ports['monitoring']['grpc']}") as channel:
        list(
            MonitoringServiceStub(channel).RecordPredictions(
                iter([pb.RecordPredictionsRequest(sequence=1, predictions=made)])
            )
        )
    page = visitor.open(stack.monitoring_url)
    expect(page.get_by_role("row", name="and 3 more")).to_be_visible()
    expect(page.locator("#splits").get_by_role("rowheader", name="revision-")).to_have_count(12)
    assert visitor.problems == []


@pytest.mark.requirement("MONITORING-018")
def test_without_predictions_the_page_says_how_to_make_one(
    start_stack: StartStack, visitor: Any, screenshot: Any
) -> None:
    stack = start_stack(only=["monitoring"])
    page = visitor.open(stack.monitoring_url)
    expect(page.get_by_role("heading", name="No predictions yet")).to_be_visible()
    screenshot(page, "monitoring-page-empty")
    assert visitor.problems == []
