"""PredictStream: answers in order, errors on their own, a bounded window."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from fairlead.gateway.v1 import gateway_pb2 as pb
from gateway_kit.native import NativeGateway
from gateway_kit.until import until

WINDOW = 16


def asking(number: int, image: bytes) -> pb.PredictStreamRequest:
    return pb.PredictStreamRequest(request_id=str(number), model="digits", image=image)


def picture(digit: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + bytes([digit])


@pytest.mark.requirement("NATIVE-012")
async def test_answers_come_in_the_order_of_the_images(stub: Any) -> None:
    digits = [number % 10 for number in range(40)]
    call = stub.PredictStream([asking(number, picture(digit)) for number, digit in enumerate(digits)])
    answers = [answer async for answer in call]
    assert [answer.request_id for answer in answers] == [str(number) for number in range(40)]
    assert [answer.prediction.label for answer in answers] == [str(digit) for digit in digits]


@pytest.mark.requirement("NATIVE-012")
async def test_a_bad_image_ends_only_its_own_answer(gateway: NativeGateway, stub: Any) -> None:
    call = stub.PredictStream([asking(0, picture(3)), asking(1, b"not a picture"), asking(2, picture(4))])
    first, second, third = [answer async for answer in call]
    assert (first.prediction.label, third.prediction.label) == ("3", "4")
    assert second.error.code == "INVALID_ARGUMENT"
    assert not second.error.retryable
    assert [made.label for made in gateway.monitoring.recorded] == ["3", "4"]


@pytest.mark.requirement("NATIVE-012")
async def test_a_stream_is_worked_on_in_a_bounded_window(gateway: NativeGateway, stub: Any) -> None:
    gateway.preprocessor.hold = asyncio.Event()
    call = stub.PredictStream([asking(number, picture(1)) for number in range(100)])
    await until(lambda: gateway.preprocessor.at_once == WINDOW)
    gateway.preprocessor.hold.set()
    assert len([answer async for answer in call]) == 100
    assert gateway.preprocessor.most_at_once == WINDOW


@pytest.mark.requirement("NATIVE-012")
async def test_a_caller_who_leaves_ends_the_work_on_the_stream(gateway: NativeGateway, stub: Any) -> None:
    gateway.preprocessor.hold = asyncio.Event()

    async def images() -> AsyncIterator[pb.PredictStreamRequest]:
        yield asking(0, picture(1))
        await asyncio.Event().wait()

    call = stub.PredictStream(images())
    await until(lambda: gateway.preprocessor.at_once == 1)
    call.cancel()
    await until(lambda: gateway.preprocessor.at_once == 0)
    assert gateway.monitoring.recorded == []


@pytest.mark.requirement("NATIVE-012")
async def test_bytes_that_are_no_message_are_the_callers_mistake(gateway: NativeGateway) -> None:
    async with grpc.aio.insecure_channel(gateway.grpc_address) as channel:
        predict: Any = channel.stream_stream("/fairlead.gateway.v1.PredictionService/PredictStream")
        call = predict(iter([b"\xff"]))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
