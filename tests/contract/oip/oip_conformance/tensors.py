"""Tensors as the protocol encodes them, written from its text and not from our gateway's code."""

import math
import struct
from collections.abc import Sequence
from typing import Any

_FORMATS = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
CONTENTS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def flatten(data: Any) -> list[Any]:
    """Return nested lists as one."""
    return [element for item in data for element in flatten(item)] if isinstance(data, list) else [data]


def pack(datatype: str, values: Sequence[Any]) -> bytes:
    """Return the binary form of flat values."""
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in values)
    return struct.pack(f"<{len(values)}{_FORMATS[datatype]}", *values)


def unpack(datatype: str, raw: bytes) -> list[Any]:
    """Return the flat values of a binary form."""
    if datatype == "BYTES":
        values = []
        while raw:
            end = 4 + struct.unpack_from("<I", raw)[0]
            values.append(raw[4:end].decode())
            raw = raw[end:]
        return values
    form = _FORMATS[datatype]
    return list(struct.unpack(f"<{len(raw) // struct.calcsize('<' + form)}{form}", raw))


def same(left: Sequence[Any], right: Sequence[Any]) -> bool:
    """Return whether values are equal, NaN being equal to itself."""
    return len(left) == len(right) and all(
        one == other or (isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other))
        for one, other in zip(left, right, strict=True)
    )
