"""Waiting for what must happen soon, in tests and scripts: bounded, and without guessing how long it takes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.02


def eventually(ask: Callable[[], T], *, within: float = 20.0, every: float = _POLL_SECONDS) -> T:
    """Return the first answer of `ask` that is true; AssertionError, with the last one, when none comes in time."""
    deadline = time.monotonic() + within
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"nothing true within {within:g} s; last answer: {answer!r}"  # noqa: S101
        time.sleep(every)
    return answer


async def eventually_async(ask: Callable[[], Awaitable[T]], *, within: float = 20.0) -> T:
    """Do the same in an event loop."""
    deadline = time.monotonic() + within
    while not (answer := await ask()):
        assert time.monotonic() < deadline, f"nothing true within {within:g} s; last answer: {answer!r}"  # noqa: S101
        await asyncio.sleep(_POLL_SECONDS)
    return answer
