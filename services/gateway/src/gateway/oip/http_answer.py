"""Triton's answer as a REST body: JSON, with the outputs that were asked for as bytes after it."""

from dataclasses import dataclass

import orjson
from tritonclient.grpc import service_pb2 as oip

from gateway.oip import json_tensors
from gateway.oip.http_request import InferBody
from gateway.oip.parameters import to_value
from gateway.oip.wire import RAW_OUTPUT_CONTENTS, Tensor, split


@dataclass(frozen=True, slots=True)
class InferAnswer:
    """A body; `header_length` is the length of the JSON in it when binary tensors follow."""

    body: bytes
    header_length: int | None


def render(asked: InferBody, answer: bytes) -> InferAnswer:
    """Return the answer as its caller wants it."""
    header, tensors = split(answer, RAW_OUTPUT_CONTENTS)
    response = oip.ModelInferResponse.FromString(header)
    content: dict[str, object] = {"model_name": response.model_name, "model_version": response.model_version}
    if response.id:
        content["id"] = response.id
    if response.parameters:
        content["parameters"] = {name: to_value(value) for name, value in response.parameters.items()}
    outputs = []
    binary: list[Tensor] = []
    for output, raw in zip(response.outputs, tensors, strict=True):
        shown: dict[str, object] = {"name": output.name, "datatype": output.datatype, "shape": list(output.shape)}
        if asked.wants_binary(output.name):
            shown["parameters"] = {"binary_data_size": len(raw)}
            binary.append(raw)
        else:
            shown["data"] = json_tensors.decode(output.name, output.datatype, raw)
        outputs.append(shown)
    content["outputs"] = outputs
    text = orjson.dumps(content)
    if not binary:
        return InferAnswer(text, None)
    return InferAnswer(b"".join((text, *binary)), len(text))
