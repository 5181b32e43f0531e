"""The description of the Open Inference Protocol, version 2."""

from gateway.openapi import oip_schemas as shapes
from gateway.openapi.operations import (
    MODEL,
    OCTETS,
    PROBLEMS,
    Document,
    json_of,
    operation,
    path_parameter,
    schemas,
    timeout_header,
)

_TAG = "Open Inference Protocol"
_READING = ("400", "404", "500", "503", "504")
_HEADER_LENGTH = "Inference-Header-Content-Length"


def tag() -> Document:
    """Return the group of these operations."""
    return {
        "name": _TAG,
        "description": "Tensors in, tensors out, for every model. gRPC has the same as inference.GRPCInferenceService.",
    }


def components() -> Document:
    """Return the schemas that the paths refer to."""
    return schemas(
        [
            shapes.InferRequest,
            shapes.InferResponse,
            shapes.ServerMetadata,
            shapes.ModelMetadata,
            shapes.Live,
            shapes.Ready,
            shapes.Details,
            shapes.IndexRequest,
            shapes.Index,
        ]
    )


def paths() -> dict[str, Document]:
    """Return the paths of the protocol."""
    return {
        "/v2": _get("serverMetadata", "Name, version and extensions", shapes.ServerMetadata),
        "/v2/health/live": _get("serverLive", "Tell whether the server runs", shapes.Live),
        "/v2/health/ready": _get("serverReady", "Tell whether the server takes requests", shapes.Ready),
        "/v2/models/stats": _get("allStatistics", "Statistics of all models", shapes.Details),
        "/v2/repository/index": {"parameters": [timeout_header()], "post": _index()},
        **_of_models("/v2/models/{model}", "model", [path_parameter("model", MODEL)]),
        **_of_models(
            "/v2/models/{model}/versions/{version}",
            "version",
            [
                path_parameter("model", MODEL),
                path_parameter("version", {"type": "string", "pattern": "^[1-9][0-9]{0,17}$"}),
            ],
        ),
    }


def _of_models(path: str, what: str, parameters: list[Document]) -> dict[str, Document]:
    return {
        path: _get(f"{what}Metadata", "Inputs and outputs", shapes.ModelMetadata, parameters),
        f"{path}/ready": _get(f"{what}Ready", "Tell whether it takes requests", shapes.Ready, parameters),
        f"{path}/config": _get(
            f"{what}Config", "Configuration as the inference server has it", shapes.Details, parameters
        ),
        f"{path}/stats": _get(f"{what}Statistics", "Counts and times since the start", shapes.Details, parameters),
        f"{path}/infer": {"parameters": [*parameters, timeout_header()], "post": _infer(f"{what}Infer")},
    }


def _get(
    operation_id: str, summary: str, shape: type[shapes.Shape], parameters: list[Document] | None = None
) -> Document:
    answers = json_of(shape)
    return {
        "parameters": [*(parameters or []), timeout_header()],
        "get": operation(_TAG, operation_id, summary, answers=answers, problems=_READING),
    }


def _index() -> Document:
    body: Document = {"required": False, "content": json_of(shapes.IndexRequest)}
    return operation(
        _TAG,
        "repositoryIndex",
        "List the models of the repository",
        answers=json_of(shapes.Index),
        problems=PROBLEMS,
        body=body,
    )


def _infer(operation_id: str) -> Document:
    binary: Document = {"schema": {"type": "string", "format": "binary"}}
    described = operation(
        _TAG,
        operation_id,
        "Infer from tensors",
        answers={**json_of(shapes.InferResponse), OCTETS: binary},
        problems=PROBLEMS,
        description=(
            f"JSON, or JSON with binary tensors after it: {_HEADER_LENGTH} is the length of the JSON part. "
            "0 means one raw tensor alone."
        ),
        body={"required": True, "content": {**json_of(shapes.InferRequest), OCTETS: binary}},
    )
    length = {"type": "integer", "minimum": 0}
    described["parameters"] = [
        {
            "name": _HEADER_LENGTH,
            "in": "header",
            "required": False,
            "description": "Length of the JSON part in bytes when binary tensors follow it.",
            "schema": length,
        }
    ]
    return described
