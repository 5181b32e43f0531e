"""The gRPC face: convert, call, convert."""

from __future__ import annotations  # grpc's run-time classes are not subscriptable

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from typing import Any, cast

from fairlead.monitoring.v1 import monitoring_pb2_grpc
from fairlead.monitoring.v1.monitoring_pb2 import (
    GetModelQualityRequest,
    GetModelQualityResponse,
    ListPredictionsRequest,
    ListPredictionsResponse,
    RecordComparisonsRequest,
    RecordComparisonsResponse,
    RecordFeedbackRequest,
    RecordFeedbackResponse,
    RecordPredictionsRequest,
    RecordPredictionsResponse,
)
from service_runtime.errors import DeadlineExceeded, DependencyUnavailable, InvalidInput, Violation
from service_runtime.grpc_errors import Context
from service_runtime.grpc_server import call_deadline

from monitoring import grpc_reports, queries
from monitoring.paging import cursor_of
from monitoring.reader import Reader
from monitoring.recording import Recorder
from monitoring.sources import sources

_DRAINING = "This server is draining. Connect again and send what was not acknowledged."


class MonitoringServicer(monitoring_pb2_grpc.MonitoringServiceServicer):
    """fairlead.monitoring.v1.MonitoringService over the use cases."""

    def __init__(self, recorder: Recorder, reader: Reader, *, timeout: float) -> None:
        self._recorder = recorder
        self._reader = reader
        self._timeout = timeout
        self._draining = False
        self._listening: set[asyncio.Task[Any]] = set()

    def drain(self) -> None:
        """End the streams that wait for a batch; one that is being stored is acknowledged first."""
        self._draining = True
        for task in self._listening:
            task.cancel()

    async def RecordPredictions(  # noqa: N802 - grpc's name
        self,
        request_iterator: AsyncIterator[RecordPredictionsRequest],
        context: Context,  # noqa: ARG002 - grpc's signature
    ) -> AsyncIterator[RecordPredictionsResponse]:
        """Acknowledge each batch after its commit; the next is read only then: that slows a sender that is too fast."""
        expected = 1
        while (request := await self._next(request_iterator)) is not None:
            if request.sequence != expected:
                raise InvalidInput(
                    f"sequence is {request.sequence}, expected {expected}: it starts at 1 and rises by one.",
                    violations=(Violation("sequence", f"expected {expected}"),),
                )
            await self._recorder.record(request.predictions)
            yield RecordPredictionsResponse(acknowledged_sequence=expected)
            expected += 1

    async def _next(self, requests: AsyncIterator[RecordPredictionsRequest]) -> RecordPredictionsRequest | None:
        if self._draining:
            raise DependencyUnavailable(_DRAINING)
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._listening.add(task)
        try:
            return await anext(requests, None)
        except asyncio.CancelledError:
            if self._draining and task.uncancel() == 0:
                raise DependencyUnavailable(_DRAINING) from None
            raise
        finally:
            self._listening.discard(task)

    async def RecordFeedback(  # noqa: N802 - grpc's name
        self, request: RecordFeedbackRequest, context: Context
    ) -> RecordFeedbackResponse:
        """Answer after the commit."""
        deadline = call_deadline(context, default=self._timeout, cap=self._timeout)
        try:
            async with asyncio.timeout(deadline.check("store")):
                known = await self._recorder.give(request.feedback)
        except TimeoutError as error:
            raise DeadlineExceeded("store") from error
        return RecordFeedbackResponse(prediction_known=known)

    async def RecordComparisons(  # noqa: N802 - grpc's name
        self, request: RecordComparisonsRequest, context: Context
    ) -> RecordComparisonsResponse:
        """Answer after the commit."""
        deadline = call_deadline(context, default=self._timeout, cap=self._timeout)
        try:
            async with asyncio.timeout(deadline.check("store")):
                await self._recorder.compare(request.comparisons)
        except TimeoutError as error:
            raise DeadlineExceeded("store") from error
        return RecordComparisonsResponse()

    async def GetModelQuality(  # noqa: N802 - grpc's name
        self, request: GetModelQualityRequest, context: Context
    ) -> GetModelQualityResponse:
        """Compute quality per digest of one model."""
        name = grpc_reports.require_model_name(request)
        window = grpc_reports.window_of(request)

        def query(connection: sqlite3.Connection) -> list[queries.DigestQuality]:
            refs = sources(connection, name=name, digest=request.model_digest)
            return queries.qualities(connection, queries.Scope(*window, tuple(refs)), refs)

        deadline = call_deadline(context, default=self._timeout, cap=self._timeout)
        return grpc_reports.quality_response(await self._reader.run(query, deadline), request)

    async def ListPredictions(  # noqa: N802 - grpc's name
        self, request: ListPredictionsRequest, context: Context
    ) -> ListPredictionsResponse:
        """List one page, newest first."""
        window, size = grpc_reports.window_of(request), grpc_reports.page_size_of(request)
        start = cursor_of(request.page_token)

        def query(connection: sqlite3.Connection) -> queries.Page:
            refs = sources(connection, name=request.model_name, digest=request.model_digest)
            scope = queries.Scope(*window, tuple(refs))
            return queries.newest(connection, scope, size=size, start=start, mistakes_only=request.mistakes_only)

        deadline = call_deadline(context, default=self._timeout, cap=self._timeout)
        return grpc_reports.page_response(await self._reader.run(query, deadline))
