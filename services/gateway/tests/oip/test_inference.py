import time
from array import array
from collections.abc import Callable
from typing import Any

import pytest
from gateway.oip.inference import Inference, InferMessage
from service_runtime.deadlines import Deadline
from service_runtime.errors import InvalidInput, NotFound
from tritonclient.grpc import service_pb2 as oip

Build = Callable[..., oip.ModelInferRequest]


async def infer(inference: Inference, request: oip.ModelInferRequest, *, seconds: float = 5) -> bytes:
    message = InferMessage.parse(request.SerializeToString())
    return await inference.infer_message(message, deadline=Deadline.after(seconds))


@pytest.mark.requirement("OIP-005")
async def test_raw_tensors_pass_as_they_are(inference: Inference, triton: Any, row_message: Build) -> None:
    request = row_message("7")
    answer = await infer(inference, request)
    assert triton.received == [request.SerializeToString()]
    expected = await triton.answer(request)
    assert answer.startswith(expected), "Triton's bytes come back as Triton wrote them"
    assert (
        answer[len(expected) :]
        == oip.ModelInferResponse(
            parameters={"model_digest": oip.InferParameter(string_param="sha256:" + "ab" * 32)}
        ).SerializeToString()
    )


@pytest.mark.requirement("OIP-005")
async def test_typed_contents_come_back_typed(inference: Inference, triton: Any, row_message: Build) -> None:
    request = row_message()
    request.ClearField("raw_input_contents")
    request.inputs[0].contents.fp32_contents.extend([1, 2])
    answer = oip.ModelInferResponse.FromString(await infer(inference, request))
    assert list(answer.outputs[0].contents.fp32_contents) == [1, 2]
    assert not answer.raw_output_contents
    sent = oip.ModelInferRequest.FromString(triton.received[0])
    assert list(sent.raw_input_contents) == [array("f", [1, 2]).tobytes()]


async def test_an_output_that_has_no_typed_form_comes_back_raw(
    inference: Inference, triton: Any, row_message: Build
) -> None:
    async def half_precision(request: oip.ModelInferRequest) -> bytes:
        response = oip.ModelInferResponse(model_name="rows", model_version="1", raw_output_contents=[b"\0<"])
        response.outputs.add(name="twice", datatype="FP16", shape=[1])
        return response.SerializeToString()

    triton.answer = half_precision
    request = row_message()
    request.ClearField("raw_input_contents")
    request.inputs[0].contents.fp32_contents.extend([1, 2])
    answer = oip.ModelInferResponse.FromString(await infer(inference, request))
    assert list(answer.raw_output_contents) == [b"\0<"]


@pytest.mark.requirement("OIP-006")
@pytest.mark.parametrize("version", ["1", "2"])
async def test_the_digest_is_that_of_the_version_that_answered(
    inference: Inference, triton: Any, row_message: Build, with_versions: dict[str, str], version: str
) -> None:
    async def answer(request: oip.ModelInferRequest) -> bytes:
        response = oip.ModelInferResponse(model_name="rows", model_version=version, raw_output_contents=[bytes(8)])
        response.outputs.add(name="twice", datatype="FP32", shape=[1, 2])
        return response.SerializeToString()

    triton.answer = answer
    answered = oip.ModelInferResponse.FromString(await infer(inference, row_message()))
    assert answered.parameters["model_digest"].string_param == with_versions[version]


@pytest.mark.requirement("OIP-007")
@pytest.mark.parametrize(
    ("asked", "seconds"),
    [(oip.InferParameter(int64_param=250_000), 0.25), (oip.InferParameter(uint64_param=10**12), 5)],
)
async def test_the_timeout_parameter_only_shortens_the_deadline(
    inference: Inference, triton: Any, row_message: Build, asked: oip.InferParameter, seconds: float
) -> None:
    before = time.monotonic()
    await infer(inference, row_message(timeout=asked), seconds=5)
    assert before + seconds <= triton.deadlines[0].expires_at <= time.monotonic() + seconds


@pytest.mark.parametrize(
    ("name", "version"), [("", ""), ("x" * 257, ""), ("rows", "one"), ("rows", "9" * 19), ("rows", "\u0661")]
)
async def test_what_cannot_be_a_name_is_never_looked_up(inference: Inference, name: str, version: str) -> None:
    with pytest.raises(NotFound):
        await inference.model(name, version, deadline=Deadline.after(1))


async def test_what_the_caller_wrote_is_cut_in_errors(inference: Inference, row_message: Build) -> None:
    request = row_message()
    request.inputs[0].name = "\n" + "x" * 100_000
    with pytest.raises(InvalidInput) as refused:
        await infer(inference, request)
    assert len(refused.value.message) < 300
    assert "\n" not in refused.value.message
