"""The description of the native API."""

from gateway.native.image_bodies import FORM, RAW_MEDIA_TYPES
from gateway.openapi import native_schemas as shapes
from gateway.openapi.operations import (
    JSON,
    MODEL,
    PROBLEMS,
    Document,
    json_of,
    named,
    operation,
    path_parameter,
    schemas,
    timeout_header,
)

_TAG = "Native API"
_READING = ("400", "500", "503", "504")


def tag() -> Document:
    """Return the group of these operations."""
    return {
        "name": _TAG,
        "description": "An image in, a label out. gRPC has the same as fairlead.gateway.v1.PredictionService.",
    }


def components() -> Document:
    """Return the schemas that the paths refer to."""
    return schemas(
        [
            shapes.Prediction,
            shapes.Predictions,
            shapes.ImageRequest,
            shapes.ImagesRequest,
            shapes.FeedbackRequest,
            shapes.FeedbackResponse,
            shapes.Model,
            shapes.Models,
            shapes.Stats,
            shapes.Problem,
        ]
    )


def paths() -> dict[str, Document]:
    """Return the paths of the native API."""
    model = path_parameter("model", MODEL)
    prediction = path_parameter("prediction_id", {"type": "string", "format": "uuid"})
    return {
        "/v1/models/{model}:predict": {"parameters": [model, timeout_header()], "post": _predict()},
        "/v1/models/{model}:batchPredict": {"parameters": [model, timeout_header()], "post": _batch_predict()},
        "/v1/predictions/{prediction_id}:feedback": {
            "parameters": [prediction, timeout_header()],
            "post": _feedback(),
        },
        "/v1/models": {"parameters": [timeout_header()], "get": _list_models()},
        "/v1/models/{model}": {"parameters": [model, timeout_header()], "get": _get_model()},
        "/v1/stats": {"parameters": [timeout_header()], "get": _get_stats()},
    }


def _list_models() -> Document:
    return operation(
        _TAG, "listModels", "List the models that are served", answers=json_of(shapes.Models), problems=_READING
    )


def _get_model() -> Document:
    return operation(_TAG, "getModel", "Describe one model", answers=json_of(shapes.Model), problems=("404", *_READING))


def _get_stats() -> Document:
    return operation(
        _TAG,
        "getStats",
        "Tell the latency of this gateway's predictions in the last minute",
        answers=json_of(shapes.Stats),
        problems=_READING,
    )


def _predict() -> Document:
    form = {"type": "object", "required": ["image"], "properties": {"image": {"type": "string", "format": "binary"}}}
    content: Document = {
        media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in RAW_MEDIA_TYPES
    }
    content[JSON] = {"schema": named("ImageRequest")}
    content[FORM] = {"schema": form}
    return operation(
        _TAG,
        "predict",
        "Predict one image",
        answers=json_of(shapes.Prediction),
        problems=PROBLEMS,
        description="The body is the image itself, a form with one file, or JSON with base64.",
        body={"required": True, "content": content},
    )


def _batch_predict() -> Document:
    files = {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}}
    form = {"type": "object", "required": ["images"], "properties": {"images": files}}
    return operation(
        _TAG,
        "batchPredict",
        "Predict several images, all or none",
        answers=json_of(shapes.Predictions),
        problems=PROBLEMS,
        description="One image that cannot be read refuses the batch; the violation names it, as images[3].",
        body={"required": True, "content": {**json_of(shapes.ImagesRequest), FORM: {"schema": form}}},
    )


def _feedback() -> Document:
    return operation(
        _TAG,
        "sendFeedback",
        "Tell the right label of a prediction",
        answers=json_of(shapes.FeedbackResponse),
        problems=("413", "415", *_READING),
        description="May come late, before the prediction has been recorded, or again: the latest counts.",
        body={"required": True, "content": json_of(shapes.FeedbackRequest)},
    )
