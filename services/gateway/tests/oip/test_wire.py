import pytest
from gateway.oip.wire import RAW_INPUT_CONTENTS, join, split
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2 as oip

texts = st.text(max_size=300)
tensors = st.lists(st.binary(max_size=400), max_size=5)


@given(name=texts, request_id=texts, shape=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=8), raw=tensors)
def test_a_message_splits_into_its_header_and_tensors_and_joins_again(
    name: str, request_id: str, shape: list[int], raw: list[bytes]
) -> None:
    message = oip.ModelInferRequest(model_name=name, id=request_id, raw_input_contents=raw)
    message.inputs.add(name=name, shape=shape)
    header, found = split(message.SerializeToString(), RAW_INPUT_CONTENTS)
    assert [bytes(tensor) for tensor in found] == raw
    assert oip.ModelInferRequest.FromString(join(header, RAW_INPUT_CONTENTS, found)) == message


@given(raw=tensors)
def test_tensors_are_found_between_other_fields(raw: list[bytes]) -> None:
    one = oip.ModelInferRequest(model_name="m", raw_input_contents=raw).SerializeToString()
    two = oip.ModelInferRequest(id="x", raw_input_contents=raw).SerializeToString()
    header, found = split(one + two, RAW_INPUT_CONTENTS)
    assert [bytes(tensor) for tensor in found] == raw * 2
    assert oip.ModelInferRequest.FromString(header) == oip.ModelInferRequest(model_name="m", id="x")


@given(raw=st.binary(min_size=1, max_size=300), cut=st.integers(1, 300))
def test_a_message_that_is_cut_off_is_refused(raw: bytes, cut: int) -> None:
    message = oip.ModelInferRequest(raw_input_contents=[raw]).SerializeToString()
    with pytest.raises(ValueError, match="cut off"):
        split(message[: -min(cut, len(message) - 1)], RAW_INPUT_CONTENTS)


@given(garbage=st.binary(max_size=60))
def test_garbage_splits_or_is_refused(garbage: bytes) -> None:
    try:
        header, found = split(garbage, RAW_INPUT_CONTENTS)
    except ValueError:
        return
    assert len(header) + sum(map(len, found)) <= len(garbage)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"\xba\x00\x01x", id="an overlong key of the tensors' field"),
        pytest.param(b"\xff" * 11, id="an endless number"),
        pytest.param(b"\x3b\x3c", id="a group"),
        pytest.param(b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", id="a length of 64 bits"),
    ],
)
def test_what_another_reader_could_read_otherwise_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match=r"valid|too large"):
        split(message, RAW_INPUT_CONTENTS)


def test_unknown_fields_of_every_kind_stay_in_the_header() -> None:
    unknown = b"\xf8\x07\x96\x01" + b"\xf9\x07" + bytes(8) + b"\xfd\x07" + bytes(4) + b"\xfa\x07\x01z"
    assert split(unknown, RAW_INPUT_CONTENTS) == (unknown, [])


@pytest.mark.parametrize("field", [b"\x10\x00", b"\x2a\x00", b"\x3a\x00"], ids=["unknown", "input", "tensor"])
def test_a_message_of_countless_tiny_fields_is_refused_before_it_is_read_whole(field: bytes) -> None:
    with pytest.raises(ValueError, match="too many fields"):
        split(field * 4_000_000, RAW_INPUT_CONTENTS)
