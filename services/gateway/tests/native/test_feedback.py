"""Telling the right label, the same over REST and gRPC."""

from uuid import uuid4

import httpx2
import pytest
from gateway_kit.native import NativeGateway
from gateway_kit.native_apis import Api, Refused
from service_runtime.errors import DependencyUnavailable

SEVEN = b"\x89PNG\r\n\x1a\n\x07"


@pytest.mark.requirement("NATIVE-013")
async def test_feedback_reaches_monitoring_with_its_source(gateway: NativeGateway, api: Api) -> None:
    prediction_id = (await api.predict("digits", SEVEN))["prediction_id"]

    assert await api.feedback(prediction_id, "9", "labelling-team") is True

    [feedback] = gateway.monitoring.feedbacks
    assert (feedback.prediction_id, feedback.label, feedback.source) == (prediction_id, "9", "labelling-team")
    assert feedback.given_at.seconds > 0


@pytest.mark.requirement("NATIVE-013")
async def test_feedback_may_come_before_its_prediction_and_without_a_source(gateway: NativeGateway, api: Api) -> None:
    assert await api.feedback(str(uuid4()).upper(), "9") is False
    [feedback] = gateway.monitoring.feedbacks
    assert feedback.source == "api"
    assert feedback.prediction_id == feedback.prediction_id.lower()


@pytest.mark.requirement("NATIVE-013")
@pytest.mark.parametrize(
    ("feedback", "field"),
    [
        (("seven", "9", ""), "prediction_id"),
        (("{" + str(uuid4()) + "}", "9", ""), "prediction_id"),
        ((str(uuid4()), "", ""), "label"),
        ((str(uuid4()), "nine", ""), "label"),
        ((str(uuid4()), "9" * 1000, ""), "label"),
        ((str(uuid4()), "9", "x" * 101), "source"),
    ],
)
async def test_wrong_feedback_is_refused_with_the_field(
    gateway: NativeGateway, api: Api, feedback: tuple[str, str, str], field: str
) -> None:
    with pytest.raises(Refused) as error:
        await api.feedback(*feedback)
    assert error.value.code == "INVALID_ARGUMENT"
    assert error.value.violations == [field]
    assert gateway.monitoring.feedbacks == []


@pytest.mark.requirement("NATIVE-013")
async def test_feedback_is_taken_while_no_model_can_be_asked_for_its_labels(gateway: NativeGateway, api: Api) -> None:
    gateway.catalog.failure = DependencyUnavailable("The inference service is not available.")
    await api.feedback(str(uuid4()), "a label of a model that is away")
    assert len(gateway.monitoring.feedbacks) == 1


@pytest.mark.requirement("NATIVE-013")
async def test_feedback_that_could_not_be_stored_is_not_acknowledged(gateway: NativeGateway, api: Api) -> None:
    gateway.monitoring.failure = DependencyUnavailable("Monitoring cannot be reached.")
    with pytest.raises(Refused) as error:
        await api.feedback(str(uuid4()), "9")
    assert error.value.code == "UNAVAILABLE"
    assert error.value.retryable


@pytest.mark.requirement("NATIVE-013")
@pytest.mark.parametrize("body", [b"", b"[]", b'{"label": 9}', b'{"label": "9", "source": []}'])
async def test_a_rest_body_that_is_no_feedback_is_400(
    gateway: NativeGateway, http: httpx2.AsyncClient, body: bytes
) -> None:
    answer = await http.post(f"/v1/predictions/{uuid4()}:feedback", content=body)
    assert answer.status_code == 400
    assert gateway.monitoring.feedbacks == []
