"""Tensors as JSON numbers, booleans and strings, to raw bytes and back; exact, or refused."""

from array import array
from collections.abc import Sequence
from itertools import chain, pairwise
from math import isfinite, prod
from typing import Any

from service_runtime.errors import InvalidInput

from gateway.oip import byte_strings
from gateway.oip.datatypes import DATATYPES, FLOATS
from gateway.oip.wire import Tensor
from gateway.refusals import refuse

_USE_BINARY = "use the binary tensor data extension"


def encode(field: str, datatype: str, shape: Sequence[int], *, data: object) -> bytes:
    """Return the raw tensor of a JSON `data` member, flat or nested as the shape says."""
    values = _flatten(field, shape, data)
    if len(values) != prod(shape):
        raise refuse(field, f"it holds {len(values)} elements, and its shape {list(shape)} wants {prod(shape)}")
    if datatype == "BYTES":
        return _encode_strings(field, values)
    if datatype == "BOOL":
        _check_types(field, datatype, values, {bool}, "true or false")
        return bytes(values)
    if not DATATYPES[datatype].typecode:
        raise refuse(field, f"{datatype} has no JSON form; {_USE_BINARY}")
    return _encode_numbers(field, datatype, values)


def decode(name: str, datatype: str, raw: Tensor) -> list[bool] | list[int] | list[float] | list[str]:
    """Return a raw tensor as flat JSON values; InvalidInput when JSON cannot carry them."""
    if datatype == "BYTES":
        try:
            return [element.decode() for element in byte_strings.unpack(raw)]
        except UnicodeDecodeError as error:
            raise _not_in_json(name, "bytes that are not UTF-8") from error
    if datatype == "BOOL":
        return [bool(byte) for byte in raw]
    typecode = DATATYPES[datatype].typecode
    if not typecode:
        raise _not_in_json(name, datatype)
    values: list[int] | list[float] = array(typecode, bytes(raw)).tolist()
    if datatype in FLOATS and not _all_finite(values):
        raise _not_in_json(name, "NaN or Infinity")
    return values


def _flatten(field: str, shape: Sequence[int], data: object) -> list[Any]:
    if not isinstance(data, list):
        raise refuse(field, "it must be an array")
    if not data or type(data[0]) is not list:
        return data
    rows = 1
    for size, inner in pairwise(shape):
        rows *= size
        if len(data) != rows or set(map(type, data)) != {list} or set(map(len, data)) != {inner}:
            raise refuse(field, f"its nesting does not follow the shape {list(shape)}; nest it so, or send it flat")
        data = list(chain.from_iterable(data))
        if not data:
            break
    return data


def _encode_numbers(field: str, datatype: str, values: list[Any]) -> bytes:
    floats = datatype in FLOATS
    if floats:
        _check_types(field, datatype, values, {int, float}, "a number")
    else:
        _check_types(field, datatype, values, {int}, "a whole number within its range")
    try:
        numbers: array[float] = array(DATATYPES[datatype].typecode, values)
    except OverflowError as error:
        raise refuse(field, f"a value is out of the range of {datatype}") from error
    if floats and not _all_finite(numbers):
        raise refuse(field, f"a value is out of the range of {datatype}; to send Infinity, {_USE_BINARY}")
    return numbers.tobytes()


def _encode_strings(field: str, values: list[Any]) -> bytes:
    _check_types(field, "BYTES", values, {str}, "a string")
    return byte_strings.pack(value.encode() for value in values)


def _check_types(field: str, datatype: str, values: list[Any], allowed: set[type], words: str) -> None:
    for found in set(map(type, values)) - allowed:
        kind = {
            dict: "an object",
            list: "an array",
            str: "a string",
            bool: "a boolean",
            int: "a number",
            float: "a fraction",
        }.get(found)
        raise refuse(field, f"an element of {datatype} must be {words}, not {kind or 'null'}")


def _all_finite(values: Sequence[float]) -> bool:
    # A sum of doubles may overflow; only then is each one looked at.
    return isfinite(sum(values)) or all(map(isfinite, values))


def _not_in_json(name: str, what: str) -> InvalidInput:
    return refuse(f"outputs.{name}", f"it holds {what}, which JSON cannot carry; {_USE_BINARY} to ask for it")
