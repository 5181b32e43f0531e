"""gRPC: fairlead.gateway.v1.PredictionService; convert, call, convert. N802: grpc gives the names."""

from __future__ import annotations  # grpc's run-time classes are not subscriptable

import asyncio
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Any

import grpc
from fairlead.events.v1.events_pb2 import CALLER_KIND_GRPC, ModelRef
from fairlead.gateway.v1 import gateway_pb2 as pb
from fairlead.gateway.v1.gateway_pb2_grpc import PredictionServiceServicer, add_PredictionServiceServicer_to_server
from service_runtime.errors import ServiceError

from gateway.catalog import ModelCatalog, ServedModel
from gateway.grpc_edge import GrpcEdge
from gateway.native.feedback import FeedbackDesk
from gateway.native.predict import Prediction, Predictor

SERVICE = pb.DESCRIPTOR.services_by_name["PredictionService"].full_name

_STREAM_WINDOW = 16  # images of one stream that are worked on at a time

Context = grpc.aio.ServicerContext[Any, Any]


def add_prediction_servicer(
    server: grpc.aio.Server, edge: GrpcEdge, predictor: Predictor, desk: FeedbackDesk, catalog: ModelCatalog
) -> None:
    """Serve the native API on a gRPC server."""
    add_PredictionServiceServicer_to_server(_Servicer(edge, predictor, desk, catalog), server)


class _Servicer(PredictionServiceServicer):
    def __init__(self, edge: GrpcEdge, predictor: Predictor, desk: FeedbackDesk, catalog: ModelCatalog) -> None:
        self._edge = edge
        self._predictor = predictor
        self._desk = desk
        self._catalog = catalog

    async def Predict(self, request: pb.PredictRequest, context: Context) -> pb.PredictResponse:  # noqa: N802
        response = pb.PredictResponse()
        _fill(response.prediction, await self._predict(request, context))
        return response

    async def BatchPredict(self, request: pb.BatchPredictRequest, context: Context) -> pb.BatchPredictResponse:  # noqa: N802
        async with self._edge.admitted(context) as deadline:
            predictions = await self._predictor.predict_batch(
                request.model, request.images, deadline=deadline, caller=CALLER_KIND_GRPC
            )
        response = pb.BatchPredictResponse()
        for prediction in predictions:
            _fill(response.predictions.add(), prediction)
        return response

    # Writes by context instead of yielding: one task owns the call, so cancelling it ends all of its work.
    async def PredictStream(  # type: ignore[override]  # noqa: N802
        self, request_iterator: AsyncIterator[pb.PredictStreamRequest], context: Context
    ) -> None:
        answers: asyncio.Queue[asyncio.Task[pb.PredictStreamResponse] | None] = asyncio.Queue()
        # A caller that does not read its answers stops us from reading its images.
        window = asyncio.Semaphore(_STREAM_WINDOW)

        async def read() -> None:
            async for request in request_iterator:
                await window.acquire()
                answers.put_nowait(tasks.create_task(self._answer(request, context)))
            answers.put_nowait(None)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(read())
            while (answer := await answers.get()) is not None:
                await context.write(await answer)
                window.release()

    async def SendFeedback(self, request: pb.SendFeedbackRequest, context: Context) -> pb.SendFeedbackResponse:  # noqa: N802
        async with self._edge.admitted(context) as deadline:
            known = await self._desk.give(request.prediction_id, request.label, request.source, deadline=deadline)
        return pb.SendFeedbackResponse(prediction_known=known)

    async def ListModels(  # noqa: N802
        self,
        request: pb.ListModelsRequest,  # noqa: ARG002
        context: Context,
    ) -> pb.ListModelsResponse:
        models = await self._catalog.list(deadline=self._edge.deadline(context))
        return pb.ListModelsResponse(models=map(_model, models))

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.GetModelResponse:  # noqa: N802
        model = await self._catalog.get(request.model, deadline=self._edge.deadline(context))
        return pb.GetModelResponse(model=_model(model))

    async def _answer(self, request: pb.PredictStreamRequest, context: Context) -> pb.PredictStreamResponse:
        try:
            prediction = await self._predict(request, context)
        except ServiceError as error:
            problem = pb.PredictionError(code=error.code.name, message=error.message, retryable=error.retryable)
            return pb.PredictStreamResponse(request_id=request.request_id, error=problem)
        response = pb.PredictStreamResponse(request_id=request.request_id)
        _fill(response.prediction, prediction)
        return response

    async def _predict(self, request: pb.PredictRequest | pb.PredictStreamRequest, context: Context) -> Prediction:
        async with self._edge.admitted(context) as deadline:
            return await self._predictor.predict(
                request.model, request.image, deadline=deadline, caller=CALLER_KIND_GRPC
            )


def _fill(answer: pb.Prediction, prediction: Prediction) -> None:
    """Write a prediction into the message that goes out: a message put into another is copied."""
    made = prediction.made
    answer.CopyFrom(_labelled(prediction.model.labels))
    answer.prediction_id = made.prediction_id
    answer.model.CopyFrom(made.model)
    answer.label = made.label
    answer.confidence = prediction.confidence
    for slot, probability in zip(answer.probabilities, prediction.probabilities, strict=True):
        slot.probability = probability
    answer.feature_spec.name = made.feature_spec
    answer.feature_spec.digest = made.feature_spec_digest
    answer.timings.CopyFrom(made.timings)
    answer.trace_id = made.trace_id
    answer.features.extend(prediction.features)


@lru_cache(maxsize=256)
def _labelled(labels: tuple[str, ...]) -> pb.Prediction:
    """Return the labels of a model with room for their probabilities, made once."""
    return pb.Prediction(probabilities=[pb.ClassProbability(label=label) for label in labels])


def _model(model: ServedModel) -> pb.Model:
    feature_spec = pb.FeatureSpecRef(name=model.feature_spec, digest=model.feature_spec_digest)
    return pb.Model(
        ref=ModelRef(name=model.name, version=model.version, digest=model.digest),
        ready=model.ready,
        inputs=[pb.TensorSpec(name=t.name, datatype=t.datatype, shape=t.shape) for t in model.inputs],
        outputs=[pb.TensorSpec(name=t.name, datatype=t.datatype, shape=t.shape) for t in model.outputs],
        labels=model.labels,
        feature_spec=feature_spec if model.feature_spec else None,
    )
