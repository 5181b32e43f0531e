"""What a caller makes the server hold is counted, bounded and let go."""

import gc
import gzip
from typing import Any

import pytest
from frame_caller import calling, data, head, message
from grpc import StatusCode
from service_runtime.grpc_transport.call import Call
from service_runtime.http2 import frames
from service_runtime.http2.frames import ErrorCode, Frame

pytestmark = pytest.mark.requirement("RUNTIME-012")

MIB = 1 << 20


async def test_more_bytes_than_the_budget_are_refused_until_some_calls_have_ended(lean: Any) -> None:
    async with lean(max_held_bytes=100_000) as port, calling(port) as caller:
        for stream in range(1, 15, 2):
            caller.send(head(stream, path="/t.T/hold"), data(stream, message(bytes(15_000))))
        assert await caller.end_of(13) is StatusCode.UNAVAILABLE
        caller.send(frames.reset(1, ErrorCode.CANCEL), head(15), data(15, message(bytes(5_000))))
        assert await caller.end_of(15) is StatusCode.OK


async def test_a_small_message_that_unfolds_to_much_counts_with_what_it_unfolds_to(lean: Any) -> None:
    bomb = gzip.compress(bytes(3 * MIB))
    assert len(bomb) < 4096
    async with lean(max_held_bytes=MIB) as port, calling(port) as caller:
        caller.send(head(1, grpc_encoding="gzip"), data(1, message(bomb, compressed=1)))
        assert await caller.end_of(1) is StatusCode.UNAVAILABLE
        caller.send(head(3), data(3, message(bytes(15_000))))
        assert await caller.end_of(3) is StatusCode.OK


@pytest.mark.parametrize("method", ["echo", "ignore"])
async def test_messages_of_no_bytes_count_with_what_they_cost(lean: Any, method: str) -> None:
    async with lean(max_held_bytes=MIB) as port, calling(port) as caller:
        caller.send(head(1, path=f"/t.T/{method}"), *[data(1, message(b"") * 3000, flags=0)] * 5)
        if method == "echo":
            assert await caller.end_of(1) is StatusCode.UNAVAILABLE
        else:
            caller.send(head(3), data(3, message(b"")))
            assert await caller.end_of(3) is StatusCode.UNAVAILABLE


async def test_an_answer_that_is_not_taken_holds_none_of_the_budget(lean: Any) -> None:
    async with lean(max_held_bytes=20_000) as port, calling(port, greeted=False) as caller:
        caller.send(frames.PREFACE + frames.settings([(frames.Setting.INITIAL_WINDOW_SIZE, 0)]))
        caller.send(head(1), data(1, message(bytes(15_000))))
        assert await caller.first_of(1) == Frame.HEADERS
        async with calling(port) as other:
            other.send(head(1), data(1, message(bytes(15_000))))
            assert await other.end_of(1) is StatusCode.OK


async def test_calls_that_are_reset_while_their_answers_wait_leave_nothing_behind(lean: Any) -> None:
    async with lean() as port, calling(port, greeted=False) as caller:
        caller.send(frames.PREFACE + frames.settings([(frames.Setting.INITIAL_WINDOW_SIZE, 0)]))
        for stream in range(1, 41, 2):
            caller.send(head(stream), data(stream, message(b"x" * 1000)))
            assert await caller.first_of(stream) == Frame.HEADERS
            caller.send(frames.reset(stream, ErrorCode.CANCEL))
        caller.send(head(41), data(41, message(b"x")))
        assert await caller.first_of(41) == Frame.HEADERS
        gc.collect()
        assert sum(isinstance(kept, Call) for kept in gc.get_objects()) == 1
