"""Golden vectors: answers that the served model must give before anyone else may ask it."""

import math
import struct
from collections.abc import Sequence
from pathlib import Path

import grpc
import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from service_runtime.process import StartError
from tritonclient.grpc import service_pb2 as pb

from inference.model_package import Package
from inference.triton_client import TritonClient

log = structlog.get_logger()

# How struct writes one value of each datatype.
_FORMATS = {
    "FP32": "f",
    "FP64": "d",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "BOOL": "?",
}


class GoldenTensor(BaseModel):
    """One tensor as JSON; `tolerance` is how far a value of an output may be off."""

    model_config = ConfigDict(frozen=True)

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: tuple[float | int, ...] = Field(min_length=1)
    tolerance: float = Field(default=0, ge=0)


class GoldenVectors(BaseModel):
    """Inputs and the outputs that they must give."""

    model_config = ConfigDict(frozen=True)

    inputs: tuple[GoldenTensor, ...] = Field(min_length=1)
    outputs: tuple[GoldenTensor, ...] = Field(min_length=1)


async def check_golden(client: TritonClient, package: Package, version: Path) -> None:
    """Ask Triton for the golden vectors; raise StartError when an answer is not the one on record."""
    golden = _read(version / package.contract.files.golden)
    request = pb.ModelInferRequest(model_name=package.model, model_version=str(package.release.version))
    for tensor in golden.inputs:
        request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        request.raw_input_contents.append(_pack(tensor))
    try:
        response = await client.infer(request)
    except grpc.aio.AioRpcError as error:
        raise StartError(f"Triton cannot answer the golden vectors of {package.model}: {error.details()}") from error
    answers = {
        output.name: (tuple(output.shape), content)
        for output, content in zip(response.outputs, response.raw_output_contents, strict=True)
    }
    for tensor in golden.outputs:
        _compare(f"output '{tensor.name}' of {package.model}", tensor, *answers.get(tensor.name, ((), b"")))
    log.info("golden.passed", model=package.model, version=package.release.version, digest=package.release.digest)


def _read(path: Path) -> GoldenVectors:
    try:
        return GoldenVectors.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise StartError(f"The package holds no usable golden vectors in {path.name}: {error}") from error


def _pack(tensor: GoldenTensor) -> bytes:
    return struct.pack(f"<{len(tensor.data)}{_FORMATS[tensor.datatype]}", *tensor.data)


def _compare(what: str, expected: GoldenTensor, shape: tuple[int, ...], content: bytes) -> None:
    code = _FORMATS[expected.datatype]
    size = struct.calcsize(f"<{len(expected.data)}{code}")
    if shape != expected.shape or len(content) != size:
        raise StartError(
            f"Golden check failed: {what} has shape {list(shape)} in {len(content)} bytes; "
            f"{list(expected.shape)} in {size} bytes is on record."
        )
    actual: Sequence[float] = struct.unpack(f"<{len(expected.data)}{code}", content)
    distances = [
        math.inf if math.isnan(value) else abs(value - wanted)
        for value, wanted in zip(actual, expected.data, strict=True)
    ]
    worst = max(range(len(distances)), key=distances.__getitem__)
    if distances[worst] > expected.tolerance:
        raise StartError(
            f"Golden check failed: {what} is {actual[worst]:.6g} at {worst} where {expected.data[worst]:.6g} is on "
            f"record (tolerance {expected.tolerance:g}). This Triton does not compute what was released; not serving."
        )
