"""The tensors of a classifier: what the inference server is asked, and what its answer means.

Contract (models/<model>/model.yaml): one input, outputs `label` (index into the declared labels) and
`probabilities` (one per label).
"""

import math
from array import array
from dataclasses import dataclass
from functools import lru_cache

import structlog
from fairlead.preprocessing.v1.preprocessing_pb2 import TransformResponse
from service_runtime.errors import ServiceError
from tritonclient.grpc.service_pb2 import ModelInferRequest, ModelInferResponse

from gateway.catalog import ServedModel

log = structlog.get_logger()

LABEL = "label"
PROBABILITIES = "probabilities"


@dataclass(frozen=True, slots=True)
class Answer:
    """Per image the index of its class and all probabilities."""

    classes: list[int]
    probabilities: list[list[float]]


def encode_request(model: ServedModel, tensor: TransformResponse) -> bytes:
    """Return a serialized ModelInferRequest around the tensor's bytes, which are not looked at."""
    head = _head(model.name, model.inputs[0].name, tensor.datatype, tuple(tensor.shape))
    # Concatenation merges protobuf messages: only the tensor is encoded anew for each request.
    body: bytes = ModelInferRequest(raw_input_contents=(tensor.tensor,)).SerializeToString()
    return head + body


@lru_cache(maxsize=256)
def _head(model: str, name: str, datatype: str, shape: tuple[int, ...]) -> bytes:
    request = ModelInferRequest(model_name=model)
    request.inputs.add(name=name, datatype=datatype, shape=shape)
    for output in (LABEL, PROBABILITIES):
        request.outputs.add(name=output)
    return bytes(request.SerializeToString())


def read_answer(response: ModelInferResponse, model: ServedModel, *, count: int) -> Answer:
    """Return what the model said about `count` images, or raise for an answer outside its contract."""
    contents = {
        output.name: content for output, content in zip(response.outputs, response.raw_output_contents, strict=False)
    }
    try:
        classes = array("q", contents[LABEL]).tolist()
        flat = array("f", contents[PROBABILITIES]).tolist()
    except (KeyError, ValueError) as error:
        raise _broken(model, "outputs 'label' INT64 and 'probabilities' FP32 are missing or malformed") from error
    width = len(model.labels)
    if len(classes) != count or len(flat) != count * width:
        raise _broken(model, "the outputs have another size than the labels and images ask for")
    if not math.isfinite(sum(flat)) or min(classes) < 0 or max(classes) >= width:
        raise _broken(model, "a probability is not a number, or a label is out of range")
    rows = [flat] if count == 1 else [flat[at : at + width] for at in range(0, len(flat), width)]
    return Answer(classes, rows)


def floats(tensor: bytes, *, rows: int) -> list[list[float]]:
    """Return an FP32 tensor as one flat list per row."""
    flat = array("f", tensor).tolist()
    if rows == 1:
        return [flat]
    width = len(flat) // rows
    return [flat[at : at + width] for at in range(0, len(flat), width)]


def _broken(model: ServedModel, reason: str) -> ServiceError:
    log.error("model.contract_broken", model=model.name, digest=model.digest, reason=reason)
    return ServiceError(f"Model '{model.name}' answered outside its declared contract: {reason}.")
