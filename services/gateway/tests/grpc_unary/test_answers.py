"""What an answer's headers mean for a call."""

import pytest
from gateway.grpc_unary import RpcError
from gateway.grpc_unary.answers import read_message
from grpc import StatusCode

_RESET = "upstream connect error or disconnect/reset before headers. reset reason: "


def refusal(code: StatusCode, details: str) -> RpcError:
    with pytest.raises(RpcError) as caught:
        read_message({":status": "200", "grpc-status": str(code.value[0]), "grpc-message": details}, bytearray())
    return caught.value


@pytest.mark.requirement("MESH-008")
@pytest.mark.parametrize(
    "details",
    [
        "no healthy upstream",
        f"{_RESET}remote connection failure, transport failure reason: delayed connect error: 111",
        f"{_RESET}connection timeout",
        "upstream connect error or disconnect/reset before headers. reset reason: remote refused stream reset",
    ],
)
def test_a_call_that_a_sidecar_could_not_pass_on_was_surely_not_begun(details: str) -> None:
    """So it may be repeated, here and nowhere else."""
    assert not refusal(StatusCode.UNAVAILABLE, details).processed


@pytest.mark.requirement("MESH-008")
@pytest.mark.parametrize(
    ("code", "details"),
    [
        (StatusCode.UNAVAILABLE, f"{_RESET}connection termination"),
        (StatusCode.UNAVAILABLE, f"{_RESET}overflow"),
        (StatusCode.UNAVAILABLE, "preprocessing is busy"),
        (StatusCode.INTERNAL, "no healthy upstream"),
    ],
)
def test_a_call_that_may_have_been_begun_or_that_was_refused_counts_as_begun(code: StatusCode, details: str) -> None:
    assert refusal(code, details).processed
