"""Large conversions leave the event loop, so that one caller's megabytes are not everybody's milliseconds."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

# Handing work to a thread costs about 100 microseconds; converting this much takes several times as long.
_LARGE_BYTES = 64 * 1024

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


async def convert(
    size: int, work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """Call `work`, which handles `size` bytes: here when they are few, in a thread when they are many."""
    if size <= _LARGE_BYTES:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)
