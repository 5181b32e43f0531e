"""The OpenAPI description of the native API; the routes themselves are plain and fast, and know nothing of it."""

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway.native import schema
from gateway.native.image_bodies import FORM, JSON, RAW_MEDIA_TYPES

_TAG = {
    "name": "Native API",
    "description": "An image in, a label out. gRPC has the same as fairlead.gateway.v1.PredictionService.",
}
_PROBLEMS = {
    "400": "The request is wrong; violations name what",
    "404": "No such model, or one that takes no images",
    "413": "Over a limit, which the detail names",
    "415": "A media type that is not taken here",
    "500": "A fault on our side",
    "503": "Overloaded, draining or a dependency is away; see Retry-After",
    "504": "The deadline passed; the detail names the stage",
}
_READ = ("500", "503", "504")
_REF = "#/components/schemas/{model}"

Document = dict[str, object]


def tag() -> Document:
    """Return the tag that all operations of the native API carry."""
    return dict(_TAG)


def schemas() -> dict[str, object]:
    """Return the component schemas that the paths refer to."""
    models: list[type[BaseModel]] = [
        schema.Prediction,
        schema.Predictions,
        schema.ImageRequest,
        schema.ImagesRequest,
        schema.FeedbackRequest,
        schema.FeedbackResponse,
        schema.Model,
        schema.Models,
        schema.Stats,
        schema.Problem,
    ]
    _, document = models_json_schema([(model, "serialization") for model in models], ref_template=_REF)
    components: dict[str, object] = document["$defs"]
    return components


def paths() -> dict[str, Document]:
    """Return the paths of the native API."""
    return {
        "/v1/models/{model}:predict": {"parameters": [_name("model"), _timeout()], "post": _predict()},
        "/v1/models/{model}:batchPredict": {"parameters": [_name("model"), _timeout()], "post": _batch_predict()},
        "/v1/predictions/{prediction_id}:feedback": {"parameters": [_prediction_id(), _timeout()], "post": _feedback()},
        "/v1/models": {
            "parameters": [_timeout()],
            "get": _operation("listModels", "List the models that are served", schema.Models, problems=("400", *_READ)),
        },
        "/v1/models/{model}": {
            "parameters": [_name("model"), _timeout()],
            "get": _operation("getModel", "Describe one model", schema.Model, problems=("400", "404", *_READ)),
        },
        "/v1/stats": {
            "parameters": [_timeout()],
            "get": _operation(
                "getStats",
                "Latency of this gateway's predictions in the last minute",
                schema.Stats,
                problems=("400", *_READ),
            ),
        },
    }


def _predict() -> Document:
    form = {"type": "object", "required": ["image"], "properties": {"image": {"type": "string", "format": "binary"}}}
    content: Document = {
        media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in RAW_MEDIA_TYPES
    }
    content[JSON] = {"schema": _ref(schema.ImageRequest)}
    content[FORM] = {"schema": form}
    return _operation(
        "predict",
        "Predict one image",
        schema.Prediction,
        problems=tuple(_PROBLEMS),
        description="The body is the image itself, a form with one file, or JSON with base64.",
        body=content,
    )


def _batch_predict() -> Document:
    files = {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}}
    form = {"type": "object", "required": ["images"], "properties": {"images": files}}
    return _operation(
        "batchPredict",
        "Predict several images, all or none",
        schema.Predictions,
        problems=tuple(_PROBLEMS),
        description="One image that cannot be read refuses the batch; the violation names it, as images[3].",
        body={JSON: {"schema": _ref(schema.ImagesRequest)}, FORM: {"schema": form}},
    )


def _feedback() -> Document:
    return _operation(
        "sendFeedback",
        "Tell the right label of a prediction",
        schema.FeedbackResponse,
        problems=("400", "413", *_READ),
        description="May come late, before the prediction has been recorded, or again: the latest counts.",
        body={JSON: {"schema": _ref(schema.FeedbackRequest)}},
    )


def _operation(
    operation_id: str,
    summary: str,
    answer: type[BaseModel],
    *,
    problems: tuple[str, ...],
    description: str = "",
    body: Document | None = None,
) -> Document:
    responses: Document = {"200": {"description": "Done", "content": {JSON: {"schema": _ref(answer)}}}}
    for status in problems:
        content = {"application/problem+json": {"schema": _ref(schema.Problem)}}
        responses[status] = {"description": _PROBLEMS[status], "content": content}
    operation: Document = {
        "operationId": operation_id,
        "summary": summary,
        "description": description,
        "tags": [_TAG["name"]],
        "responses": responses,
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": body}
    return operation


def _ref(model: type[BaseModel]) -> Document:
    return {"$ref": _REF.format(model=model.__name__)}


def _name(name: str) -> Document:
    pattern = {"type": "string", "pattern": "^[A-Za-z0-9_.-]+$", "examples": ["digits"]}
    return {"name": name, "in": "path", "required": True, "schema": pattern}


def _prediction_id() -> Document:
    return {"name": "prediction_id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}


def _timeout() -> Document:
    return {
        "name": "X-Request-Timeout-Ms",
        "in": "header",
        "required": False,
        "description": "How long the caller waits; no work is done for longer than that.",
        "schema": {"type": "integer", "minimum": 1},
    }
