"""Triton is killed and comes back; callers leave, and Triton drops their work."""

import asyncio
import contextlib
import os
import signal
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx2
import pytest
from local_stack.eventually import eventually, eventually_async
from local_stack.pytest_plugin import StartStack
from tritonclient.grpc import service_pb2 as oip
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

pytestmark = [pytest.mark.component, pytest.mark.timeout(240), pytest.mark.xdist_group("stress-triton")]

CALLERS = 4
# Far below the patience of a caller; it is met while Triton starts on the same cores.
SLOWEST_REFUSAL_SECONDS = 5.0
LEAVERS = 8
# Triton prepares the next batches while one is computed, and looks for callers who left only before that.
TAKEN_AHEAD = 2
TURNS_OF_SECONDS = 100


def tensor_request(model: str, name: str, values: list[float]) -> oip.ModelInferRequest:
    request = oip.ModelInferRequest(model_name=model)
    request.inputs.add(name=name, datatype="FP32", shape=[1, len(values)])
    request.raw_input_contents.append(struct.pack(f"<{len(values)}f", *values))
    return request


def json_request(name: str, values: list[float]) -> dict[str, Any]:
    return {"inputs": [{"name": name, "shape": [1, len(values)], "datatype": "FP32", "data": values}]}


@dataclass(slots=True)
class Outcomes:
    """What the callers of one transport saw."""

    codes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    without_retry_hint: int = 0


Call = Callable[[], Awaitable[tuple[str, bool]]]


@contextlib.asynccontextmanager
async def load(call: Call) -> AsyncIterator[Outcomes]:
    """Call without pause, by several callers, until left."""
    outcomes = Outcomes()
    leaving = asyncio.Event()

    async def caller() -> None:
        while not leaving.is_set():
            started = asyncio.get_running_loop().time()
            code, hinted = await call()
            outcomes.codes[code] += 1
            outcomes.slowest = max(outcomes.slowest, asyncio.get_running_loop().time() - started)
            outcomes.without_retry_hint += code != "OK" and not hinted
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as callers:
        for _ in range(CALLERS):
            callers.create_task(caller())
        yield outcomes
        leaving.set()


def grpc_call(channel: grpc.aio.Channel) -> Call:
    infer = GRPCInferenceServiceStub(channel).ModelInfer
    request = tensor_request("digits", "pixels", [0.0] * 64)

    async def call() -> tuple[str, bool]:
        try:
            await infer(request, timeout=10)
        except grpc.aio.AioRpcError as error:
            return error.code().name, any(key == "grpc-retry-pushback-ms" for key, _ in error.trailing_metadata())
        return "OK", True

    return call


def rest_call(client: httpx2.AsyncClient, path: str, body: dict[str, Any]) -> Call:
    async def call() -> tuple[str, bool]:
        answer = await client.post(path, json=body, timeout=10)
        return "OK" if answer.status_code == 200 else str(answer.status_code), "retry-after" in answer.headers

    return call


@pytest.mark.requirement("STRESS-001", "STRESS-002")
async def test_callers_are_refused_at_once_while_triton_is_gone_and_served_again_when_it_is_back(
    start_stack: StartStack,
) -> None:
    stack = await asyncio.to_thread(start_stack)
    async with (
        grpc.aio.insecure_channel(stack.grpc_address) as channel,
        httpx2.AsyncClient(base_url=stack.http_url) as client,
    ):
        tensors = json_request("pixels", [0.0] * 64)
        async with (
            load(grpc_call(channel)) as over_grpc,
            load(rest_call(client, "/v2/models/digits/infer", tensors)) as over_rest,
        ):
            both = (over_grpc, over_rest)
            await eventually_async(lambda: served(both, more_than=20), within=20)
            triton = stack["inference"].descendants()[0]
            os.kill(triton, signal.SIGKILL)
            assert await asyncio.to_thread(stack["inference"].wait_ended, 60) == 1
            await eventually_async(lambda: refused(both, more_than=20), within=20)
            before = [outcomes.codes["OK"] for outcomes in both]
            await asyncio.to_thread(stack["inference"].restart)
            await eventually_async(lambda: served(both, more_than=max(before) + 20), within=20)
    assert set(over_grpc.codes) == {"OK", "UNAVAILABLE"}
    assert set(over_rest.codes) == {"OK", "503"}
    for outcomes in both:
        assert outcomes.slowest < SLOWEST_REFUSAL_SECONDS
        assert outcomes.without_retry_hint == 0


async def served(all_outcomes: tuple[Outcomes, ...], *, more_than: int) -> bool:
    return all(outcomes.codes["OK"] > more_than for outcomes in all_outcomes)


async def refused(all_outcomes: tuple[Outcomes, ...], *, more_than: int) -> bool:
    return all(outcomes.codes.total() - outcomes.codes["OK"] > more_than for outcomes in all_outcomes)


@pytest.mark.requirement("STRESS-003")
@pytest.mark.parametrize("transport", ["grpc", "rest"])
async def test_the_work_of_callers_who_left_is_dropped_in_triton(slow_triton: Any, transport: str) -> None:
    async with (
        grpc.aio.insecure_channel(slow_triton.stack.grpc_address) as channel,
        httpx2.AsyncClient(base_url=slow_triton.stack.http_url) as client,
    ):
        infer = GRPCInferenceServiceStub(channel).ModelInfer

        async def ask(turns: float) -> None:
            if transport == "grpc":
                await infer(tensor_request("slow", "turns", [turns]), timeout=60)
            else:
                await client.post("/v2/models/slow/infer", json=json_request("turns", [turns]), timeout=60)

        # Triton counts a request after it was answered: one that came before would be counted while the test runs.
        computed, cancelled = slow_triton.computed(), slow_triton.cancelled()
        await ask(1)
        # Of two, one is being computed as soon as the other waits.
        stayers = [asyncio.create_task(ask(TURNS_OF_SECONDS)) for _ in range(2)]
        await eventually_async(lambda: pending(slow_triton, 1), within=10)
        leavers = [asyncio.create_task(ask(1)) for _ in range(LEAVERS)]
        await eventually_async(lambda: pending(slow_triton, 1 + LEAVERS), within=10)
        for caller in leavers:
            caller.cancel()
        await asyncio.wait(leavers)
        await asyncio.gather(*stayers)
    everybody = computed + cancelled + 1 + LEAVERS + len(stayers)
    eventually(lambda: slow_triton.computed() + slow_triton.cancelled() == everybody, within=20)
    assert slow_triton.cancelled() - cancelled >= LEAVERS - TAKEN_AHEAD


async def pending(triton: Any, count: int) -> bool:
    return bool(triton.pending() == count)
