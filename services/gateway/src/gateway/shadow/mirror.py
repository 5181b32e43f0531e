"""Copies of answered requests on their way to the shadow: sampled, bounded, never in a request's way."""

import asyncio
import random
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import structlog
from fairlead.events.v1.events_pb2 import AnswersCompared, ModelRef
from google.protobuf.message import Message
from service_runtime.deadlines import Deadline
from service_runtime.errors import ServiceError
from tritonclient.grpc import service_pb2 as oip

from gateway.catalog import ModelCatalog, ServedModel
from gateway.metrics import ShadowMetrics
from gateway.oip.wire import RAW_INPUT_CONTENTS, split
from gateway.shadow.differences import Answer, compare, labels_differ
from gateway.triton import InferenceServer

log = structlog.get_logger()

_WORKERS = 4  # as many copies at most keep the shadow, and this process, busy at a time
_MOST_BYTES = 16 << 20
_SEQUENCE = "sequence_id"

M = TypeVar("M", bound=Message)


class Reports(AbstractAsyncContextManager[Any], Protocol):
    """Where comparisons go; entered and left with the shadow."""

    def report(self, comparison: AnswersCompared) -> None:
        """Take a comparison; never blocks and never fails."""


@dataclass(frozen=True, slots=True)
class _Copy:
    request: bytes
    answer: bytes

    @property
    def size(self) -> int:
        return len(self.request) + len(self.answer)


class MirroredInference:
    """The inference server that callers get their answers from; each answered request is offered to the shadow."""

    def __init__(self, server: InferenceServer, offer: Callable[[bytes, bytes], None]) -> None:
        self._server = server
        self._offer = offer

    async def infer(self, request: bytes, *, deadline: Deadline) -> bytes:
        """Pass a serialized ModelInferRequest on; return the serialized ModelInferResponse, unparsed."""
        answer = await self._server.infer(request, deadline=deadline)
        self._offer(request, answer)
        return answer

    async def call(self, rpc: str, request: Message, response: type[M], *, deadline: Deadline) -> M:
        """Call any other unary RPC of inference.GRPCInferenceService."""
        return await self._server.call(rpc, request, response, deadline=deadline)


class Shadow:
    """Asks the shadow what callers have asked, and reports how its answers compare; enter to start, leave to stop.

    A copy is taken after the answer is there, or dropped and counted: the shadow may be slow, broken or away.
    """

    def __init__(
        self,
        server: InferenceServer,
        *,
        catalogs: tuple[ModelCatalog, ModelCatalog],
        reports: Reports,
        metrics: ShadowMetrics,
        share: float,
        capacity: int,
        seconds: float,
        tolerance: float,
    ) -> None:
        self._server = server
        self._stable, self._shadow = catalogs
        self._reports = reports
        self._metrics = metrics
        self._share = share
        self._capacity = capacity
        self._seconds = seconds
        self._tolerance = tolerance
        self._waiting: deque[_Copy] = deque()
        self._bytes = 0
        self._arrived = asyncio.Semaphore(0)
        self._last: dict[str, ServedModel] = {}

    async def __aenter__(self) -> Self:
        """Start asking; the shadow need not be there yet."""
        self._metrics.pending.set_function(lambda: len(self._waiting))
        await self._reports.__aenter__()
        self._workers = [asyncio.create_task(self._work()) for _ in range(_WORKERS)]
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Stop; what waits is not asked any more."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.wait(self._workers)
        await self._reports.__aexit__(None, None, None)

    def offer(self, request: bytes, answer: bytes) -> None:
        """Take a copy of an answered request, one of `share`, or drop it; never blocks and never fails."""
        if random.random() >= self._share:  # noqa: S311 - a sample, not a secret
            return
        copy = _Copy(request, answer)
        if len(self._waiting) >= self._capacity or self._bytes + copy.size > _MOST_BYTES:
            self._metrics.dropped("full")
            return
        self._bytes += copy.size
        self._waiting.append(copy)
        self._arrived.release()

    async def _work(self) -> None:
        while True:
            await self._arrived.acquire()
            copy = self._waiting.popleft()
            self._bytes -= copy.size
            try:
                await self._mirror(copy)
            except Exception:  # a worker that ended would be missed for ever
                log.exception("shadow.mirroring_failed")
                self._metrics.dropped("broken")

    async def _mirror(self, copy: _Copy) -> None:
        asked = oip.ModelInferRequest.FromString(split(copy.request, RAW_INPUT_CONTENTS)[0])
        if asked.model_version or _SEQUENCE in asked.parameters:
            self._metrics.dropped("not_comparable")  # one version of stable's, or a sequence that would have gaps
            return
        stable = Answer.read(copy.answer)
        deadline = Deadline.after(self._seconds)
        stable_model = await self._stable.answering(stable.name, stable.version, deadline=deadline)
        try:
            shadow = Answer.read(await self._server.infer(copy.request, deadline=deadline))
            shadow_model = await self._shadow.answering(shadow.name, shadow.version, deadline=deadline)
        except (ServiceError, ValueError) as error:
            self._failed(stable_model, error)
            return
        self._last[shadow.name] = shadow_model
        if shadow_model.digest == stable_model.digest:
            self._metrics.compared("same_model")
            return
        self._tell(
            "agreed",
            AnswersCompared(
                stable=_ref(stable_model),
                shadow=_ref(shadow_model),
                labels_differ=labels_differ(stable, shadow, (stable_model, shadow_model)),
                tensors=compare(stable, shadow, tolerance=self._tolerance),
            ),
        )

    def _failed(self, stable: ServedModel, error: Exception) -> None:
        """Report that the shadow did not answer, if it ever did: until then nobody knows which model it would be."""
        shadow = self._last.get(stable.name)
        if shadow is None or shadow.digest == stable.digest:
            self._metrics.compared("failed")
            log.debug("shadow.failed", model=stable.name, reason=str(error))
            return
        self._tell("failed", AnswersCompared(stable=_ref(stable), shadow=_ref(shadow), shadow_failed=True))

    def _tell(self, outcome: str, comparison: AnswersCompared) -> None:
        comparison.comparison_id = str(uuid.uuid4())
        comparison.compared_at.GetCurrentTime()
        if comparison.labels_differ or any(tensor.differs for tensor in comparison.tensors):
            outcome = "differed"
        self._metrics.compared(outcome)
        self._reports.report(comparison)


def _ref(model: ServedModel) -> ModelRef:
    return ModelRef(name=model.name, version=model.version, digest=model.digest)
