"""The tritonclient package, unchanged: HTTP and gRPC, blocking and asynchronous, binary and JSON."""

import queue
from functools import partial

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as triton_grpc_aio
import tritonclient.http as triton_http
import tritonclient.http.aio as triton_http_aio
from local_stack.stack import Stack
from tritonclient.utils import InferenceServerException

MODEL = "digits"


def http_address(stack: Stack) -> str:
    return stack.http_url.removeprefix("http://")


def http_request(zero: np.ndarray, *, binary: bool) -> dict[str, list[object]]:
    pixels = triton_http.InferInput("pixels", list(zero.shape), "FP32")
    pixels.set_data_from_numpy(zero, binary_data=binary)
    names = ("label", "probabilities")
    return {
        "inputs": [pixels],
        "outputs": [triton_http.InferRequestedOutput(name, binary_data=binary) for name in names],
    }


def grpc_inputs(zero: np.ndarray) -> list[triton_grpc.InferInput]:
    pixels = triton_grpc.InferInput("pixels", list(zero.shape), "FP32")
    pixels.set_data_from_numpy(zero)
    return [pixels]


def assert_zero(result: triton_http.InferResult | triton_grpc.InferResult) -> None:
    probabilities = result.as_numpy("probabilities")
    assert probabilities.shape == (1, 10)
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert result.as_numpy("label").ravel().tolist() == [0]
    assert probabilities.argmax() == 0


@pytest.mark.requirement("OIP-010")
@pytest.mark.parametrize("binary", [True, False], ids=["binary", "JSON"])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_http(stack: Stack, zero: np.ndarray, binary: bool, compression: str | None) -> None:  # noqa: FBT001
    with triton_http.InferenceServerClient(http_address(stack)) as client:
        result = client.infer(
            MODEL,
            **http_request(zero, binary=binary),
            request_id="42",
            request_compression_algorithm=compression,
            response_compression_algorithm=compression,
        )
        assert_zero(result)
        assert result.get_response()["id"] == "42"


@pytest.mark.requirement("OIP-010")
def test_a_large_http_answer_comes_compressed(stack: Stack, zero: np.ndarray) -> None:
    with triton_http.InferenceServerClient(http_address(stack)) as client:
        request = http_request(np.repeat(zero, 64, axis=0), binary=True)
        result = client.infer(MODEL, **request, response_compression_algorithm="gzip")
        assert result.as_numpy("label").ravel().tolist() == [0] * 64


@pytest.mark.requirement("OIP-010")
def test_http_asks_about_server_and_model(stack: Stack) -> None:
    with triton_http.InferenceServerClient(http_address(stack)) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready(MODEL)
        assert not client.is_model_ready("nothing")
        assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
        metadata = client.get_model_metadata(MODEL)
        assert metadata["inputs"] == [{"name": "pixels", "datatype": "FP32", "shape": [-1, 64]}]
        assert client.get_model_metadata(MODEL, metadata["versions"][-1]) == metadata
        assert client.get_model_config(MODEL)["name"] == MODEL
        assert client.get_inference_statistics(MODEL)["model_stats"][0]["name"] == MODEL
        assert [model["name"] for model in client.get_model_repository_index()] == [MODEL]


@pytest.mark.requirement("OIP-010")
async def test_http_asynchronously(stack: Stack, zero: np.ndarray) -> None:
    async with triton_http_aio.InferenceServerClient(http_address(stack)) as client:
        assert await client.is_model_ready(MODEL)
        for binary in (True, False):
            assert_zero(await client.infer(MODEL, **http_request(zero, binary=binary)))


@pytest.mark.requirement("OIP-010")
def test_grpc(stack: Stack, zero: np.ndarray) -> None:
    with triton_grpc.InferenceServerClient(stack.grpc_address) as client:
        result = client.infer(MODEL, grpc_inputs(zero), request_id="42", client_timeout=10)
        assert_zero(result)
        assert result.get_response().id == "42"
        assert result.get_response().parameters["model_digest"].string_param.startswith("sha256:")


@pytest.mark.requirement("OIP-010")
def test_grpc_asks_about_server_and_model(stack: Stack) -> None:
    with triton_grpc.InferenceServerClient(stack.grpc_address) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready(MODEL)
        assert "statistics" in client.get_server_metadata().extensions
        assert [tensor.name for tensor in client.get_model_metadata(MODEL).outputs] == ["label", "probabilities"]
        assert client.get_model_config(MODEL).config.max_batch_size == 64
        assert client.get_inference_statistics(MODEL).model_stats[0].name == MODEL
        assert [model.state for model in client.get_model_repository_index().models] == ["READY"]


@pytest.mark.requirement("OIP-010")
def test_grpc_streams(stack: Stack, zero: np.ndarray) -> None:
    answers: queue.Queue[tuple[triton_grpc.InferResult | None, InferenceServerException | None]] = queue.Queue()
    with triton_grpc.InferenceServerClient(stack.grpc_address) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        for number in range(20):
            client.async_stream_infer(MODEL, grpc_inputs(zero), request_id=str(number))
        client.async_stream_infer("nothing", grpc_inputs(zero))
        for number in range(20):
            result, error = answers.get(timeout=10)
            assert error is None
            assert result is not None
            assert_zero(result)
            assert result.get_response().id == str(number)
        _, error = answers.get(timeout=10)
        assert error is not None
        assert "nothing" in error.message()
        client.stop_stream()


@pytest.mark.requirement("OIP-010")
async def test_grpc_asynchronously(stack: Stack, zero: np.ndarray) -> None:
    async with triton_grpc_aio.InferenceServerClient(stack.grpc_address) as client:
        assert await client.is_server_ready()
        assert_zero(await client.infer(MODEL, grpc_inputs(zero)))


@pytest.mark.requirement("OIP-010")
@pytest.mark.parametrize("protocol", ["HTTP", "gRPC"])
def test_a_refusal_says_what_is_wrong(stack: Stack, zero: np.ndarray, protocol: str) -> None:
    wide = zero.reshape(2, 32)
    if protocol == "HTTP":
        client = triton_http.InferenceServerClient(http_address(stack))
        infer = partial(client.infer, MODEL, **http_request(wide, binary=True))
    else:
        client = triton_grpc.InferenceServerClient(stack.grpc_address)
        infer = partial(client.infer, MODEL, grpc_inputs(wide))
    with client, pytest.raises(InferenceServerException, match=r"inputs\[0\]\.shape") as refused:
        infer()
    assert refused.value.status() in {"400", "StatusCode.INVALID_ARGUMENT"}
