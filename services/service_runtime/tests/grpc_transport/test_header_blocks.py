"""Header blocks against hpack, whose encoder is nobody's in this house."""

import contextlib

import pytest
from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st
from service_runtime.http2.frames import ProtocolError
from service_runtime.http2.header_blocks import HeaderDecoder, encode_literals

pytestmark = pytest.mark.requirement("RUNTIME-011")

NAMES = st.sampled_from([b":path", b":method", b"content-type", b"te", b"grpc-timeout", b"x-long-" + b"n" * 300])
FIELDS = st.lists(st.tuples(NAMES | st.binary(min_size=1, max_size=40), st.binary(max_size=400)), max_size=12)


@given(st.lists(st.tuples(FIELDS, st.booleans(), st.sampled_from([None, 0, 60, 1000, 4096])), max_size=8))
def test_what_hpack_encodes_is_decoded_block_after_block(
    blocks: list[tuple[list[tuple[bytes, bytes]], bool, int]],
) -> None:
    encoder, decoder = Encoder(), HeaderDecoder()
    for fields, huffman, table_size in blocks:
        if table_size is not None:
            encoder.header_table_size = table_size
        assert decoder.decode(encoder.encode(fields, huffman=huffman)) == fields


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_bytes_that_are_no_header_block_are_a_protocol_error_and_nothing_else(blocks: list[bytes]) -> None:
    decoder = HeaderDecoder()
    with contextlib.suppress(ProtocolError):
        for block in blocks:
            decoder.decode(block)


@given(st.lists(st.tuples(st.text("abc-", min_size=1), st.text("xyz", max_size=20_000)), max_size=3))
def test_literals_are_read_back(fields: list[tuple[str, str]]) -> None:
    assert HeaderDecoder(max_bytes=1 << 20).decode(encode_literals(fields)) == [
        (name.encode(), value.encode()) for name, value in fields
    ]


def test_a_small_block_that_unfolds_to_much_is_refused() -> None:
    decoder = HeaderDecoder()
    large = b"\x40\x01n" + b"\x7f\xa1\x1e" + b"v" * 4000  # 4,000 bytes that go into the table
    assert len(decoder.decode(large)) == 1
    with pytest.raises(ProtocolError, match="larger than allowed"):
        decoder.decode(b"\xbe" * 1000)  # a thousand times that one
