import threading

import pytest
from gateway.oip.background import convert
from service_runtime.errors import InvalidInput
from service_runtime.tracing import current_span, server_span


async def test_small_work_stays_and_large_work_leaves_the_event_loop() -> None:
    here = threading.get_ident()
    assert await convert(100, threading.get_ident) == here
    assert await convert(1_000_000, threading.get_ident) != here


@pytest.mark.parametrize("size", [100, 1_000_000])
async def test_errors_and_the_current_span_come_along(size: int) -> None:
    def refuse() -> None:
        span = current_span()
        raise InvalidInput(span.trace_id if span else "no span")

    with server_span("test", None) as span, pytest.raises(InvalidInput, match=span.trace_id):
        await convert(size, refuse)
