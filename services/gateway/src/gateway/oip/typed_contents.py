"""Typed tensor contents of the protocol's gRPC form, to raw bytes and back."""

from array import array
from collections.abc import Sequence
from typing import Any

from tritonclient.grpc import service_pb2 as oip

from gateway.oip import byte_strings
from gateway.oip.datatypes import DATATYPES
from gateway.oip.wire import RAW_OUTPUT_CONTENTS, Tensor, join, split
from gateway.refusals import refuse, shown

# Of the packed fields whose bytes on the wire are the raw tensor: number << 3 | length-delimited.
_FIXED_KEYS = {"FP32": 6 << 3 | 2, "FP64": 7 << 3 | 2}


def is_typed(request: oip.ModelInferRequest) -> bool:
    """Return whether any input holds typed contents."""
    return any(tensor.HasField("contents") and tensor.contents.ListFields() for tensor in request.inputs)


def take_raw(request: oip.ModelInferRequest) -> list[Tensor]:
    """Move the typed contents of all inputs out of the request; return them as raw tensors."""
    tensors: list[Tensor] = []
    for index, tensor in enumerate(request.inputs):
        tensors.append(_to_raw(f"inputs[{index}].contents", tensor.datatype, tensor.contents))
        tensor.ClearField("contents")
    return tensors


def answer_typed(answer: bytes) -> bytes:
    """Return Triton's raw answer in typed form; as it is, if an output's datatype has no typed form."""
    header, tensors = split(answer, RAW_OUTPUT_CONTENTS)
    response = oip.ModelInferResponse.FromString(header)
    if any(not DATATYPES[output.datatype].contents for output in response.outputs):
        return answer
    for output, raw in zip(response.outputs, tensors, strict=True):
        _fill(output.contents, output.datatype, raw)
    typed: bytes = response.SerializeToString()
    return typed


def _to_raw(field: str, datatype: str, contents: oip.InferTensorContents) -> bytes:
    wanted = DATATYPES[datatype].contents
    if not wanted:
        raise refuse(field, f"{datatype} has no typed form; send it in raw_input_contents")
    for other, _ in contents.ListFields():
        if other.name != wanted:
            raise refuse(field, f"{datatype} belongs in {wanted}, not in {other.name}")
    if datatype in _FIXED_KEYS:
        return b"".join(split(contents.SerializeToString(), _FIXED_KEYS[datatype])[1])
    return _encode(field, datatype, getattr(contents, wanted)[:])


def _encode(field: str, datatype: str, values: Any) -> bytes:
    if datatype == "BYTES":
        return byte_strings.pack(values)
    if datatype == "BOOL":
        return bytes(values)
    try:
        return array(DATATYPES[datatype].typecode, values).tobytes()
    except OverflowError as error:
        raise refuse(field, f"a value is out of the range of {shown(datatype)}") from error


def _fill(contents: oip.InferTensorContents, datatype: str, raw: Tensor) -> None:
    if datatype in _FIXED_KEYS:
        contents.MergeFromString(join(b"", _FIXED_KEYS[datatype], (raw,)))
    else:
        getattr(contents, DATATYPES[datatype].contents).extend(_values(datatype, raw))


def _values(datatype: str, raw: Tensor) -> Sequence[bool] | Sequence[int] | Sequence[bytes]:
    if datatype == "BYTES":
        return byte_strings.unpack(raw)
    if datatype == "BOOL":
        return [bool(byte) for byte in raw]
    return array(DATATYPES[datatype].typecode, bytes(raw))
