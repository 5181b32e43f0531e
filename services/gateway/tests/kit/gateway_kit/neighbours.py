"""Triton, preprocessing and monitoring as one server, which notes what it hears."""

import json
from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from fairlead.events.v1.events_pb2 import FeedbackGiven, PredictionMade
from fairlead.preprocessing.v1.preprocessing_pb2 import TransformRequest, TransformResponse
from gateway.oip.grpc_api import OIP_SERVICE
from google.protobuf.message import Message
from service_runtime.deadlines import Deadline
from tritonclient.grpc import service_pb2 as oip


class Neighbours:
    """Triton, preprocessing and monitoring in one; `heard` is the arm that each call of a service came with."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str | None]] = []
        self.recorded: list[PredictionMade] = []

    def record(self, prediction: PredictionMade) -> None:
        self.recorded.append(prediction)

    async def feedback(self, feedback: FeedbackGiven, *, deadline: Deadline) -> bool:
        return True

    def handler(self, rpc: str, kind: type[Message], answer: Callable[[Any], Message]) -> Any:
        async def handle(request: Any, context: Any) -> Message:
            self.heard.append((rpc, dict(context.invocation_metadata()).get("x-experiment-arm")))
            return answer(request)

        return grpc.unary_unary_rpc_method_handler(
            handle,
            request_deserializer=kind.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        server = grpc.aio.server()
        triton = {
            "ModelConfig": self.handler("ModelConfig", oip.ModelConfigRequest, config),
            "ModelReady": self.handler(
                "ModelReady", oip.ModelReadyRequest, lambda _: oip.ModelReadyResponse(ready=True)
            ),
            "ModelInfer": self.handler("ModelInfer", oip.ModelInferRequest, infer),
        }
        imaging = {"Transform": self.handler("Transform", TransformRequest, transform)}
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(OIP_SERVICE, triton),
                grpc.method_handlers_generic_handler("fairlead.preprocessing.v1.PreprocessingService", imaging),
            )
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        yield f"127.0.0.1:{port}"
        await server.stop(0)


def config(_request: oip.ModelConfigRequest) -> oip.ModelConfigResponse:
    answer = oip.ModelConfigResponse()
    described = answer.config
    described.name, described.max_batch_size = "digits", 64
    described.version_policy.specific.versions.append(1)
    described.input.add(name="pixels", data_type="TYPE_FP32", dims=[64])
    described.output.add(name="label", data_type="TYPE_INT64", dims=[1])
    described.output.add(name="probabilities", data_type="TYPE_FP32", dims=[10])
    parameters = {
        "digest": "sha256:" + "5b" * 32,
        "labels": json.dumps(list("0123456789")),
        "feature_spec": "digits-8x8",
        "feature_spec_digest": "sha256:" + "8a" * 32,
    }
    for key, value in parameters.items():
        answer.config.parameters[key].string_value = value
    return answer


def infer(request: oip.ModelInferRequest) -> oip.ModelInferResponse:
    count = request.inputs[0].shape[0]
    answer = oip.ModelInferResponse(model_name="digits", model_version="1", id=request.id)
    answer.outputs.add(name="label", datatype="INT64", shape=[count])
    answer.outputs.add(name="probabilities", datatype="FP32", shape=[count, 10])
    answer.raw_output_contents.append(array("q", [7] * count).tobytes())
    answer.raw_output_contents.append(array("f", [0.1] * 10 * count).tobytes())
    return answer


def transform(request: TransformRequest) -> TransformResponse:
    count = len(request.images)
    return TransformResponse(
        feature_spec=request.feature_spec,
        feature_spec_digest=request.feature_spec_digest,
        datatype="FP32",
        shape=[count, 64],
        tensor=bytes(256 * count),
    )
