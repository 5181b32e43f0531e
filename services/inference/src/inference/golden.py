"""Golden vectors: answers that the served model must give before anyone else may ask it."""

import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import grpc
import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from service_runtime.process import StartError
from tritonclient.grpc import service_pb2 as pb

from inference.model_package import Package, Tensor
from inference.triton_client import TritonClient

log = structlog.get_logger()

_FORMATS = {"FP32": "f", "FP64": "d", "INT64": "q", "INT32": "i", "INT16": "h", "INT8": "b", "UINT8": "B"}

Values = Sequence[float]


class GoldenVectors(BaseModel):
    """Rows for every input, the values expected of every output, flattened, and how far they may be off."""

    model_config = ConfigDict(frozen=True)

    inputs: Mapping[str, Values] = Field(min_length=1)
    outputs: Mapping[str, Values] = Field(min_length=1)
    tolerance: float = Field(gt=0)


async def check_golden(client: TritonClient, package: Package, version: Path) -> None:
    """Ask Triton for the golden vectors; raise StartError when an answer is not the one on record."""
    golden = _read(version / package.contract.files.golden)
    request = _request(package, golden)
    try:
        response = await client.infer(request)
    except grpc.aio.AioRpcError as error:
        raise StartError(f"Triton cannot answer the golden vectors of {package.model}: {error.details()}") from error
    tensors = {tensor.name: tensor for tensor in package.contract.outputs}
    answers = {
        output.name: _unpack(tensors[output.name], content)
        for output, content in zip(response.outputs, response.raw_output_contents, strict=True)
    }
    for name, expected in golden.outputs.items():
        _compare(f"output '{name}' of {package.model}", expected, answers.get(name, ()), golden.tolerance)
    log.info("golden.passed", model=package.model, version=package.release.version, digest=package.release.digest)


def _read(path: Path) -> GoldenVectors:
    try:
        return GoldenVectors.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise StartError(f"The package has no usable golden vectors in {path.name}: {error}") from error


def _request(package: Package, golden: GoldenVectors) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name=package.model, model_version=str(package.release.version))
    for tensor in package.contract.inputs:
        values = golden.inputs[tensor.name]
        width = math.prod(tensor.shape[1:])
        request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=[len(values) // width, *tensor.shape[1:]])
        request.raw_input_contents.append(struct.pack(f"<{len(values)}{_FORMATS[tensor.datatype]}", *values))
    return request


def _unpack(tensor: Tensor, content: bytes) -> Values:
    code = _FORMATS[tensor.datatype]
    return struct.unpack(f"<{len(content) // struct.calcsize(code)}{code}", content)


def _compare(what: str, expected: Values, actual: Values, tolerance: float) -> None:
    if len(actual) != len(expected):
        raise StartError(f"Golden check failed: {what} has {len(actual)} values, {len(expected)} are on record.")
    worst = max(range(len(expected)), key=lambda index: _distance(actual[index], expected[index]))
    if not _distance(actual[worst], expected[worst]) <= tolerance:
        raise StartError(
            f"Golden check failed: {what} gave {actual[worst]:.6g} at {worst}, {expected[worst]:.6g} is on record "
            f"(tolerance {tolerance:g}). This Triton does not compute what the model was released with; not serving."
        )


def _distance(actual: float, expected: float) -> float:
    return math.inf if math.isnan(actual) else abs(actual - expected)
