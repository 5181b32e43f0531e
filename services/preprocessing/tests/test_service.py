"""The real process, over its own gRPC and operations port."""

import json
import urllib.request
from collections.abc import Callable
from typing import Any, cast

import grpc
import numpy as np
import pytest
from fairlead.preprocessing.v1.preprocessing_pb2 import DescribeRequest, TransformRequest
from fairlead.preprocessing.v1.preprocessing_pb2_grpc import PreprocessingServiceStub
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hypothesis import given, settings
from hypothesis import strategies as st
from local_stack.eventually import eventually
from local_stack.pytest_plugin import StartStack
from local_stack.stack import Stack
from numpy.typing import NDArray
from PIL import Image
from preprocessing import golden
from preprocessing.feature_specs import digits_8x8

pytestmark = pytest.mark.component

Connect = Callable[[Stack], PreprocessingServiceStub]
Draw = Callable[..., Image.Image]
Encode = Callable[..., bytes]
Counts = Callable[..., NDArray[np.float32]]

NAME = "digits-8x8"
ONE_AT_A_TIME = {"PREPROCESSING_MAX_IN_FLIGHT": "1", "PREPROCESSING_TIMEOUT": "60", "PREPROCESSING_GRACE": "60"}
SERVICE = "fairlead.preprocessing.v1.PreprocessingService"


def request(*images: bytes, name: str = NAME, digest: str = "") -> TransformRequest:
    return TransformRequest(feature_spec=name, feature_spec_digest=digest, images=images)


def refusal(call: Callable[[], object]) -> grpc.Call:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return cast("grpc.Call", caught.value)


def details(error: grpc.Call, kind: Any) -> Any:
    metadata = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(cast("bytes", metadata["grpc-status-details-bin"]))
    found = kind()
    assert any(detail.Unpack(found) for detail in status.details)
    return found


def operations(stack: Stack, path: str) -> str:
    url = f"{stack.operations_url('preprocessing')}/{path}"
    with urllib.request.urlopen(url, timeout=5) as response:
        return str(response.read(), "utf-8")


def waiting(stack: Stack) -> float:
    lines = operations(stack, "metrics").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("preprocessing_queue_waiting "))


@pytest.fixture(scope="module")
def slow_picture(encode: Encode) -> bytes:
    """Takes a worker some hundred milliseconds."""
    return encode(Image.effect_noise((300, 300), 90).resize((3000, 3000), Image.Resampling.NEAREST).convert("RGBA"))


@pytest.mark.requirement("PREPROCESSING-009")
def test_transform_answers_one_row_per_picture_in_order(
    service: Stack, connect: Connect, draw: Draw, encode: Encode, counts: Counts
) -> None:
    pictures = [encode(draw(digit)) for digit in (2, 4, 7)]
    answer = connect(service).Transform(request(*pictures, digest=digits_8x8().digest), timeout=5)
    assert (answer.feature_spec, answer.feature_spec_digest) == (NAME, digits_8x8().digest)
    assert (answer.datatype, list(answer.shape)) == ("FP32", [3, 64])
    rows = np.frombuffer(answer.tensor, "<f4").reshape(3, 64)
    assert (rows == [counts(picture) for picture in pictures]).all()


@pytest.mark.requirement("PREPROCESSING-009")
def test_describe_tells_what_the_digest_is_taken_over(service: Stack, connect: Connect) -> None:
    (described,) = connect(service).Describe(DescribeRequest(), timeout=5).feature_specs
    assert (described.name, described.digest) == (NAME, digits_8x8().digest)
    assert list(described.row_shape) == [64]
    assert json.loads(described.parameters_json)["version"] == 1


@pytest.mark.requirement("PREPROCESSING-010")
def test_bad_pictures_are_named_by_their_position(service: Stack, connect: Connect, draw: Draw, encode: Encode) -> None:
    good, blank = encode(draw()), encode(Image.new("L", (28, 28), 255))
    error = refusal(lambda: connect(service).Transform(request(good, blank, good, b"GIF89a"), timeout=5))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    error = refusal(lambda: connect(service).Transform(request(good, good, good, blank, blank), timeout=5))
    fields = [violation.field for violation in details(error, error_details_pb2.BadRequest).field_violations]
    assert fields == ["images[3]", "images[4]"]
    assert "The picture is blank" in str(error.details())


@pytest.mark.requirement("PREPROCESSING-010")
@pytest.mark.parametrize("number", [0, 65])
def test_the_number_of_pictures_is_bounded(service: Stack, connect: Connect, number: int) -> None:
    error = refusal(lambda: connect(service).Transform(request(*[b"x"] * number), timeout=5))
    assert (error.code(), error.details()) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        f"Send 1 to 64 images, not {number}.",
    )


@pytest.mark.requirement("PREPROCESSING-011")
def test_another_digest_is_a_failed_precondition(service: Stack, connect: Connect, draw: Draw, encode: Encode) -> None:
    error = refusal(lambda: connect(service).Transform(request(encode(draw()), digest="sha256:00"), timeout=5))
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert digits_8x8().digest in str(error.details())


@pytest.mark.requirement("PREPROCESSING-011")
def test_an_unknown_feature_spec_is_not_found(service: Stack, connect: Connect) -> None:
    error = refusal(lambda: connect(service).Transform(request(b"x", name="cats-9x9"), timeout=5))
    assert (error.code(), error.details()) == (
        grpc.StatusCode.NOT_FOUND,
        "There is no feature spec 'cats-9x9'. Known: digits-8x8.",
    )


@pytest.mark.requirement("PREPROCESSING-005")
def test_hostile_bytes_never_break_the_process(service: Stack, connect: Connect) -> None:
    stub = connect(service)
    starts = st.sampled_from(
        [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"BM", b"RIFF\x24\x00\x00\x00WEBP", b""]
    )

    @settings(deadline=None)
    @given(start=starts, rest=st.binary(max_size=200))
    def send(start: bytes, rest: bytes) -> None:
        assert refusal(lambda: stub.Transform(request(start + rest), timeout=5)).code() is (
            grpc.StatusCode.INVALID_ARGUMENT
        )

    send()
    assert service["preprocessing"].running


@pytest.mark.requirement("PREPROCESSING-012")
def test_health_tells_the_service_and_the_whole_server(service: Stack) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{service.ports['preprocessing']['grpc']}") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", SERVICE):
            answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_buildz_tells_the_feature_specs(service: Stack) -> None:
    assert json.loads(operations(service, "buildz"))["feature_specs"] == {NAME: digits_8x8().digest}


@pytest.mark.requirement("PREPROCESSING-013")
def test_over_the_queue_calls_are_refused_at_once(
    start_stack: StartStack, connect: Connect, slow_picture: bytes
) -> None:
    limits = {**ONE_AT_A_TIME, "PREPROCESSING_MAX_QUEUED": "2"}
    stack = start_stack(only=("preprocessing",), overrides={"preprocessing": limits})
    stub = connect(stack)
    calls = [stub.Transform.future(request(slow_picture), timeout=60) for _ in range(6)]
    codes = sorted(call.code().name for call in calls)  # code() waits for the end
    assert codes == ["INVALID_ARGUMENT"] * 3 + ["UNAVAILABLE"] * 3  # noise is blank: the accepted three were decoded
    refused = next(call for call in calls if call.code() is grpc.StatusCode.UNAVAILABLE)
    assert details(refused, error_details_pb2.RetryInfo).retry_delay.seconds == 1
    assert dict(refused.trailing_metadata())["grpc-retry-pushback-ms"] == "-1"


@pytest.mark.requirement("PREPROCESSING-014")
def test_a_picture_that_takes_too_long_names_the_stage(
    start_stack: StartStack, connect: Connect, slow_picture: bytes, draw: Draw, encode: Encode
) -> None:
    stack = start_stack(only=("preprocessing",), overrides={"preprocessing": {"PREPROCESSING_TIMEOUT": "0.05"}})
    stub = connect(stack)
    error = refusal(lambda: stub.Transform(request(slow_picture), timeout=30))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "stage 'preprocessing'" in str(error.details())
    # What was given up is still decoded, and on a busy machine another may take its twentieth of a second too.
    assert len(eventually(lambda: tensor_or_nothing(stub, encode(draw())))) == 256


def tensor_or_nothing(stub: Any, image: bytes) -> bytes:
    try:
        return bytes(stub.Transform(request(image), timeout=5).tensor)
    except grpc.RpcError:
        return b""


@pytest.mark.requirement("PREPROCESSING-015")
def test_sigterm_finishes_what_was_accepted_and_exits_zero(
    start_stack: StartStack, connect: Connect, slow_picture: bytes
) -> None:
    stack = start_stack(only=("preprocessing",), overrides={"preprocessing": ONE_AT_A_TIME})
    stub = connect(stack)
    calls = [stub.Transform.future(request(slow_picture), timeout=60) for _ in range(3)]
    eventually(lambda: waiting(stack) == 2)
    assert stack["preprocessing"].stop() == 0
    assert [call.code() for call in calls] == [grpc.StatusCode.INVALID_ARGUMENT] * 3


@pytest.mark.requirement("PREPROCESSING-008")
def test_the_golden_pictures_give_their_rows_over_grpc(service: Stack, connect: Connect) -> None:
    spec = digits_8x8()
    recorded = golden.read(spec).rows
    pictures = [(golden.folder(spec) / name).read_bytes() for name in recorded]
    answer = connect(service).Transform(request(*pictures, digest=spec.digest), timeout=5)
    assert np.frombuffer(answer.tensor, "<f4").reshape(-1, 64).tolist() == list(recorded.values())
