"""The use case: images to tensors, tensors to probabilities, an answer each, a record each."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fairlead.events.v1.events_pb2 import CallerKind, ModelRef, PredictionMade, StageTimings
from fairlead.preprocessing.v1.preprocessing_pb2 import TransformResponse
from google.protobuf.timestamp_pb2 import Timestamp
from service_runtime.deadlines import Deadline
from service_runtime.errors import DependencyUnavailable, InvalidInput, NotFound, PayloadTooLarge, Violation
from service_runtime.tracing import current_span
from tritonclient.grpc.service_pb2 import ModelInferResponse
from uuid_utils import uuid7

from gateway.callers.caller import current_caller
from gateway.catalog import ModelCatalog, ServedModel
from gateway.native.latency import LatencyWindow
from gateway.native.tensors import Answer, encode_request, floats, read_answer
from gateway.preprocessing import Preprocessor
from gateway.triton import InferenceServer

# While a model is replaced by one that needs other tensors, the tensor is made again for the one that answered.
_MOST_TRIES = 3


class Recorder(Protocol):
    """Where predictions go once they are answered."""

    def record(self, prediction: PredictionMade) -> None:
        """Take a prediction; never blocks and never fails."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one image: what is recorded of it, with its numbers as a transport wants them."""

    made: PredictionMade
    model: ServedModel
    confidence: float
    probabilities: list[float]
    features: list[float]


@dataclass(frozen=True, slots=True)
class _Answered:
    """What the inference server answered, by which version, about which tensor."""

    model: ServedModel
    tensor: TransformResponse
    response: ModelInferResponse
    timings: StageTimings


class Predictor:
    """Predicts images through preprocessing and the inference server."""

    def __init__(
        self,
        catalog: ModelCatalog,
        preprocessor: Preprocessor,
        inference: InferenceServer,
        recorder: Recorder,
        *,
        max_batch: int,
        latencies: LatencyWindow,
        revision: str,
    ) -> None:
        self._catalog = catalog
        self._preprocessor = preprocessor
        self._inference = inference
        self._recorder = recorder
        self._latencies = latencies
        self._max_batch = max_batch
        self._revision = revision

    async def predict(
        self, model: str, image: bytes, *, deadline: Deadline, caller: CallerKind.ValueType
    ) -> Prediction:
        """Predict one image."""
        try:
            [prediction] = await self._predict(model, (image,), deadline, caller)
        except InvalidInput as error:
            raise _about_one_image(error) from error
        return prediction

    async def predict_batch(
        self, model: str, images: Sequence[bytes], *, deadline: Deadline, caller: CallerKind.ValueType
    ) -> list[Prediction]:
        """Predict all images, or none: one bad image refuses the batch and is named."""
        if not images:
            raise _refused("images", "Send at least one image.")
        if len(images) > self._max_batch:
            raise PayloadTooLarge(
                f"A batch holds at most {self._max_batch} images, this one has {len(images)}. Split it."
            )
        return await self._predict(model, images, deadline, caller)

    async def _predict(
        self, name: str, images: Sequence[bytes], deadline: Deadline, caller: CallerKind.ValueType
    ) -> list[Prediction]:
        start = time.perf_counter()
        _require_bytes(images)
        model = await self._catalog.get(name, deadline=deadline)
        for _ in range(_MOST_TRIES):
            _require_image_model(model, len(images))
            answered = await self._infer(model, images, deadline)
            if _sees_alike(model, answered.model):
                break
            model = answered.model
        else:
            raise DependencyUnavailable("The model is being replaced by one that sees pictures otherwise. Try again.")
        answer = read_answer(answered.response, answered.model, count=len(images))
        seconds = time.perf_counter() - start
        timings = answered.timings
        timings.total_ms = round(seconds * 1e3, 3)
        self._latencies.observe(seconds)
        return self._publish(answered.model, answer, answered.tensor, timings, caller)

    async def _infer(self, model: ServedModel, images: Sequence[bytes], deadline: Deadline) -> "_Answered":
        """Let whichever version is chosen behind us answer, about pictures as `model` sees them."""
        began = time.perf_counter()
        tensor = await self._preprocessor.transform(
            images, feature_spec=model.feature_spec, digest=model.feature_spec_digest, deadline=deadline
        )
        prepared = time.perf_counter()
        raw = await self._inference.infer(encode_request(model, tensor), deadline=deadline)
        inferred = time.perf_counter()
        response = ModelInferResponse.FromString(raw)
        if response.model_version != model.version:
            model = await self._catalog.answering(model.name, response.model_version, deadline=deadline)
        timings = StageTimings(
            preprocessing_ms=round((prepared - began) * 1e3, 3), inference_ms=round((inferred - prepared) * 1e3, 3)
        )
        return _Answered(model, tensor, response, timings)

    def _publish(
        self,
        model: ServedModel,
        answer: Answer,
        tensor: TransformResponse,
        timings: StageTimings,
        caller: CallerKind.ValueType,
    ) -> list[Prediction]:
        span = current_span()
        trace_id = span.trace_id if span else ""
        working_for = current_caller()
        arm = working_for.arm if working_for else None
        now = time.time_ns()
        made_at = Timestamp(seconds=now // 1_000_000_000, nanos=now % 1_000_000_000)
        ref = ModelRef(name=model.name, version=model.version, digest=model.digest)
        features = floats(tensor.tensor, rows=len(answer.classes))
        predictions = []
        for row, index, probabilities in zip(features, answer.classes, answer.probabilities, strict=True):
            made = PredictionMade(
                prediction_id=str(uuid7()),
                made_at=made_at,
                model=ref,
                feature_spec=model.feature_spec,
                feature_spec_digest=tensor.feature_spec_digest,
                label=model.labels[index],
                probabilities=probabilities,
                features=row,
                timings=timings,
                trace_id=trace_id,
                caller_kind=caller,
                experiment=arm.experiment if arm else "",
                arm=arm.name if arm else "",
                revision=self._revision,
            )
            self._recorder.record(made)
            predictions.append(Prediction(made, model, probabilities[index], probabilities, row))
        return predictions


def _sees_alike(model: ServedModel, other: ServedModel) -> bool:
    """Return whether a tensor made for one is right for the other."""
    return model.feature_spec_digest == other.feature_spec_digest and model.inputs == other.inputs


def _about_one_image(error: InvalidInput) -> InvalidInput:
    """Say `image` where the use case says `images[0]`: this caller knows no list."""
    return InvalidInput(
        error.message.replace("images[0]: ", ""),
        violations=tuple(Violation(v.field.replace("images[0]", "image"), v.description) for v in error.violations),
    )


def _require_bytes(images: Sequence[bytes]) -> None:
    for position, image in enumerate(images):
        if not image:
            raise _refused(f"images[{position}]", "The image is empty: send the bytes of a picture.")


def _require_image_model(model: ServedModel, count: int) -> None:
    if not model.feature_spec or not model.labels:
        raise NotFound(
            f"Model '{model.name}' takes tensors, not images: it declares no preprocessing or no labels. "
            f"Send tensors to POST /v2/models/{model.name}/infer or inference.GRPCInferenceService/ModelInfer."
        )
    if 0 < model.max_batch_size < count:
        raise PayloadTooLarge(
            f"Model '{model.name}' takes at most {model.max_batch_size} images at once. Split the batch."
        )


def _refused(field: str, description: str) -> InvalidInput:
    return InvalidInput(description, violations=(Violation(field, description),))
