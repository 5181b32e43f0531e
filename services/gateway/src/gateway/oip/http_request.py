"""The bodies of REST inference: JSON, JSON with binary tensors after it, or one raw tensor alone."""

from dataclasses import dataclass
from math import prod
from typing import TypeVar

import orjson
from service_runtime.errors import InvalidInput, PayloadTooLarge
from tritonclient.grpc import service_pb2 as oip

from gateway.catalog import ServedModel
from gateway.oip import byte_strings, json_tensors
from gateway.oip.datatypes import DATATYPES
from gateway.oip.parameters import from_value
from gateway.oip.validation import check_header
from gateway.oip.wire import Tensor
from gateway.refusals import refuse

HEADER_LENGTH = "inference-header-content-length"
_INT64 = range(-(2**63), 2**63)
_LONGEST_HEADER_LENGTH = 20
# A megabyte of empty items would take a second to look at; no model has a hundredth of this.
_MOST_ITEMS = 10_000

JsonObject = dict[str, object]
Items = TypeVar("Items", list[object], JsonObject)


@dataclass(frozen=True, slots=True)
class InferBody:
    """A request with a checked header, its raw tensors, and which outputs its caller wants as bytes."""

    request: oip.ModelInferRequest
    tensors: list[Tensor]
    binary_outputs: dict[str, bool]
    binary_by_default: bool

    def wants_binary(self, output: str) -> bool:
        """Return whether the output goes out as bytes."""
        return self.binary_outputs.get(output, self.binary_by_default)


def parse(model: ServedModel, version: str, body: bytes, *, header_length: str | None, json_limit: int) -> InferBody:
    """Return the request in a body; `version` is the one that the path names, if any."""
    if header_length is None:
        return _parse_json(model, version, body, binary=b"", json_limit=json_limit)
    if len(header_length) > _LONGEST_HEADER_LENGTH or not header_length.isdecimal() or int(header_length) > len(body):
        raise refuse(HEADER_LENGTH, f"it must be the length of the JSON part, here 0 to {len(body)}")
    length = int(header_length)
    if length == 0:
        return _parse_raw(model, version, body)
    return _parse_json(model, version, body[:length], binary=memoryview(body)[length:], json_limit=json_limit)


def _parse_json(model: ServedModel, version: str, text: bytes, *, binary: Tensor, json_limit: int) -> InferBody:
    if len(text) > json_limit:
        raise PayloadTooLarge(f"JSON is limited to {json_limit} bytes here; send large tensors as binary data.")
    content = _object("body", _load(text))
    request = oip.ModelInferRequest(model_name=model.name, model_version=version, id=_text(content, "id", "id"))
    _add_parameters("parameters", content, request)
    inputs = _objects("inputs", content)
    for index, item in enumerate(inputs):
        field = f"inputs[{index}]"
        tensor = request.inputs.add(
            name=_text(item, "name", field), datatype=_text(item, "datatype", field), shape=_shape(field, item)
        )
        _add_parameters(f"{field}.parameters", item, tensor)
    for index, item in enumerate(_objects("outputs", content)):
        output = request.outputs.add(name=_text(item, "name", f"outputs[{index}]"))
        _add_parameters(f"outputs[{index}].parameters", item, output)
    check_header(model, request)
    tensors = _tensors(request, inputs, binary)
    return InferBody(
        request,
        tensors,
        {
            output.name: wanted
            for output in request.outputs
            if (wanted := _take_flag(output, "binary_data")) is not None
        },
        bool(_take_flag(request, "binary_data_output")),
    )


def _parse_raw(model: ServedModel, version: str, body: bytes) -> InferBody:
    if len(model.inputs) != 1:
        raise refuse(HEADER_LENGTH, f"a raw tensor alone needs a model with one input; this has {len(model.inputs)}")
    spec = model.inputs[0]
    if spec.datatype == "BYTES":
        body = byte_strings.pack([body])
        shape = [1 if size < 0 else size for size in spec.shape]
    else:
        shape = _shape_of_raw(model, len(body) // DATATYPES[spec.datatype].size)
    request = oip.ModelInferRequest(model_name=model.name, model_version=version)
    request.inputs.add(name=spec.name, datatype=spec.datatype, shape=shape)
    check_header(model, request)
    return InferBody(request, [body], {}, binary_by_default=True)


def _shape_of_raw(model: ServedModel, elements: int) -> list[int]:
    """Return the shape that `elements` fill: the one variable dimension takes what the others leave."""
    shape = list(model.inputs[0].shape)
    variable = [at for at, size in enumerate(shape) if size < 0]
    if len(variable) > 1 and model.max_batch_size > 0:
        shape[variable.pop(0)] = 1
    if len(variable) > 1:
        raise refuse(HEADER_LENGTH, f"a raw tensor alone fits no shape with several variable dimensions: {shape}")
    if variable:
        fixed = prod(size for size in shape if size >= 0)
        shape[variable[0]] = elements // fixed if fixed else 0
    return shape


def _tensors(request: oip.ModelInferRequest, inputs: list[JsonObject], binary: Tensor) -> list[Tensor]:
    tensors: list[Tensor] = []
    at = 0
    for index, (tensor, item) in enumerate(zip(request.inputs, inputs, strict=True)):
        field = f"inputs[{index}]"
        if "binary_data_size" not in tensor.parameters:
            if "data" not in item:
                raise refuse(field, "it needs data, or the parameter binary_data_size and its bytes after the JSON")
            data = json_tensors.encode(f"{field}.data", tensor.datatype, tensor.shape, data=item["data"])
            tensors.append(data)
            continue
        if "data" in item:
            raise refuse(field, "it has both data and binary_data_size; one of them carries the tensor")
        size = tensor.parameters.pop("binary_data_size").int64_param
        tensors.append(binary[at : at + size])
        at += size
    if at != len(binary):
        raise refuse("inputs", f"binary_data_size adds up to {at}, and {len(binary)} bytes follow the JSON")
    return tensors


def _load(text: bytes) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        hint = "; NaN and Infinity are not JSON, use the binary tensor data extension for them"
        special = b"NaN" in text or b"Infinity" in text
        raise InvalidInput(f"The body is not JSON: {error.msg}, at {error.pos}{hint if special else ''}.") from error


def _add_parameters(
    field: str,
    item: JsonObject,
    owner: oip.ModelInferRequest
    | oip.ModelInferRequest.InferInputTensor
    | oip.ModelInferRequest.InferRequestedOutputTensor,
) -> None:
    if "parameters" in item:
        for name, value in _few(field, _object(field, item["parameters"])).items():
            owner.parameters[name].CopyFrom(from_value(f"{field}.{name}", value))


def _take_flag(
    owner: oip.ModelInferRequest | oip.ModelInferRequest.InferRequestedOutputTensor, name: str
) -> bool | None:
    """Remove a parameter that speaks of the encoding: Triton need not see it."""
    return bool(owner.parameters.pop(name).bool_param) if name in owner.parameters else None


def _object(field: str, value: object) -> JsonObject:
    if not isinstance(value, dict):
        raise refuse(field, "it must be an object")
    return value


def _objects(field: str, content: JsonObject) -> list[JsonObject]:
    value = content.get(field, [])
    if not isinstance(value, list):
        raise refuse(field, "it must be an array")
    return [_object(f"{field}[{index}]", item) for index, item in enumerate(_few(field, value))]


def _few(field: str, items: Items) -> Items:
    if len(items) > _MOST_ITEMS:
        raise refuse(field, f"{len(items)} are too many, the most is {_MOST_ITEMS}")
    return items


def _text(item: JsonObject, name: str, field: str) -> str:
    value = item.get(name, "")
    if not isinstance(value, str):
        raise refuse(f"{field}.{name}" if field != name else name, "it must be a string")
    return value


def _shape(field: str, item: JsonObject) -> list[int]:
    value = item.get("shape")
    if not isinstance(value, list) or any(type(size) is not int or size not in _INT64 for size in value):
        raise refuse(f"{field}.shape", "it must be an array of whole numbers")
    return value
