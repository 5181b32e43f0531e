"""Readiness: what stands in the way, asked once a second at most."""

import asyncio

from service_runtime.readiness import Readiness


async def test_before_the_start_and_while_draining_it_is_not_ready() -> None:
    readiness = Readiness()
    assert await readiness.failures() == {"process": "starting"}
    readiness.started = True
    assert await readiness.failures() == {}
    readiness.draining = True
    assert await readiness.failures() == {"process": "draining"}


async def test_each_dependency_that_fails_is_named_with_its_reason() -> None:
    async def refused() -> None:
        raise ConnectionRefusedError("nobody listens")

    async def silent() -> None:
        raise ValueError

    async def fine() -> None:
        return None

    readiness = Readiness()
    readiness.started = True
    for name, check in (("triton", refused), ("disk", silent), ("preprocessing", fine)):
        readiness.require(name, check)
    assert await readiness.failures() == {"triton": "nobody listens", "disk": "ValueError"}


async def test_a_thousand_probes_ask_a_dependency_once() -> None:
    asked = 0

    async def count() -> None:
        nonlocal asked
        asked += 1

    readiness = Readiness()
    readiness.started = True
    readiness.require("triton", count)
    await asyncio.gather(*(readiness.failures() for _ in range(1000)))
    assert asked == 1


async def test_a_dependency_that_never_answers_counts_as_down() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    readiness = Readiness()
    readiness.started = True
    readiness.require("triton", hang)
    assert await readiness.failures() == {"triton": "no answer within 2 s"}
