"""REST: POST /v1/models/{model}:predict and what belongs to it. Plain Starlette, no pydantic on the way."""

import orjson
from fairlead.events.v1.events_pb2 import (
    CALLER_KIND_PAGE,
    CALLER_KIND_REST,
    CallerKind,
)
from service_runtime.deadlines import Deadline
from service_runtime.errors import InvalidInput, Violation
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.responses import Response
from starlette.routing import Route

from gateway.catalog import ModelCatalog, ServedModel, TensorSpec
from gateway.http_edge import Handler, HttpEdge
from gateway.http_request import HttpRequest
from gateway.native.feedback import FeedbackDesk
from gateway.native.image_bodies import read_image, read_images, read_json
from gateway.native.latency import LatencyWindow
from gateway.native.predict import Prediction, Predictor

_FEEDBACK_BYTES = 16 * 1024


def http_routes(
    edge: HttpEdge,
    predictor: Predictor,
    desk: FeedbackDesk,
    catalog: ModelCatalog,
    *,
    latencies: LatencyWindow,
    max_body_bytes: int,
) -> list[Route]:
    """Return the routes of the native API."""
    register_url_convertor("name", _NameConvertor())
    api = _NativeApi(predictor, desk, catalog, latencies, max_body_bytes)

    def route(method: str, path: str, handler: Handler, *, admitted: bool) -> Route:
        template = path.replace(":name}", "}")
        return Route(path, edge.endpoint(handler, route=template, admitted=admitted), methods=[method])

    return [
        route("POST", "/v1/models/{model:name}:predict", api.predict, admitted=True),
        route("POST", "/v1/models/{model:name}:batchPredict", api.batch_predict, admitted=True),
        route("POST", "/v1/predictions/{prediction_id:name}:feedback", api.feedback, admitted=True),
        route("GET", "/v1/models", api.list_models, admitted=False),
        route("GET", "/v1/models/{model:name}", api.get_model, admitted=False),
        route("GET", "/v1/stats", api.stats, admitted=False),
    ]


class _NameConvertor(StringConvertor):
    """A path segment without a colon: what follows a colon is the custom method."""

    regex = "[^/:]+"


class _NativeApi:
    def __init__(
        self,
        predictor: Predictor,
        desk: FeedbackDesk,
        catalog: ModelCatalog,
        latencies: LatencyWindow,
        max_body_bytes: int,
    ) -> None:
        self._predictor = predictor
        self._desk = desk
        self._catalog = catalog
        self._latencies = latencies
        self._max_body_bytes = max_body_bytes

    async def predict(self, request: HttpRequest, deadline: Deadline) -> Response:
        image = await read_image(request, limit=self._max_body_bytes, deadline=deadline)
        prediction = await self._predictor.predict(
            request.path_params["model"], image, deadline=deadline, caller=_caller(request)
        )
        return _json(_prediction(prediction))

    async def batch_predict(self, request: HttpRequest, deadline: Deadline) -> Response:
        images = await read_images(request, limit=self._max_body_bytes, deadline=deadline)
        predictions = await self._predictor.predict_batch(
            request.path_params["model"], images, deadline=deadline, caller=_caller(request)
        )
        return _json({"predictions": [_prediction(prediction) for prediction in predictions]})

    async def feedback(self, request: HttpRequest, deadline: Deadline) -> Response:
        document = read_json(request, limit=_FEEDBACK_BYTES, deadline=deadline)
        known = await self._desk.give(
            request.path_params["prediction_id"],
            _text(document, "label"),
            _text(document, "source"),
            deadline=deadline,
        )
        return _json({"prediction_known": known})

    async def list_models(self, _request: HttpRequest, deadline: Deadline) -> Response:
        models = await self._catalog.list(deadline=deadline)
        return _json({"models": [_model(model) for model in models]})

    async def get_model(self, request: HttpRequest, deadline: Deadline) -> Response:
        return _json(_model(await self._catalog.get(request.path_params["model"], deadline=deadline)))

    async def stats(self, _request: HttpRequest, _deadline: Deadline) -> Response:
        return _json(self._latencies.summary(), headers={"cache-control": "no-store"})


def _json(content: object, *, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), headers=headers, media_type="application/json")


def _caller(request: HttpRequest) -> CallerKind.ValueType:
    return CALLER_KIND_PAGE if request.headers.get("x-fairlead-caller") == "page" else CALLER_KIND_REST


def _text(document: dict[str, object], field: str) -> str:
    value = document.get(field, "")
    if not isinstance(value, str):
        raise InvalidInput(f"'{field}' must be a string.", violations=(Violation(field, "Must be a string."),))
    return value


def _prediction(prediction: Prediction) -> dict[str, object]:
    made, model = prediction.made, prediction.model
    timings = made.timings
    return {
        "prediction_id": made.prediction_id,
        "model": {"name": model.name, "version": model.version, "digest": model.digest},
        "label": made.label,
        "confidence": prediction.confidence,
        "probabilities": [
            {"label": label, "probability": probability}
            for label, probability in zip(model.labels, prediction.probabilities, strict=True)
        ],
        "feature_spec": {"name": made.feature_spec, "digest": made.feature_spec_digest},
        "features": prediction.features,
        "timings_ms": {
            "preprocessing": timings.preprocessing_ms,
            "inference": timings.inference_ms,
            "total": timings.total_ms,
        },
        "trace_id": made.trace_id,
    }


def _model(model: ServedModel) -> dict[str, object]:
    feature_spec = {"name": model.feature_spec, "digest": model.feature_spec_digest} if model.feature_spec else None
    return {
        "name": model.name,
        "version": model.version,
        "digest": model.digest,
        "ready": model.ready,
        "inputs": [_tensor(tensor) for tensor in model.inputs],
        "outputs": [_tensor(tensor) for tensor in model.outputs],
        "labels": list(model.labels),
        "feature_spec": feature_spec,
    }


def _tensor(tensor: TensorSpec) -> dict[str, object]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
