"""A real Triton as the shadow of another: compared with it, and of no consequence for any caller when it breaks."""

import os
import signal
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import httpx2
import pytest
from local_stack.eventually import eventually_async
from local_stack.pytest_plugin import StartStack
from local_stack.stack import Stack

pytestmark = [
    pytest.mark.component,
    pytest.mark.chain,
    pytest.mark.xdist_group("chain"),
    pytest.mark.timeout(240),
]

CALLS = 60
# Whoever waited for the shadow would wait so long: GATEWAY_SHADOW_TIMEOUT.
WAITED = 1.0


@pytest.fixture
def shadow(start_stack: StartStack, digests: dict[str, str], versions: tuple[str, str]) -> Stack:
    """A Triton of the test's own, to be frozen and killed."""
    pins = f"digits@{digests[versions[1]]}"
    return start_stack(overrides={"inference": {"INFERENCE_PINS": pins}}, only=("inference",))


@pytest.fixture
async def gateway(
    stack: Stack, shadow: Stack, start_stack: StartStack, gateway_of: Callable[[Stack], Any]
) -> AsyncIterator[Any]:
    settings = {
        "GATEWAY_INFERENCE_ADDRESS": stack.triton_grpc_address,
        "GATEWAY_SHADOW_ADDRESS": shadow.triton_grpc_address,
    }
    services = start_stack(overrides={"gateway": settings}, only=("monitoring", "preprocessing", "gateway"))
    async with gateway_of(services) as opened:
        yield opened


@contextmanager
def frozen(shadow: Stack) -> Iterator[None]:
    """Let its Triton stand still."""
    pids = shadow["inference"].descendants()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def median_seconds(gateway: Any) -> float:
    """Ask some times; every call must be answered."""
    taken = []
    for _ in range(CALLS):
        before = time.perf_counter()
        await gateway.oip_grpc({})
        taken.append(time.perf_counter() - before)
    return statistics.median(taken)


@pytest.mark.requirement("MODELS-004", "MODELS-005")
async def test_a_shadow_is_compared_and_may_hang_and_die_without_any_caller_noticing(
    gateway: Any, shadow: Stack, digests: dict[str, str], versions: tuple[str, str]
) -> None:
    asked = {"stable": digests[versions[0]], "canary": digests[versions[1]]}
    # So that it goes on counting: both models differ always, and of that thousands are needed for these.
    asked |= {"tolerated_rate": "0.998", "refused_rate": "0.999"}

    async def judged() -> dict[str, Any]:
        async with httpx2.AsyncClient(base_url=gateway.stack.monitoring_url) as client:
            return dict((await client.get("/v1/judgements/disagreement", params=asked)).json())

    async def some_compared() -> bool:
        await gateway.native_rest({})
        found = await judged()
        return found["disagreements"]["trials"] > 5 and len(found["tensors"]) == 2

    async def failures_are_known() -> bool:
        await gateway.oip_rest({})
        return (await judged())["shadow_failed"] > 0

    await eventually_async(some_compared, within=60)
    well = await median_seconds(gateway)
    with frozen(shadow):
        hanging = await median_seconds(gateway)
        await eventually_async(failures_are_known, within=60)
    shadow["inference"].kill()
    dead = await median_seconds(gateway)
    assert max(hanging, dead) < well + WAITED / 2


@pytest.mark.requirement("MODELS-004")
async def test_a_shadow_that_never_was_costs_nothing(
    stack: Stack, start_stack: StartStack, gateway_of: Callable[[Stack], Any], unused_port: int
) -> None:
    settings = {
        "GATEWAY_INFERENCE_ADDRESS": stack.triton_grpc_address,
        "GATEWAY_SHADOW_ADDRESS": f"127.0.0.1:{unused_port}",
    }
    services = start_stack(overrides={"gateway": settings}, only=("monitoring", "preprocessing", "gateway"))
    async with gateway_of(services) as gateway:
        try:
            await median_seconds(gateway)
        except grpc.aio.AioRpcError as error:
            pytest.fail(f"a caller noticed: {error.code()}")
