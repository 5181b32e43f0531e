"""What the native API means, the same over REST and gRPC."""

from dataclasses import replace
from uuid import UUID

import pytest
from gateway_kit.native import NativeGateway
from gateway_kit.native_apis import Api, Refused
from service_runtime.errors import DeadlineExceeded, DependencyUnavailable


def picture(digit: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + bytes([digit])


@pytest.mark.requirement("NATIVE-001", "NATIVE-002")
async def test_predict_answers_with_label_probabilities_model_and_timings(gateway: NativeGateway, api: Api) -> None:
    answer = await api.predict("digits", picture(7))

    assert answer["label"] == "7"
    assert answer["confidence"] == pytest.approx(0.91)
    assert [each["label"] for each in answer["probabilities"]] == list("0123456789")
    assert answer["probabilities"][7]["probability"] == pytest.approx(0.91)
    model = gateway.catalog.models["digits", ""]
    assert answer["model"] == {"name": "digits", "version": "3", "digest": model.digest}
    assert answer["feature_spec"] == {"name": "digits-8x8", "digest": model.feature_spec_digest}
    assert answer["features"] == [7.0] * 64
    timings = answer["timings_ms"]
    assert 0 <= timings["preprocessing"] + timings["inference"] <= timings["total"]
    assert UUID(answer["prediction_id"]).version == 7
    assert len(answer["trace_id"]) == 32


@pytest.mark.requirement("NATIVE-003")
async def test_every_answer_is_recorded_as_it_was_given(gateway: NativeGateway, api: Api) -> None:
    answer = await api.predict("digits", picture(7))

    [made] = gateway.monitoring.recorded
    assert made.prediction_id == answer["prediction_id"]
    assert made.label == "7"
    assert made.model.digest == answer["model"]["digest"]
    assert made.feature_spec_digest == answer["feature_spec"]["digest"]
    assert list(made.features) == answer["features"]
    assert list(made.probabilities) == pytest.approx([each["probability"] for each in answer["probabilities"]])
    assert made.timings.total_ms == answer["timings_ms"]["total"]
    assert made.trace_id == answer["trace_id"]
    assert made.made_at.seconds > 0
    assert made.caller_kind == api.caller_kind


@pytest.mark.requirement("NATIVE-004")
async def test_an_unknown_model_is_not_found(api: Api) -> None:
    with pytest.raises(Refused) as error:
        await api.predict("letters", picture(7))
    assert error.value.code == "NOT_FOUND"
    assert "letters" in error.value.message


@pytest.mark.requirement("NATIVE-004")
async def test_a_model_without_preprocessing_points_to_the_tensor_api(api: Api) -> None:
    with pytest.raises(Refused) as error:
        await api.predict("tensors", picture(7))
    assert error.value.code == "NOT_FOUND"
    assert "/v2/models/tensors/infer" in error.value.message


@pytest.mark.requirement("NATIVE-005")
@pytest.mark.parametrize("image", [b"", b"not a picture"])
async def test_an_image_that_cannot_be_read_is_named(gateway: NativeGateway, api: Api, image: bytes) -> None:
    with pytest.raises(Refused) as error:
        await api.predict("digits", image)
    assert error.value.code == "INVALID_ARGUMENT"
    assert error.value.violations == ["image"]
    assert not error.value.retryable
    assert gateway.monitoring.recorded == []


@pytest.mark.requirement("NATIVE-006")
@pytest.mark.parametrize("neighbour", ["preprocessor", "inference", "catalog"])
async def test_a_neighbour_that_is_away_is_unavailable_and_worth_a_retry(
    gateway: NativeGateway, api: Api, neighbour: str
) -> None:
    getattr(gateway, neighbour).failure = DependencyUnavailable("The service is not available. Retry shortly.")
    with pytest.raises(Refused) as error:
        await api.predict("digits", picture(7))
    assert error.value.code == "UNAVAILABLE"
    assert error.value.retryable


@pytest.mark.requirement("NATIVE-006")
async def test_a_spent_deadline_names_the_stage(gateway: NativeGateway, api: Api) -> None:
    gateway.preprocessor.failure = DeadlineExceeded("preprocessing")
    with pytest.raises(Refused) as error:
        await api.predict("digits", picture(7))
    assert error.value.code == "DEADLINE_EXCEEDED"
    assert "preprocessing" in error.value.message


@pytest.mark.requirement("NATIVE-002")
async def test_the_answer_names_the_version_that_answered_not_the_one_asked(gateway: NativeGateway, api: Api) -> None:
    digits = gateway.catalog.models["digits", ""]
    gateway.catalog.models["digits", "4"] = replace(digits, version="4", digest="sha256:" + "44" * 32)
    gateway.inference.version = "4"

    answer = await api.predict("digits", picture(7))

    assert answer["model"] == {"name": "digits", "version": "4", "digest": "sha256:" + "44" * 32}
    assert gateway.monitoring.recorded[0].model.digest == "sha256:" + "44" * 32


@pytest.mark.requirement("NATIVE-002")
async def test_the_labels_are_those_of_the_version_that_answered(gateway: NativeGateway, api: Api) -> None:
    digits = gateway.catalog.models["digits", ""]
    gateway.catalog.models["digits", "4"] = replace(digits, version="4", labels=tuple("abcdefghijk"))
    gateway.inference.version, gateway.inference.classes = "4", 11

    answer = await api.predict("digits", picture(7))

    assert (answer["label"], answer["probabilities"][10]["label"]) == ("h", "k")
    assert len(gateway.preprocessor.specs) == 1, "the tensor is right for both"


@pytest.mark.requirement("MODELS-002")
async def test_a_model_that_sees_pictures_otherwise_answers_about_a_tensor_made_for_it(
    gateway: NativeGateway, api: Api
) -> None:
    digits = gateway.catalog.models["digits", ""]
    other = replace(digits, version="4", feature_spec_digest="sha256:" + "99" * 32)
    gateway.catalog.models["digits", "4"] = other
    gateway.inference.version = "4"

    answer = await api.predict("digits", picture(7))

    assert gateway.preprocessor.specs == [digits.feature_spec_digest, other.feature_spec_digest]
    assert (answer["model"]["version"], answer["feature_spec"]["digest"]) == ("4", other.feature_spec_digest)
    assert len(gateway.monitoring.recorded) == 1


@pytest.mark.requirement("MODELS-002")
async def test_an_answer_about_a_tensor_made_for_another_model_is_never_given(gateway: NativeGateway, api: Api) -> None:
    """Two models take turns so that each always sees the tensor of the other."""
    digits = gateway.catalog.models["digits", ""]
    for version in ("4", "5"):
        other = replace(digits, version=version, feature_spec_digest="sha256:" + version * 64)
        gateway.catalog.models["digits", version] = other
    gateway.inference.turns = ["4", "5", "4"]

    with pytest.raises(Refused) as error:
        await api.predict("digits", picture(7))

    assert (error.value.code, error.value.retryable) == ("UNAVAILABLE", True)
    assert gateway.monitoring.recorded == []


@pytest.mark.requirement("NATIVE-007")
async def test_a_model_that_answers_nonsense_is_our_fault_and_never_an_answer(gateway: NativeGateway, api: Api) -> None:
    gateway.inference.probability = float("nan")
    with pytest.raises(Refused) as error:
        await api.predict("digits", picture(7))
    assert error.value.code == "INTERNAL"
    assert gateway.monitoring.recorded == []


@pytest.mark.requirement("NATIVE-008")
async def test_a_batch_answers_every_image_in_order(gateway: NativeGateway, api: Api) -> None:
    answers = await api.batch_predict("digits", [picture(3), picture(1), picture(4)])
    assert [answer["label"] for answer in answers] == ["3", "1", "4"]
    assert [answer["features"][0] for answer in answers] == [3.0, 1.0, 4.0]
    assert len({answer["prediction_id"] for answer in answers}) == 3
    assert [made.label for made in gateway.monitoring.recorded] == ["3", "1", "4"]


@pytest.mark.requirement("NATIVE-008")
async def test_one_bad_image_refuses_the_batch_and_is_named(gateway: NativeGateway, api: Api) -> None:
    with pytest.raises(Refused) as error:
        await api.batch_predict("digits", [picture(3), b"not a picture", picture(4)])
    assert error.value.code == "INVALID_ARGUMENT"
    assert error.value.violations == ["images[1]"]
    assert gateway.monitoring.recorded == []


@pytest.mark.requirement("NATIVE-008")
@pytest.mark.parametrize(("count", "code"), [(0, "INVALID_ARGUMENT"), (5, "RESOURCE_EXHAUSTED")])
async def test_a_batch_has_one_to_a_bounded_number_of_images(api: Api, count: int, code: str) -> None:
    with pytest.raises(Refused) as error:
        await api.batch_predict("digits", [picture(3)] * count)
    assert error.value.code == code
    assert not error.value.retryable or code != "INVALID_ARGUMENT"


@pytest.mark.requirement("NATIVE-009")
async def test_models_are_listed_with_what_callers_need(gateway: NativeGateway, api: Api) -> None:
    digits, tensors = await api.models()
    assert digits == await api.model("digits")
    assert digits["digest"] == gateway.catalog.models["digits", ""].digest
    assert digits["labels"] == list("0123456789")
    assert digits["inputs"] == [{"name": "pixels", "datatype": "FP32", "shape": [-1, 64]}]
    assert digits["ready"] is True
    assert tensors["feature_spec"] is None


@pytest.mark.requirement("NATIVE-009")
async def test_an_unknown_model_has_no_description(api: Api) -> None:
    with pytest.raises(Refused) as error:
        await api.model("letters")
    assert error.value.code == "NOT_FOUND"
