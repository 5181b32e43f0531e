"""Predictions on their way to monitoring: bounded, batched, sent until acknowledged, never in a request's way."""

import asyncio
import contextlib
import itertools
import random
from collections import deque
from typing import TYPE_CHECKING, Self

import grpc
import structlog
from fairlead.events.v1.events_pb2 import FeedbackGiven, PredictionMade
from fairlead.monitoring.v1.monitoring_pb2 import (
    RecordFeedbackRequest,
    RecordPredictionsRequest,
    RecordPredictionsResponse,
)
from fairlead.monitoring.v1.monitoring_pb2_grpc import MonitoringServiceStub
from service_runtime.deadlines import Deadline
from service_runtime.errors import DeadlineExceeded, DependencyUnavailable, InvalidInput
from service_runtime.tracing import client_span

from gateway.metrics import RecorderMetrics

if TYPE_CHECKING:
    from fairlead.monitoring.v1.monitoring_pb2_grpc import MonitoringServiceAsyncStub

    Recording = grpc.aio.StreamStreamCall[RecordPredictionsRequest, RecordPredictionsResponse]

log = structlog.get_logger()

_BATCH = 256
_LINGER_SECONDS = 0.05
_ACKNOWLEDGE_SECONDS = 5.0  # a monitoring that is stopped or whose disk is full holds a stream open in silence
_FEEDBACK_SECONDS = 1.5
_FIRST_BACKOFF_SECONDS = 0.1
_LONGEST_BACKOFF_SECONDS = 5.0
_REFUSALS = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)  # the latter: too many bytes at once
_CHANNEL_OPTIONS = (
    # The recorder has its own backoff; the channel's, up to two minutes, would hide a monitoring that is back.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


class MonitoringRecorder:
    """Sends predictions and feedback to monitoring; enter to start, leave to flush.

    One batch is under way at a time: it is sent again, after a reconnect too, until monitoring says that it is durable.
    What does not fit into the buffer meanwhile is dropped and counted, the newest first, so that nothing taken is lost.
    """

    def __init__(self, target: str, *, capacity: int, flush_seconds: float, metrics: RecorderMetrics) -> None:
        self._target = target
        self._capacity = capacity
        self._flush_seconds = flush_seconds
        self._metrics = metrics
        self._waiting: deque[PredictionMade] = deque()
        self._under_way: list[PredictionMade] = []
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._backoff = _FIRST_BACKOFF_SECONDS
        self._cut_off = False

    async def __aenter__(self) -> Self:
        """Start sending; monitoring need not be there yet."""
        self._channel = grpc.aio.insecure_channel(self._target, options=_CHANNEL_OPTIONS)
        self._stub: MonitoringServiceAsyncStub = MonitoringServiceStub(self._channel)
        self._metrics.pending.set_function(self._pending)
        self._sending = asyncio.create_task(self._send_forever())
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Give what is buffered a bounded time to leave."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._flush_seconds):
                await self._empty.wait()
        self._sending.cancel()
        await asyncio.wait({self._sending})
        if lost := self._pending():
            self._metrics.dropped.labels("shutdown").inc(lost)
            log.error("recorder.predictions_lost", count=lost, reason="monitoring did not take them before the end")
        await self._channel.close()

    def record(self, prediction: PredictionMade) -> None:
        """Take a prediction, or drop it when the buffer is full; never blocks and never fails."""
        if len(self._waiting) >= self._capacity:
            self._metrics.dropped.labels("full").inc()
            return
        self._waiting.append(prediction)
        if not self._wake.is_set():
            self._wake.set()
            self._empty.clear()

    async def feedback(self, feedback: FeedbackGiven, *, deadline: Deadline) -> bool:
        """Store feedback durably; return whether monitoring has the prediction already."""
        try:
            with client_span("monitoring.RecordFeedback") as span:
                response = await self._stub.RecordFeedback(
                    RecordFeedbackRequest(feedback=feedback),
                    timeout=min(deadline.check("feedback"), _FEEDBACK_SECONDS),
                    wait_for_ready=True,  # a channel that has just been refused would refuse without looking
                    metadata=(("traceparent", span.traceparent()),),
                )
        except grpc.aio.AioRpcError as error:
            if deadline.remaining() <= 0:
                raise DeadlineExceeded("feedback") from error
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                raise InvalidInput(error.details() or "Monitoring refused the feedback.") from error
            raise DependencyUnavailable(
                "Monitoring cannot be reached, so the feedback is not stored. Send it again later."
            ) from error
        return response.prediction_known

    def _pending(self) -> int:
        return len(self._waiting) + len(self._under_way)

    async def _send_forever(self) -> None:
        while True:
            call = self._stub.RecordPredictions()
            try:
                await self._send(call)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError, TimeoutError, EOFError) as error:
                self._note_failure(error)
            except Exception:  # a sender that ended would lose every prediction from then on
                log.exception("recorder.sending_failed")
            finally:
                call.cancel()
            await asyncio.sleep(self._backoff * random.uniform(0.5, 1))  # noqa: S311 - jitter, not a secret
            self._backoff = min(2 * self._backoff, _LONGEST_BACKOFF_SECONDS)

    async def _send(self, call: "Recording") -> None:
        for sequence in itertools.count(1):
            batch = self._under_way = self._under_way or await self._next_batch()
            async with asyncio.timeout(_ACKNOWLEDGE_SECONDS):
                await call.write(RecordPredictionsRequest(sequence=sequence, predictions=batch))
                while await _acknowledged(call) < sequence:
                    pass
            self._metrics.recorded.inc(len(batch))
            self._under_way = []
            self._backoff = _FIRST_BACKOFF_SECONDS
            if self._cut_off:
                self._cut_off = False
                log.info("recorder.monitoring_back", waiting=len(self._waiting))

    async def _next_batch(self) -> list[PredictionMade]:
        if not self._waiting:
            self._empty.set()
            self._wake.clear()
            await self._wake.wait()
            await asyncio.sleep(_LINGER_SECONDS)  # let company come: a batch costs monitoring one transaction
        return [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]

    def _note_failure(self, error: Exception) -> None:
        code = error.code() if isinstance(error, grpc.aio.AioRpcError) else None
        if code in _REFUSALS:
            self._narrow_down()
        elif not self._cut_off:
            self._cut_off = True
            log.warning("recorder.monitoring_away", reason=code.name if code else type(error).__name__)

    def _narrow_down(self) -> None:
        """Halve a batch that monitoring refuses, until the one bad prediction is alone and goes."""
        batch = self._under_way
        self._backoff = _FIRST_BACKOFF_SECONDS
        if len(batch) == 1:
            self._metrics.dropped.labels("refused").inc()
            log.error("recorder.prediction_refused", prediction_id=batch[0].prediction_id)
            self._under_way = []
            return
        self._under_way = batch[: len(batch) // 2]
        self._waiting.extendleft(reversed(batch[len(batch) // 2 :]))


async def _acknowledged(call: "Recording") -> int:
    answer = await call.read()
    if isinstance(answer, RecordPredictionsResponse):
        return answer.acknowledged_sequence
    raise EOFError  # monitoring ended the stream in order, as it does when it drains
