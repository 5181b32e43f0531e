import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2 as oip
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

Build = Callable[..., oip.ModelInferRequest]
ID = oip.InferParameter(int64_param=1)


async def each(messages: list[oip.ModelInferRequest]) -> AsyncIterator[oip.ModelInferRequest]:
    for message in messages:
        yield message


@pytest.mark.requirement("OIP-008")
async def test_answers_keep_the_order_of_the_stream(channel: grpc.aio.Channel, triton: Any, row_message: Build) -> None:
    second_began = asyncio.Event()
    usual = triton.answer

    async def slow_first(request: oip.ModelInferRequest) -> bytes:
        if request.id == "1":
            await second_began.wait()
        else:
            second_began.set()
        return await usual(request)

    triton.answer = slow_first
    stream = GRPCInferenceServiceStub(channel).ModelStreamInfer(each([row_message("1"), row_message("2")]))
    assert [answer.infer_response.id async for answer in stream] == ["1", "2"]


@pytest.mark.requirement("OIP-008")
async def test_a_wrong_message_is_answered_in_its_place(channel: grpc.aio.Channel, row_message: Build) -> None:
    wrong = row_message("2")
    wrong.inputs[0].name = "column"
    stream = GRPCInferenceServiceStub(channel).ModelStreamInfer(each([row_message("1"), wrong, row_message("3")]))
    answers = [(answer.infer_response.id, bool(answer.error_message)) async for answer in stream]
    assert answers == [("1", False), ("2", True), ("3", False)]


@pytest.mark.requirement("OIP-008")
async def test_a_step_of_a_sequence_waits_for_the_step_before(
    channel: grpc.aio.Channel, triton: Any, row_message: Build
) -> None:
    later_message_came = asyncio.Event()
    begun: list[str] = []
    usual = triton.answer

    async def slow_first(request: oip.ModelInferRequest) -> bytes:
        begun.append(request.id)
        if request.id == "later":
            later_message_came.set()
        await later_message_came.wait()
        return await usual(request)

    triton.answer = slow_first
    messages = [row_message("1", sequence_id=ID), row_message("2", sequence_id=ID), row_message("later")]
    stream = GRPCInferenceServiceStub(channel).ModelStreamInfer(each(messages))
    assert [answer.infer_response.id async for answer in stream] == ["1", "2", "later"]
    assert begun == ["1", "later", "2"]


@pytest.mark.requirement("OIP-008")
async def test_every_answer_of_a_stream_is_marked_final(channel: grpc.aio.Channel, row_message: Build) -> None:
    stream = GRPCInferenceServiceStub(channel).ModelStreamInfer(each([row_message("1")]))
    answers = [answer async for answer in stream]
    assert [answer.infer_response.parameters["triton_final_response"].bool_param for answer in answers] == [True]


@pytest.mark.requirement("OIP-008")
async def test_leaving_a_stream_cancels_all_that_triton_does_for_it(
    channel: grpc.aio.Channel, triton: Any, row_message: Build
) -> None:
    both_began = asyncio.Barrier(3)

    async def never(_request: oip.ModelInferRequest) -> bytes:
        await both_began.wait()
        await asyncio.Event().wait()
        return b""

    triton.answer = never
    stream = GRPCInferenceServiceStub(channel).ModelStreamInfer(each([row_message("1"), row_message("2")]))
    reading = asyncio.create_task(anext(aiter(stream)))
    async with asyncio.timeout(5):
        await both_began.wait()
        reading.cancel()
        stream.cancel()
        left = [await triton.cancelled.get(), await triton.cancelled.get()]
    assert sorted(left) == sorted(triton.received)


@pytest.mark.requirement("OIP-008")
async def test_leaving_a_stream_that_is_full_leaves_no_task_behind(
    channel: grpc.aio.Channel, triton: Any, row_message: Build
) -> None:
    def working() -> set[asyncio.Task[Any]]:
        return {task for task in asyncio.all_tasks() if "StreamInference" in repr(task)}

    all_wait = asyncio.Event()

    async def never(_request: oip.ModelInferRequest) -> bytes:
        if len(triton.received) == 32:
            all_wait.set()
        await asyncio.Event().wait()
        return b""

    triton.answer = never
    stream = GRPCInferenceServiceStub(channel).ModelStreamInfer(each([row_message(str(n)) for n in range(100)]))
    reading = asyncio.create_task(anext(aiter(stream)))
    async with asyncio.timeout(5):
        await all_wait.wait()
        reading.cancel()
        stream.cancel()
        for _ in triton.received:
            await triton.cancelled.get()
        while left := working():
            await asyncio.wait(left)
