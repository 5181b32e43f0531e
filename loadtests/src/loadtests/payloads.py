"""The two jobs as bytes in every protocol, and what their answers mean."""

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fairlead.gateway.v1 import gateway_pb2
from tritonclient.grpc import service_pb2 as oip

MODEL = "digits"
_PROBABILITIES = 10
LENGTH_HEADER = "inference-header-content-length"
_JSON_TYPE = ("content-type", "application/json")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a contender said."""

    label: int
    probabilities: tuple[float, ...]

    def agrees(self, other: "Answer", tolerance: float = 1e-5) -> bool:
        """Whether both say the same, rounding aside."""
        pairs = zip(self.probabilities, other.probabilities, strict=True)
        return self.label == other.label and all(abs(one - two) <= tolerance for one, two in pairs)


Read = Callable[[bytes, int | None], Answer]
"""Understands the body of an answer and the length of its JSON part, if it has one."""


def grpc_tensor(row: Sequence[float]) -> bytes:
    """Return a ModelInferRequest with one raw row."""
    request = oip.ModelInferRequest(model_name=MODEL)
    request.inputs.add(name="pixels", datatype="FP32", shape=[1, len(row)])
    request.raw_input_contents.append(_packed(row))
    return bytes(request.SerializeToString())


def json_tensor(row: Sequence[float]) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of an infer request in plain JSON."""
    tensor = {"name": "pixels", "datatype": "FP32", "shape": [1, len(row)], "data": list(row)}
    return json.dumps({"inputs": [tensor]}).encode(), dict([_JSON_TYPE])


def binary_tensor(row: Sequence[float]) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of an infer request with binary tensors both ways."""
    raw = _packed(row)
    tensor = {"name": "pixels", "datatype": "FP32", "shape": [1, len(row)]}
    described = {**tensor, "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [described], "parameters": {"binary_data_output": True}}).encode()
    return head + raw, {"content-type": "application/octet-stream", LENGTH_HEADER: str(len(head))}


def grpc_picture(picture: bytes) -> bytes:
    """Return a ModelInferRequest with a picture as one BYTES element."""
    request = oip.ModelInferRequest(model_name=MODEL)
    request.inputs.add(name="picture", datatype="BYTES", shape=[1])
    request.raw_input_contents.append(struct.pack("<I", len(picture)) + picture)
    return bytes(request.SerializeToString())


def native_picture(picture: bytes) -> bytes:
    """Return the gateway's own gRPC request."""
    return gateway_pb2.PredictRequest(model=MODEL, image=picture).SerializeToString()


def plain_tensor(row: Sequence[float]) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of the plain FastAPI app's request."""
    return json.dumps({"pixels": list(row)}).encode(), dict([_JSON_TYPE])


def grpc_answer(body: bytes, _json_length: int | None) -> Answer:
    """Read a ModelInferResponse with raw outputs."""
    response = oip.ModelInferResponse.FromString(body)
    by_name = dict(zip((each.name for each in response.outputs), response.raw_output_contents, strict=True))
    return _raw_answer(by_name["label"], by_name["probabilities"])


def oip_answer(body: bytes, json_length: int | None) -> Answer:
    """Read an infer response over HTTP, in JSON or with binary outputs."""
    outputs = json.loads(body[:json_length])["outputs"]
    if json_length is None:
        data: dict[str, Any] = {output["name"]: output["data"] for output in outputs}
        return Answer(int(data["label"][0]), tuple(map(float, data["probabilities"])))
    raw, at = {}, json_length
    for output in outputs:
        size = output["parameters"]["binary_data_size"]
        raw[output["name"]] = body[at : at + size]
        at += size
    return _raw_answer(raw["label"], raw["probabilities"])


def native_answer(body: bytes, _json_length: int | None) -> Answer:
    """Read the gateway's own answer."""
    answer = json.loads(body)
    ranked = {entry["label"]: entry["probability"] for entry in answer["probabilities"]}
    return Answer(int(answer["label"]), tuple(ranked[str(digit)] for digit in range(_PROBABILITIES)))


def native_grpc_answer(body: bytes, _json_length: int | None) -> Answer:
    """Read the gateway's own answer over gRPC."""
    prediction = gateway_pb2.PredictResponse.FromString(body).prediction
    ranked = {entry.label: entry.probability for entry in prediction.probabilities}
    return Answer(int(prediction.label), tuple(ranked[str(digit)] for digit in range(_PROBABILITIES)))


def plain_answer(body: bytes, _json_length: int | None) -> Answer:
    """Read the plain FastAPI app's answer."""
    answer = json.loads(body)
    return Answer(int(answer["label"]), tuple(answer["probabilities"]))


def _packed(row: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(row)}f", *row)


def _raw_answer(label: bytes, probabilities: bytes) -> Answer:
    return Answer(int.from_bytes(label, "little"), struct.unpack(f"<{_PROBABILITIES}f", probabilities))
