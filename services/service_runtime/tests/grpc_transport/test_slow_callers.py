"""A caller who takes or gives little at a time is served in its time, and let go after it."""

import asyncio
import struct
from typing import Any

import pytest
from frame_caller import GREETING, IN_TIME, Caller, calling, data, echoes, head, message
from grpc import StatusCode
from service_runtime.grpc_transport import server as server_module
from service_runtime.http2 import frames
from service_runtime.http2.frames import END_STREAM, ErrorCode, Frame, frame

pytestmark = pytest.mark.requirement("RUNTIME-012")


async def test_a_caller_who_takes_nothing_holds_its_answer_no_longer_than_its_deadline(port: int) -> None:
    async with calling(port, greeted=False) as caller:
        caller.send(frames.PREFACE + frames.settings([(frames.Setting.INITIAL_WINDOW_SIZE, 0)]))
        caller.send(head(1, grpc_timeout="300m"), data(1, message(b"x" * 100)))
        assert await caller.end_of(1) is ErrorCode.CANCEL


async def test_an_answer_goes_piece_by_piece_through_a_tiny_window(port: int) -> None:
    async with calling(port, greeted=False) as caller:
        caller.send(frames.PREFACE + frames.settings([(frames.Setting.INITIAL_WINDOW_SIZE, 10)]))
        caller.send(head(1), data(1, message(bytes(range(100)))))
        received = bytearray()
        async with asyncio.timeout(IN_TIME):
            async for kind, flags, _, payload in caller.frames():
                if kind == Frame.DATA:
                    received += payload
                    caller.send(frames.window_update(1, len(payload)))
                if kind == Frame.HEADERS and flags & END_STREAM:
                    break
        assert received == message(bytes(range(100)))


async def test_a_caller_who_asks_for_answers_and_reads_none_is_let_go(port: int) -> None:
    async with calling(port, greeted=False) as caller:
        caller.send(frames.PREFACE + frames.settings([(frames.Setting.INITIAL_WINDOW_SIZE, frames.MAX_WINDOW)]))
        caller.send(frames.window_update(0, frames.MAX_WINDOW - frames.DEFAULT_WINDOW))
        caller.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for stream in range(1, 201, 2):
            caller.send(head(stream, path="/t.T/pour"), data(stream, message(b"64")))
        assert await echoes(port)


@pytest.mark.parametrize(
    "begun",
    [b"", frames.PREFACE[:10], GREETING + frame(Frame.HEADERS, 0, 1, b"")],
    ids=["nothing", "half a preface", "half a header block"],
)
async def test_a_caller_who_never_finishes_a_head_is_let_go(
    lean: Any, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(server_module, "_SWEEP_SECONDS", 0.05)
    async with lean() as port, calling(port, greeted=False) as caller:
        caller.send(begun)
        await caller.until_closed()
        assert await echoes(port)


async def test_a_request_that_never_ends_is_ended(lean: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(server_module, "_REQUEST_SECONDS", 0.1)
    async with lean() as port, calling(port) as caller:
        caller.send(head(1), data(1, message(b"begun")[:-1], flags=0))
        assert await caller.end_of(1) is StatusCode.DEADLINE_EXCEEDED


async def test_a_stream_that_stops_within_a_message_is_ended(lean: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(server_module, "_REQUEST_SECONDS", 0.1)
    async with lean() as port, calling(port) as caller:
        caller.send(head(1, path="/t.T/chat"), data(1, message(b"begun")[:-1], flags=0))
        assert await caller.end_of(1) is StatusCode.DEADLINE_EXCEEDED


async def test_a_handler_that_does_not_stop_is_counted_as_its_caller_saw_it(lean: Any, service: Any) -> None:
    async with lean() as port, calling(port) as caller:
        caller.send(head(1, path="/t.T/insist", grpc_timeout="200m"), data(1, message(b"")))
        assert await caller.end_of(1) is StatusCode.DEADLINE_EXCEEDED
        assert await asyncio.wait_for(service.codes.get(), IN_TIME) is StatusCode.DEADLINE_EXCEEDED


async def test_windows_that_change_by_the_thousand_hold_nobody_up(port: int) -> None:
    sizes = frames.settings((frames.Setting.INITIAL_WINDOW_SIZE, size) for size in range(2700))
    async with calling(port) as caller:
        caller.send(*(head(stream, path="/t.T/hold") for stream in range(1, 501, 2)), sizes * 100)
        caller.send(head(501), data(501, message(b"")))
        assert await caller.end_of(501) is StatusCode.OK


async def test_a_busy_caller_may_say_what_it_has_read(port: int) -> None:
    update = frames.window_update(0, 5) + frames.window_update(0, 5)
    async with calling(port) as caller:
        for stream in range(1, 10_200, 2):
            caller.send(head(stream), data(stream, message(b"")), update)
            if stream % 100 == 1:
                assert await caller.end_of(stream) is StatusCode.OK
        assert await caller.end_of(10_199) is StatusCode.OK


async def test_a_call_that_was_on_its_way_when_the_server_said_goodbye_is_answered(lean: Any, service: Any) -> None:
    async with asyncio.TaskGroup() as tasks, lean(grace=IN_TIME) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        caller = Caller(reader, writer)
        caller.send(GREETING, head(1, path="/t.T/hold"), data(1, message(b"")))
        await asyncio.wait_for(service.reached.wait(), IN_TIME)

        async def late() -> list[int]:
            last = []
            async for kind, _, stream, payload in caller.frames():
                if kind == Frame.GOAWAY:
                    last.append(struct.unpack(">LL", payload[:8])[0])
                if kind == Frame.PING:  # the server asks whether more is on its way: it is
                    caller.send(head(3), data(3, message(b"late")), frame(Frame.PING, frames.ACK, 0, payload))
                if kind == Frame.HEADERS and stream == 3:
                    service.released.set()
            return last

        said = tasks.create_task(late())
    assert said.result() == [frames.LAST_STREAM, 3]
    writer.close()
