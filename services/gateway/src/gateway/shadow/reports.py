"""Comparisons on their way to monitoring: bounded, in batches, sent again while monitoring is away."""

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING, Self

import grpc
import structlog
from fairlead.events.v1.events_pb2 import AnswersCompared
from fairlead.monitoring.v1.monitoring_pb2 import RecordComparisonsRequest
from fairlead.monitoring.v1.monitoring_pb2_grpc import MonitoringServiceStub

from gateway.metrics import ShadowMetrics

if TYPE_CHECKING:
    from fairlead.monitoring.v1.monitoring_pb2_grpc import MonitoringServiceAsyncStub

log = structlog.get_logger()

_BATCH = 256
_MOST_WAITING = 4096
_LINGER_SECONDS = 0.25
_SEND_SECONDS = 5.0
_BACKOFF_SECONDS = 1.0
_REFUSALS = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)


class ComparisonReports:
    """Sends comparisons to monitoring; enter to start, leave to give it what is left, for a moment."""

    def __init__(self, target: str, *, metrics: ShadowMetrics) -> None:
        self._target = target
        self._metrics = metrics
        self._waiting: deque[AnswersCompared] = deque()
        self._arrived = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Start sending; monitoring need not be there yet."""
        self._channel = grpc.aio.insecure_channel(self._target)
        self._stub: MonitoringServiceAsyncStub = MonitoringServiceStub(self._channel)
        self._sending = asyncio.create_task(self._send_forever())
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Send what is left, if monitoring takes it at once."""
        self._sending.cancel()
        await asyncio.wait({self._sending})
        with contextlib.suppress(grpc.aio.AioRpcError):
            while self._waiting:
                await self._send(seconds=1)
        if self._waiting:
            self._metrics.dropped("unreported", len(self._waiting))
        await self._channel.close()

    def report(self, comparison: AnswersCompared) -> None:
        """Take a comparison, or drop it when too many wait; never blocks and never fails."""
        if len(self._waiting) >= _MOST_WAITING:
            self._metrics.dropped("unreported")
            return
        self._waiting.append(comparison)
        self._arrived.set()

    async def _send_forever(self) -> None:
        while True:
            await self._arrived.wait()
            await asyncio.sleep(_LINGER_SECONDS)  # let company come: a batch costs monitoring one transaction
            try:
                while self._waiting:
                    await self._send(seconds=_SEND_SECONDS)
                self._arrived.clear()
            except grpc.aio.AioRpcError as error:
                self._note(error)
                await asyncio.sleep(_BACKOFF_SECONDS)

    async def _send(self, *, seconds: float) -> None:
        """Send the first of those that wait; they are given up only once monitoring holds them."""
        batch = [self._waiting[at] for at in range(min(_BATCH, len(self._waiting)))]
        await self._stub.RecordComparisons(RecordComparisonsRequest(comparisons=batch), timeout=seconds)
        self._forget(len(batch))

    def _note(self, error: grpc.aio.AioRpcError) -> None:
        if error.code() not in _REFUSALS:
            return  # it is away: the same batch is sent again, and stored once
        log.error("shadow.comparisons_refused", reason=error.details())
        count = min(_BATCH, len(self._waiting))
        self._forget(count)
        self._metrics.dropped("refused", count)

    def _forget(self, count: int) -> None:
        for _ in range(count):
            self._waiting.popleft()
