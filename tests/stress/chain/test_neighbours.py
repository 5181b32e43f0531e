"""preprocessing and monitoring are killed, frozen, cut off from their disk or restarted under the gateway's feet."""

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from local_stack.eventually import eventually, eventually_async

pytestmark = [pytest.mark.component, pytest.mark.timeout(180)]

NATIVE = ("native-rest", "native-grpc")
LONG = 25.0
AT_ONCE = 3.0
BUFFER = 20
OVERFLOW = 40
RECOVERED = 40.0
PENDING = "gateway_records_pending"
DROPPED = 'gateway_records_dropped_total{reason="full"}'


@pytest.mark.requirement("STRESS-106")
async def test_without_preprocessing_pictures_are_refused_tensors_are_not_and_both_are_served_once_it_is_back(
    start_services: Any,
) -> None:
    services = start_services()
    gateway = services.stack["gateway"].pid
    async with services.caller() as caller:
        assert [(await caller.call(kind, asked=LONG)).code for kind in NATIVE] == ["OK", "OK"]
        services.stack["preprocessing"].kill()
        for kind in NATIVE:
            reply = await caller.call(kind, asked=LONG)
            assert reply.code == "UNAVAILABLE"
            assert reply.seconds < AT_ONCE
            assert float(reply.hints["retry-after"]) >= 1
        assert [(await caller.call(kind)).code for kind in ("oip-rest", "oip-grpc")] == ["OK", "OK"]
        assert services.stack["gateway"].obstacles() == {}
        services.stack["preprocessing"].restart()
        for kind in NATIVE:
            await eventually_async(partial(served, caller, kind))
    assert (services.stack["gateway"].pid, services.stack["gateway"].exit_code) == (gateway, None)


async def served(caller: Any, kind: str) -> bool:
    return bool((await caller.call(kind, asked=LONG)).code == "OK")


@contextmanager
def killed(monitoring: Any) -> Iterator[None]:
    monitoring.kill()
    yield
    monitoring.restart()


@contextmanager
def stopped(monitoring: Any) -> Iterator[None]:
    monitoring.freeze()
    yield
    monitoring.thaw()


@contextmanager
def disk_full(monitoring: Any) -> Iterator[None]:
    """Let every write that would grow the database fail, as on a full disk."""
    database = Path(monitoring.environment["MONITORING_DATABASE"])
    _, hard = resource.prlimit(monitoring.pid, resource.RLIMIT_FSIZE)
    largest = max(part.stat().st_size for part in database.parent.iterdir())
    resource.prlimit(monitoring.pid, resource.RLIMIT_FSIZE, (largest, hard))
    yield
    resource.prlimit(monitoring.pid, resource.RLIMIT_FSIZE, (hard, hard))


@pytest.mark.requirement("STRESS-107", "STRESS-108")
@pytest.mark.parametrize("outage", [killed, stopped, disk_full])
async def test_an_outage_of_monitoring_touches_no_caller_and_loses_nothing_that_fits_the_buffer(
    start_services: Any, outage: Any
) -> None:
    services = start_services(gateway={"record_buffer": str(BUFFER)})
    answered: list[str] = []
    async with services.caller() as caller:
        answered.append((await caller.call("native-rest", asked=LONG)).prediction_id)
        await recorded(services, answered)
        with outage(services.stack["monitoring"]):
            # A first batch of a few leaves the buffer and is sent again and again; what follows fills the buffer.
            answered += await predict(caller, BUFFER + OVERFLOW)
            dropped, pending = services.metric(DROPPED), services.metric(PENDING)
            assert dropped > 0
            assert pending >= BUFFER
            assert dropped + pending == len(answered) - 1
        # Which ones were dropped depends on when the first batch left.
        await eventually_async(partial(holds, services, len(answered) - int(dropped)), within=RECOVERED)
        answered += await predict(caller, 1)
        await recorded(services, answered[-1:])
    held = set(services.recorded())
    assert held <= set(answered)
    assert len(held) == len(answered) - dropped
    assert services.metric(PENDING) == 0


async def predict(caller: Any, count: int) -> list[str]:
    """Predict one after the other: the order tells which were dropped."""
    replies = [await caller.call(NATIVE[number % 2], asked=LONG) for number in range(count)]
    assert {reply.code for reply in replies} == {"OK"}
    return [reply.prediction_id for reply in replies]


async def holds(services: Any, count: int) -> bool:
    return len(await asyncio.to_thread(services.recorded)) == count


async def recorded(services: Any, predictions: list[str]) -> None:
    async def all_there() -> bool:
        return set(predictions) <= set(await asyncio.to_thread(services.recorded))

    await eventually_async(all_there, within=RECOVERED)


@contextlib.asynccontextmanager
async def load(caller: Any) -> AsyncIterator[list[Any]]:
    """Predict by several callers without pause; the replies so far."""
    replies: list[Any] = []
    leaving = asyncio.Event()

    async def call(kind: str) -> None:
        while not leaving.is_set():
            replies.append(await caller.call(kind, asked=LONG))

    async with asyncio.TaskGroup() as callers:
        for kind in NATIVE * 4:
            callers.create_task(call(kind))
        await eventually_async(lambda: more(replies, than=20), within=LONG)
        yield replies
        leaving.set()


async def more(replies: list[Any], *, than: int) -> bool:
    return len(replies) > than


@pytest.mark.requirement("STRESS-109")
async def test_a_restart_of_monitoring_under_load_is_seen_by_nobody_and_loses_nothing(start_services: Any) -> None:
    services = start_services()
    monitoring = services.stack["monitoring"]
    async with services.caller() as caller, load(caller) as replies:
        assert await asyncio.to_thread(monitoring.stop) == 0
        await asyncio.to_thread(monitoring.restart)
        await eventually_async(partial(more, replies, than=len(replies) + 20), within=LONG)
    assert {reply.code for reply in replies} == {"OK"}
    await recorded(services, [reply.prediction_id for reply in replies])
    assert services.metric(DROPPED) == 0


@pytest.mark.requirement("STRESS-110")
async def test_a_restart_of_the_only_preprocessing_under_load_is_served_or_refused_at_once(
    start_services: Any,
) -> None:
    """What was accepted is answered; what comes while nobody listens is refused with a hint, never hung or broken."""
    services = start_services()
    preprocessing = services.stack["preprocessing"]
    async with services.caller() as caller, load(caller) as replies:
        assert await asyncio.to_thread(preprocessing.stop) == 0
        await asyncio.to_thread(preprocessing.restart)
        count = len(replies)
        await eventually_async(lambda: ok_after(replies, count, 20), within=LONG)
    assert {reply.code for reply in replies} <= {"OK", "UNAVAILABLE"}
    for reply in replies:
        assert reply.code == "OK" or float(reply.hints["retry-after"]) >= 1
        assert reply.seconds < LONG
    eventually(lambda: services.metric("gateway_requests_in_flight") == 0)


async def ok_after(replies: list[Any], first: int, count: int) -> bool:
    return sum(reply.code == "OK" for reply in replies[first:]) > count
