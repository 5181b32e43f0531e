"""The admission gate: bounded, in order, and it never loses a place."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from service_runtime.admission import AdmissionGate
from service_runtime.deadlines import Deadline
from service_runtime.errors import DeadlineExceeded, Overloaded


def far() -> Deadline:
    return Deadline.after(60)


async def hold(gate: AdmissionGate, entered: asyncio.Event, leave: asyncio.Event) -> None:
    async with gate.admit(far()):
        entered.set()
        await leave.wait()


async def free_places(gate: AdmissionGate, most: int) -> int:
    """Count by taking: a free place is given even to a caller who cannot wait."""
    async with AsyncExitStack() as stack:
        for taken in range(most + 1):
            try:
                await stack.enter_async_context(gate.admit(Deadline.after(-1)))
            except DeadlineExceeded:
                return taken
    raise AssertionError(f"more than {most} places")


@pytest.mark.requirement("RUNTIME-006")
async def test_beyond_the_queue_a_request_is_refused_at_once_and_told_when_to_retry() -> None:
    gate = AdmissionGate(1, 1, retry_after=2.5)
    async with gate.admit(far()):
        waiting = asyncio.create_task(hold(gate, asyncio.Event(), asyncio.Event()))
        await asyncio.sleep(0)
        assert gate.queued == 1
        with pytest.raises(Overloaded) as refusal:
            async with gate.admit(far()):
                pass
        assert refusal.value.retry_after == 2.5
        waiting.cancel()


async def test_whoever_waits_is_let_in_by_order_of_arrival() -> None:
    gate = AdmissionGate(1, 8)
    order: list[int] = []

    async def enter(number: int) -> None:
        async with gate.admit(far()):
            order.append(number)

    async with gate.admit(far()):
        tasks = [asyncio.create_task(enter(number)) for number in range(5)]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]


async def test_a_deadline_that_passes_in_the_queue_names_the_stage() -> None:
    gate = AdmissionGate(1, 1)
    async with gate.admit(far()):
        with pytest.raises(DeadlineExceeded) as late:
            async with gate.admit(Deadline.after(0.01), stage="queue"):
                pass
    assert late.value.stage == "queue"
    assert gate.queued == 0


async def test_a_place_handed_to_a_caller_that_leaves_in_the_same_moment_is_not_lost() -> None:
    gate = AdmissionGate(1, 1)
    entered, leave = asyncio.Event(), asyncio.Event()
    holder = asyncio.create_task(hold(gate, entered, leave))
    await entered.wait()
    waiting = asyncio.create_task(hold(gate, asyncio.Event(), asyncio.Event()))
    await asyncio.sleep(0)
    leave.set()
    await holder  # the place is the waiter's now, but its task has not run yet
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await free_places(gate, 1) == 1


@pytest.mark.requirement("RUNTIME-006")
@given(
    script=st.lists(st.tuples(st.sampled_from(["arrive", "leave", "cancel", "run"]), st.integers(0, 9)), max_size=40)
)
def test_no_order_of_arrivals_departures_and_cancellations_loses_or_invents_a_place(
    script: list[tuple[str, int]],
) -> None:
    async def play() -> None:
        gate = AdmissionGate(2, 3)
        tasks: list[tuple[asyncio.Task[None], asyncio.Event]] = []
        for action, which in script:
            if action == "arrive":
                leave = asyncio.Event()
                tasks.append((asyncio.create_task(hold(gate, asyncio.Event(), leave)), leave))
            elif action == "run":
                await asyncio.sleep(0)
            elif tasks:
                task, leave = tasks[which % len(tasks)]
                if action == "cancel":
                    task.cancel()
                else:
                    leave.set()
        for _, leave in tasks:
            leave.set()
        outcomes = await asyncio.gather(*(task for task, _ in tasks), return_exceptions=True)
        unexpected = [each for each in outcomes if each and not isinstance(each, Overloaded | asyncio.CancelledError)]
        assert unexpected == []
        assert gate.queued == 0
        assert await free_places(gate, 2) == 2

    asyncio.run(play())
