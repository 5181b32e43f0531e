"""The protocol's parameters: the reserved ones have a type, the others pass."""

from collections.abc import Mapping

from service_runtime.deadlines import Deadline
from tritonclient.grpc import service_pb2 as oip

from gateway.refusals import refuse, shown

Parameters = Mapping[str, oip.InferParameter]
ParameterValue = bool | int | float | str

_NUMBERS = ("int64_param", "uint64_param")
_KINDS = {
    "sequence_id": (*_NUMBERS, "string_param"),
    "sequence_start": ("bool_param",),
    "sequence_end": ("bool_param",),
    "priority": _NUMBERS,
    "timeout": _NUMBERS,
    "binary_data_output": ("bool_param",),
    "triton_enable_empty_final_response": ("bool_param",),
    "classification": _NUMBERS,
    "binary_data": ("bool_param",),
    "binary_data_size": _NUMBERS,
}
_WORDS = {"bool_param": "a boolean", "int64_param": "a whole number from 0", "string_param": "a string"}
_MICROSECONDS = 1_000_000
_INT64 = 2**63
_UINT64 = 2**64


def check_request_parameters(parameters: Parameters) -> None:
    """Raise InvalidInput over a reserved parameter that is of the wrong type or not the caller's to set."""
    for name in parameters:
        if name == "headers":
            raise refuse("parameters.headers", "this name is the server's own; send headers as headers")
        if name.startswith("triton_") and name not in _KINDS:
            raise refuse("parameters", f"{shown(name)} is not known, and names that begin with triton_ are reserved")
    _check_kinds("parameters", parameters)


def check_input_parameters(field: str, parameters: Parameters) -> None:
    """Raise InvalidInput over a parameter of an input."""
    _check_no_shared_memory(field, parameters)
    _check_kinds(field, parameters)


def check_output_parameters(field: str, parameters: Parameters) -> None:
    """Raise InvalidInput over a parameter of a requested output."""
    _check_no_shared_memory(field, parameters)
    _check_kinds(field, parameters)


def shorten(deadline: Deadline, parameters: Parameters) -> Deadline:
    """Return the deadline that the `timeout` parameter, in microseconds, leaves."""
    if "timeout" not in parameters:
        return deadline
    timeout = parameters["timeout"]
    microseconds = timeout.int64_param or timeout.uint64_param
    if microseconds <= 0:
        return deadline
    return min(deadline, Deadline.after(microseconds / _MICROSECONDS), key=lambda each: each.expires_at)


def to_value(parameter: oip.InferParameter) -> ParameterValue | None:
    """Return what a parameter holds; None when it holds nothing."""
    kind = parameter.WhichOneof("parameter_choice")
    value: ParameterValue | None = getattr(parameter, kind) if kind else None
    return value


def from_value(field: str, value: object) -> oip.InferParameter:
    """Return the parameter that holds a JSON value."""
    if isinstance(value, bool):
        return oip.InferParameter(bool_param=value)
    if isinstance(value, int) and -_INT64 <= value < _UINT64:
        return oip.InferParameter(int64_param=value) if value < _INT64 else oip.InferParameter(uint64_param=value)
    if isinstance(value, float):
        return oip.InferParameter(double_param=value)
    if isinstance(value, str):
        return oip.InferParameter(string_param=value)
    raise refuse(field, "a parameter is a boolean, a number or a string")


def _check_kinds(field: str, parameters: Parameters) -> None:
    for name, parameter in parameters.items():
        kind = parameter.WhichOneof("parameter_choice")
        if kind is None:
            raise refuse(field, f"{shown(name)} has no value")
        wanted = _KINDS.get(name)
        if wanted is None:
            continue
        negative = kind == "int64_param" and parameter.int64_param < 0
        if kind not in wanted or negative:
            words = " or ".join(_WORDS[each] for each in wanted if each in _WORDS)
            raise refuse(f"{field}.{name}", f"it must be {words}")


def _check_no_shared_memory(field: str, parameters: Parameters) -> None:
    for name in parameters:
        if name.startswith("shared_memory_"):
            raise refuse(f"{field}.{name}", "shared memory is not offered; send the tensor itself")
