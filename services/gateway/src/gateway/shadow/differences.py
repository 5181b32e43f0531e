"""How the answers of two models to one request differ, tensor by tensor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from fairlead.events.v1.events_pb2 import TensorCompared
from tritonclient.grpc.service_pb2 import ModelInferResponse

from gateway.catalog import ServedModel
from gateway.native.tensors import LABEL
from gateway.oip.wire import RAW_OUTPUT_CONTENTS, Tensor, split

# Of the protocol's datatypes those that numpy knows; elements of the others (BYTES, BF16) are compared as bytes.
_TYPES = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}


@dataclass(frozen=True, slots=True)
class Output:
    """One output tensor of an answer."""

    datatype: str
    shape: tuple[int, ...]
    content: Tensor


@dataclass(frozen=True, slots=True)
class Answer:
    """Who answered, and the output tensors by name."""

    name: str
    version: str
    outputs: Mapping[str, Output]

    @classmethod
    def read(cls, serialized: bytes) -> "Answer":
        """Read a serialized ModelInferResponse; ValueError if it is none, or its tensors are not raw."""
        header, tensors = split(serialized, RAW_OUTPUT_CONTENTS)
        response = ModelInferResponse.FromString(header)
        outputs = {
            output.name: Output(output.datatype, tuple(output.shape), content)
            for output, content in zip(response.outputs, tensors, strict=True)
        }
        return cls(response.model_name, response.model_version, outputs)


def compare(stable: Answer, shadow: Answer, *, tolerance: float) -> list[TensorCompared]:
    """Compare every tensor that either answer holds; floats may differ by `tolerance`, absolute or relative."""
    names = {**stable.outputs, **shadow.outputs}
    return [_compared(name, stable.outputs.get(name), shadow.outputs.get(name), tolerance) for name in names]


def labels_differ(stable: Answer, shadow: Answer, models: tuple[ServedModel, ServedModel]) -> bool:
    """Return whether any row of two classifiers' answers means another label."""
    if not all(model.labels for model in models):
        return False
    mine, other = (
        _labels(answer.outputs.get(LABEL), model.labels) for answer, model in zip((stable, shadow), models, strict=True)
    )
    return mine != other


def _compared(name: str, stable: Output | None, shadow: Output | None, tolerance: float) -> TensorCompared:
    if stable is None or shadow is None or (stable.datatype, stable.shape) != (shadow.datatype, shadow.shape):
        return TensorCompared(name=name, differs=True)
    kind = _TYPES.get(stable.datatype)
    if kind is None:
        return TensorCompared(name=name, differs=stable.content != shadow.content)
    mine, other = (np.frombuffer(each.content, kind) for each in (stable, shadow))
    if mine.shape != other.shape:
        return TensorCompared(name=name, differs=True)
    if mine.dtype.kind != "f":
        differs = bool(np.any(mine != other))
        return TensorCompared(name=name, differs=differs, largest_difference=_largest(mine, other) if differs else 0)
    return _floats(name, mine.astype(np.float64), other.astype(np.float64), tolerance)


def _floats(name: str, mine: "np.ndarray", other: "np.ndarray", tolerance: float) -> TensorCompared:
    alike = (mine == other) | (np.isnan(mine) & np.isnan(other))  # infinities too
    if not np.all(np.isfinite(mine[~alike])) or not np.all(np.isfinite(other[~alike])):
        return TensorCompared(name=name, differs=True)
    mine, other = mine[~alike], other[~alike]
    difference = np.abs(mine - other)
    scale = np.maximum(1.0, np.maximum(np.abs(mine), np.abs(other)))
    differs = bool(np.any(difference > tolerance * scale))
    return TensorCompared(name=name, differs=differs, largest_difference=float(np.max(difference, initial=0.0)))


def _largest(mine: "np.ndarray", other: "np.ndarray") -> float:
    return float(np.max(np.abs(mine.astype(np.float64) - other.astype(np.float64))))


def _labels(output: Output | None, labels: Sequence[str]) -> list[str] | None:
    if output is None or output.datatype != "INT64":
        return None
    indices = np.frombuffer(output.content, "<i8").tolist()
    return [labels[index] if 0 <= index < len(labels) else "" for index in indices]
