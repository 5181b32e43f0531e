"""Heads are read as HTTP/2 means them, whatever was remembered of earlier ones."""

import gc

import pytest
from frame_caller import HEAD, calling, data, message
from grpc import StatusCode
from service_runtime.grpc_transport.request_head import RequestHead
from service_runtime.http2 import frames
from service_runtime.http2.frames import END_HEADERS, END_STREAM, PADDED, ErrorCode, Frame, frame
from service_runtime.http2.header_blocks import encode_literals

pytestmark = pytest.mark.requirement("RUNTIME-012")


@pytest.mark.parametrize("refused", [False, True])
async def test_the_same_bytes_mean_another_header_once_the_table_has_changed(port: int, *, refused: bool) -> None:
    """Header blocks are remembered; one that a refused request brought changes the table all the same."""
    into_table = b"\x44" + encode_literals([("", "/t.T/refuse")])[2:]  # :path, which becomes index 62
    other = b"\x44" + encode_literals([("", "/t.T/echo")])[2:]
    rest = b"\x83\x86" + encode_literals([("content-type", "application/grpc")])
    spoiled = encode_literals([("connection", "close")]) if refused else b""
    async with calling(port) as caller:
        ends = []
        blocks = [rest[:2] + into_table + rest[2:], rest[:2] + b"\xbe" + rest[2:]]
        blocks += [blocks[1], rest[:2] + other + rest[2:] + spoiled, blocks[1]]
        for stream, block in zip(range(1, 11, 2), blocks, strict=True):
            caller.send(frame(Frame.HEADERS, END_HEADERS, stream, block), data(stream, message(b"")))
            ends.append(await caller.end_of(stream))
    changed = ErrorCode.PROTOCOL_ERROR if refused else StatusCode.OK
    assert ends == [*[StatusCode.NOT_FOUND] * 3, changed, StatusCode.OK]


async def test_padding_and_priorities_are_skipped(port: int) -> None:
    async with calling(port) as caller:
        block = encode_literals(HEAD)
        caller.send(
            frame(
                Frame.HEADERS,
                END_HEADERS | PADDED | frames.PRIORITY,
                1,
                b"\x03" + bytes(4) + b"\x10" + block + bytes(3),
            ),
            data(1, b"\x02" + message(b"padded") + bytes(2), flags=END_STREAM | PADDED),
        )
        assert await caller.end_of(1) is StatusCode.OK


async def test_heads_that_unfold_to_much_are_not_remembered(port: int) -> None:
    into_table = b"\x40" + encode_literals([("n", "v" * 4000)])[1:]
    block = encode_literals(HEAD)
    async with calling(port) as caller:
        caller.send(frame(Frame.HEADERS, END_HEADERS, 1, block + into_table), data(1, message(b"")))
        for stream in range(3, 23, 2):
            unique = encode_literals([("i", str(stream))])
            caller.send(frame(Frame.HEADERS, END_HEADERS, stream, block + b"\xbe" * 10 + unique))
            caller.send(data(stream, message(b"")))
            assert await caller.end_of(stream) is StatusCode.OK
        gc.collect()
        assert sum(isinstance(kept, RequestHead) and len(kept.metadata) > 10 for kept in gc.get_objects()) == 0
