"""The native API as its callers see it: one set of calls, over REST and over gRPC."""

import base64
import json
from dataclasses import dataclass
from typing import Any

import grpc
import httpx2
from fairlead.events.v1.events_pb2 import CallerKind
from fairlead.gateway.v1 import gateway_pb2 as pb
from fairlead.gateway.v1.gateway_pb2_grpc import PredictionServiceStub
from google.protobuf.json_format import MessageToDict
from google.rpc import error_details_pb2, status_pb2

from gateway_kit.native import NativeGateway


@dataclass
class Refused(Exception):
    """What a caller sees of an error, the same over both transports."""

    code: str
    message: str
    violations: list[str]
    retryable: bool


class RestApi:
    """The native API over REST, its answers in the shape of the proto's JSON."""

    caller_kind = CallerKind.CALLER_KIND_REST

    def __init__(self, gateway: NativeGateway) -> None:
        self._client = httpx2.AsyncClient(base_url=gateway.http_url)

    async def predict(self, model: str, image: bytes) -> dict[str, Any]:
        return await self._post(f"/v1/models/{model}:predict", image, "image/png")

    async def batch_predict(self, model: str, images: list[bytes]) -> list[dict[str, Any]]:
        body = json.dumps({"images": [base64.b64encode(image).decode() for image in images]}).encode()
        answer = await self._post(f"/v1/models/{model}:batchPredict", body, "application/json")
        return list(answer["predictions"])

    async def feedback(self, prediction_id: str, label: str, source: str = "") -> bool:
        body = json.dumps({"label": label, "source": source}).encode()
        answer = await self._post(f"/v1/predictions/{prediction_id}:feedback", body, "application/json")
        return bool(answer["prediction_known"])

    async def models(self) -> list[dict[str, Any]]:
        return list(self._answer(await self._client.get("/v1/models"))["models"])

    async def model(self, name: str) -> dict[str, Any]:
        return self._answer(await self._client.get(f"/v1/models/{name}"))

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _post(self, path: str, body: bytes, media_type: str) -> dict[str, Any]:
        return self._answer(await self._client.post(path, content=body, headers={"content-type": media_type}))

    def _answer(self, response: httpx2.Response) -> dict[str, Any]:
        body = response.json()
        if response.is_success:
            return dict(body)
        assert response.headers["content-type"] == "application/problem+json"
        raise Refused(body["code"], body["detail"], [v["field"] for v in body["violations"]], body["retryable"])


class GrpcApi:
    """The native API over gRPC, its answers in the shape of REST's JSON."""

    caller_kind = CallerKind.CALLER_KIND_GRPC

    def __init__(self, gateway: NativeGateway) -> None:
        self._channel = grpc.aio.insecure_channel(gateway.grpc_address)
        self._stub = PredictionServiceStub(self._channel)

    async def predict(self, model: str, image: bytes) -> dict[str, Any]:
        answer = await self._call(self._stub.Predict(pb.PredictRequest(model=model, image=image)))
        return _as_rest(answer["prediction"])

    async def batch_predict(self, model: str, images: list[bytes]) -> list[dict[str, Any]]:
        answer = await self._call(self._stub.BatchPredict(pb.BatchPredictRequest(model=model, images=images)))
        return [_as_rest(prediction) for prediction in answer["predictions"]]

    async def feedback(self, prediction_id: str, label: str, source: str = "") -> bool:
        request = pb.SendFeedbackRequest(prediction_id=prediction_id, label=label, source=source)
        return bool((await self._call(self._stub.SendFeedback(request)))["prediction_known"])

    async def models(self) -> list[dict[str, Any]]:
        answer = await self._call(self._stub.ListModels(pb.ListModelsRequest()))
        return [_model_as_rest(model) for model in answer["models"]]

    async def model(self, name: str) -> dict[str, Any]:
        return _model_as_rest((await self._call(self._stub.GetModel(pb.GetModelRequest(model=name))))["model"])

    async def aclose(self) -> None:
        await self._channel.close()

    async def _call(self, call: Any) -> dict[str, Any]:
        try:
            message = await call
        except grpc.aio.AioRpcError as error:
            trailers = dict(error.trailing_metadata() or ())
            raise Refused(
                error.code().name, error.details() or "", _violations(trailers), "grpc-retry-pushback-ms" in trailers
            ) from error
        return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _violations(trailers: dict[str, Any]) -> list[str]:
    status = status_pb2.Status.FromString(trailers.get("grpc-status-details-bin", b""))
    bad = error_details_pb2.BadRequest()
    return [v.field for detail in status.details if detail.Unpack(bad) for v in bad.field_violations]


def _as_rest(prediction: dict[str, Any]) -> dict[str, Any]:
    timings = prediction.pop("timings")
    return {**prediction, "timings_ms": {stage.removesuffix("_ms"): spent for stage, spent in timings.items()}}


def _model_as_rest(model: dict[str, Any]) -> dict[str, Any]:
    ref = model.pop("ref")
    tensors = {
        kind: [{**tensor, "shape": [int(size) for size in tensor["shape"]]} for tensor in model.pop(kind)]
        for kind in ("inputs", "outputs")
    }
    return {**ref, **tensors, "feature_spec": None, **model}


Api = RestApi | GrpcApi
