"""Copies for the shadow: after the answer, bounded, and of no consequence for it."""

import asyncio
from typing import Any

import pytest
from gateway_kit.until import until
from service_runtime.errors import DependencyUnavailable


@pytest.mark.requirement("MODELS-005")
async def test_answers_are_compared_and_reported(world: Any) -> None:
    await world.ask()
    await until(lambda: len(world.reports.comparisons) == 1)
    world.shadow.label = 3
    await world.ask()
    await until(lambda: len(world.reports.comparisons) == 2)
    alike, other = world.reports.comparisons
    assert (alike.stable.version, alike.shadow.version, alike.labels_differ) == ("1", "2", False)
    assert (other.labels_differ, other.tensors[0].differs, other.tensors[0].largest_difference) == (True, True, 4)
    assert alike.comparison_id != other.comparison_id
    assert (world.counted("compared", outcome="agreed"), world.counted("compared", outcome="differed")) == (1, 1)


@pytest.mark.requirement("MODELS-004")
async def test_a_shadow_that_hangs_holds_nobody_and_a_bounded_number_of_copies(world: Any) -> None:
    world.shadow.hold = asyncio.Event()
    for _ in range(100):
        async with asyncio.timeout(1):
            assert await world.ask()
        await asyncio.sleep(0)
    assert world.shadow.asked == 4
    assert world.counted("dropped", reason="full") == 100 - 4 - 8


@pytest.mark.requirement("MODELS-004", "MODELS-005")
async def test_a_shadow_that_fails_is_reported_once_it_is_known_and_fails_nobody(world: Any) -> None:
    world.shadow.failure = DependencyUnavailable("away")
    await world.ask()
    await until(lambda: world.counted("compared", outcome="failed") == 1)
    assert world.reports.comparisons == [], "nobody knows yet which model it would be"
    world.shadow.failure = None
    await world.ask()
    await until(lambda: len(world.reports.comparisons) == 1)
    world.shadow.failure = DependencyUnavailable("away")
    assert await world.ask()
    await until(lambda: len(world.reports.comparisons) == 2)
    failed = world.reports.comparisons[1]
    assert (failed.shadow_failed, failed.shadow.version, list(failed.tensors)) == (True, "2", [])


@pytest.mark.requirement("MODELS-004")
async def test_a_shadow_that_answers_nonsense_has_failed(world: Any) -> None:
    world.shadow.raw = b"\xff\xff\xff"
    await world.ask()
    await until(lambda: world.counted("compared", outcome="failed") == 1)
    world.shadow.raw = b""
    await world.ask()
    await until(lambda: world.counted("compared", outcome="agreed") == 1)


@pytest.mark.requirement("MODELS-005")
async def test_what_cannot_be_compared_is_not_copied_to_the_shadow(world: Any) -> None:
    await world.ask(version="1")
    await world.ask(sequence=True)
    await until(lambda: world.counted("dropped", reason="not_comparable") == 2)
    assert world.shadow.asked == 0


@pytest.mark.requirement("MODELS-005")
async def test_a_shadow_of_the_same_digest_is_no_news(world: Any) -> None:
    world.shadow.version = "1"
    await world.ask()
    await until(lambda: world.counted("compared", outcome="same_model") == 1)
    assert world.reports.comparisons == []


@pytest.mark.requirement("MODELS-004")
async def test_a_request_that_is_refused_is_not_mirrored(world: Any) -> None:
    world.stable.failure = DependencyUnavailable("away")
    with pytest.raises(DependencyUnavailable):
        await world.ask()
    await asyncio.sleep(0)
    assert world.shadow.asked == 0


@pytest.mark.requirement("MODELS-004")
@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.2, 200)])
async def test_a_share_of_the_requests_is_copied(open_world: Any, share: float, expected: int) -> None:
    async with open_world(share=share, capacity=1000) as world:
        for _ in range(1000):
            await world.ask()
        await until(lambda: abs(world.counted("compared", outcome="agreed") - expected) <= expected / 4)
