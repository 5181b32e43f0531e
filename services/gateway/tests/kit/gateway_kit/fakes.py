"""Neighbours of the native API that a test can steer; native/test_fakes.py holds them to what the real ones do."""

import asyncio
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from fairlead.events.v1.events_pb2 import FeedbackGiven, PredictionMade
from fairlead.preprocessing.v1.preprocessing_pb2 import TransformResponse
from gateway.catalog import ServedModel, TensorSpec
from google.protobuf.message import Message
from service_runtime.deadlines import Deadline
from service_runtime.errors import InvalidInput, NotFound, ServiceError, Violation
from tritonclient.grpc.service_pb2 import ModelInferRequest, ModelInferResponse

DIGITS = ServedModel(
    name="digits",
    version="3",
    versions=("3",),
    platform="python",
    ready=True,
    digest="sha256:" + "5b" * 32,
    inputs=(TensorSpec("pixels", "FP32", (-1, 64)),),
    outputs=(TensorSpec("label", "INT64", (-1,)), TensorSpec("probabilities", "FP32", (-1, 10))),
    max_batch_size=64,
    labels=tuple("0123456789"),
    feature_spec="digits-8x8",
    feature_spec_digest="sha256:" + "8a" * 32,
)
TENSORS_ONLY = replace(DIGITS, name="tensors", labels=(), feature_spec="", feature_spec_digest="")


@dataclass
class FakeCatalog:
    models: dict[tuple[str, str], ServedModel] = field(
        default_factory=lambda: {("digits", ""): DIGITS, ("tensors", ""): TENSORS_ONLY}
    )
    failure: ServiceError | None = None

    async def get(self, name: str, version: str = "", *, deadline: Deadline) -> ServedModel:
        if self.failure:
            raise self.failure
        try:
            return self.models[name, version]
        except KeyError:
            raise NotFound(f"There is no model '{name}'.") from None

    async def answering(self, name: str, version: str, *, deadline: Deadline) -> ServedModel:
        return await self.get(name, version, deadline=deadline)

    async def list(self, *, deadline: Deadline) -> list[ServedModel]:
        if self.failure:
            raise self.failure
        return [model for (_, version), model in self.models.items() if not version]


@dataclass
class FakePreprocessor:
    """Reads pictures as `picture()` makes them: a PNG signature and the digit."""

    failure: ServiceError | None = None
    hold: asyncio.Event | None = None
    specs: list[str] = field(default_factory=list)
    most_at_once: int = 0
    at_once: int = 0

    async def transform(
        self, images: Sequence[bytes], *, feature_spec: str, digest: str, deadline: Deadline
    ) -> TransformResponse:
        self.specs.append(digest)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.hold:
                await self.hold.wait()
        finally:
            self.at_once -= 1
        if self.failure:
            raise self.failure
        for position, image in enumerate(images):
            if not image.startswith(b"\x89PNG"):
                reason = "This is not a picture that can be read."
                raise InvalidInput(
                    f"images[{position}]: {reason}", violations=(Violation(f"images[{position}]", reason),)
                )
        rows = b"".join(array("f", [image[-1]] * 64).tobytes() for image in images)
        return TransformResponse(
            feature_spec=feature_spec,
            feature_spec_digest=digest,
            datatype="FP32",
            shape=[len(images), 64],
            tensor=rows,
        )


@dataclass
class FakeInference:
    """Answers with the digit that the features hold, 91 % sure, as one version or as several in turn."""

    version: str = "3"
    turns: list[str] = field(default_factory=list)
    probability: float = 0.91
    classes: int = 10
    failure: ServiceError | None = None

    async def infer(self, request: bytes, *, deadline: Deadline) -> bytes:
        if self.failure:
            raise self.failure
        asked = ModelInferRequest.FromString(request)
        count = asked.inputs[0].shape[0]
        digits = [int(value) for value in array("f", asked.raw_input_contents[0])[::64]]
        rows = [[self.probability if each == digit else 0.01 for each in range(self.classes)] for digit in digits]
        version = self.turns.pop(0) if self.turns else self.version
        answer = ModelInferResponse(model_name=asked.model_name, model_version=version)
        answer.outputs.add(name="label", datatype="INT64", shape=[count])
        answer.outputs.add(name="probabilities", datatype="FP32", shape=[count, self.classes])
        answer.raw_output_contents.append(array("q", digits).tobytes())
        answer.raw_output_contents.append(array("f", chain.from_iterable(rows)).tobytes())
        return bytes(answer.SerializeToString())

    async def call(self, rpc: str, request: Message, response: type[Any], *, deadline: Deadline) -> Any:
        raise NotImplementedError(rpc)


@dataclass
class FakeMonitoring:
    recorded: list[PredictionMade] = field(default_factory=list)
    feedbacks: list[FeedbackGiven] = field(default_factory=list)
    failure: ServiceError | None = None

    def record(self, prediction: PredictionMade) -> None:
        self.recorded.append(prediction)

    async def feedback(self, feedback: FeedbackGiven, *, deadline: Deadline) -> bool:
        if self.failure:
            raise self.failure
        self.feedbacks.append(feedback)
        return any(made.prediction_id == feedback.prediction_id for made in self.recorded)
