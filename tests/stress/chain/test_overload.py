"""More callers than places: the rest are told at once, probes are answered, and who was accepted is served."""

import asyncio
from typing import Any

import httpx2
import pytest
from local_stack.eventually import eventually_async

pytestmark = [pytest.mark.component, pytest.mark.timeout(180)]

KINDS = ("native-rest", "native-grpc", "oip-rest", "oip-grpc")
PLACES = 4
LONG = 25.0
AT_ONCE = 2.0


@pytest.mark.requirement("STRESS-104", "STRESS-105")
async def test_over_the_queue_callers_are_refused_at_once_and_those_in_it_are_served(
    start_services: Any, frozen_triton: Any
) -> None:
    services = start_services(gateway={"max_in_flight": "2", "max_queued": "2"})
    async with services.caller() as caller, asyncio.TaskGroup() as tasks:
        for kind in KINDS:
            assert (await caller.call(kind, asked=LONG)).code == "OK"
        with frozen_triton():
            flood = [tasks.create_task(caller.call(kind, asked=LONG)) for kind in KINDS * 2]
            await eventually_async(lambda: done(flood, len(flood) - PLACES))
            refused = [task.result() for task in flood if task.done()]
            refused += await asyncio.gather(*(caller.call(kind, asked=LONG) for kind in KINDS))
            await eventually_async(lambda: noticed(services.stack))  # readiness is asked once a second
            probes = await probe(services.stack)
        accepted = [task for task in flood if not task.done()]
        assert len(accepted) == PLACES
        assert [(await task).code for task in accepted] == ["OK"] * PLACES
        assert [(await caller.call(kind)).code for kind in KINDS] == ["OK"] * len(KINDS)
    assert probes == {"/v2/health/live": 200, "/livez": 200, "/readyz": 503}
    for reply in refused:
        assert reply.code == "UNAVAILABLE"
        assert reply.seconds < AT_ONCE
        assert float(reply.hints["retry-after"]) >= 1
    over_rest = [reply.hints["status"] for reply in refused if "status" in reply.hints]
    pushed_back = [reply.hints for reply in refused if "grpc-retry-pushback-ms" in reply.hints]
    assert set(over_rest) == {"503"}
    assert len(over_rest) + len(pushed_back) == len(refused)


async def done(tasks: list[asyncio.Task[Any]], count: int) -> bool:
    return sum(task.done() for task in tasks) >= count


async def noticed(stack: Any) -> bool:
    return (await probe(stack))["/readyz"] != 200


async def probe(stack: Any) -> dict[str, int]:
    """Ask what a kubelet asks, while Triton stands still."""
    operations = stack.operations_url("gateway")
    async with httpx2.AsyncClient(timeout=5) as client:
        urls = {
            "/v2/health/live": stack.http_url + "/v2/health/live",
            "/livez": operations + "/livez",
            "/readyz": operations + "/readyz",
        }
        return {path: (await client.get(url)).status_code for path, url in urls.items()}
