"""What Triton must never see: every request, of every encoding, is checked here against the model's own contract."""

from collections.abc import Iterable, Sequence
from math import prod

from tritonclient.grpc import service_pb2 as oip

from gateway.catalog import ServedModel, TensorSpec
from gateway.oip import byte_strings
from gateway.oip.datatypes import DATATYPES
from gateway.oip.parameters import check_input_parameters, check_output_parameters, check_request_parameters
from gateway.oip.wire import Tensor
from gateway.refusals import NotOffered, refuse, shown

# Triton 2.51 ends its process over shapes whose element count overflows; nothing that a request can carry is larger.
_MAX_ELEMENTS = 2**31 - 1
_BOOL_VALUES = b"\x00\x01"


def check_header(model: ServedModel, request: oip.ModelInferRequest) -> None:
    """Raise unless parameters, inputs and requested outputs fit the model; the inputs' data is not looked at."""
    if model.decoupled:
        raise NotOffered(f"Model {shown(model.name)} answers a request any number of times; that is not offered.")
    if request.parameters:
        check_request_parameters(request.parameters)
    _check_inputs(model, request.inputs)
    if request.outputs:
        _check_outputs(model, request)


def check_tensors(request: oip.ModelInferRequest, tensors: Sequence[Tensor]) -> None:
    """Raise InvalidInput unless each raw tensor has the bytes that its input, in a checked header, promises."""
    if len(tensors) != len(request.inputs):
        raise refuse(
            "raw_input_contents",
            f"there are {len(tensors)} tensors for {len(request.inputs)} inputs; send one for each, in their order",
        )
    for index, (tensor, raw) in enumerate(zip(request.inputs, tensors, strict=True)):
        _check_bytes(f"inputs[{index}]", tensor, raw)


def _check_inputs(model: ServedModel, inputs: Sequence[oip.ModelInferRequest.InferInputTensor]) -> None:
    specs = model.inputs_by_name
    seen = set()
    for index, tensor in enumerate(inputs):
        name = tensor.name
        spec = specs.get(name)
        if spec is None:
            raise refuse(f"inputs[{index}].name", f"the model has no input {shown(name)}; it has {_names(specs)}")
        if name in seen:
            raise refuse(f"inputs[{index}].name", f"input {shown(name)} is here twice")
        seen.add(name)
        _check_input(index, tensor, spec)
    if len(seen) < len(specs):
        missing = [name for name, spec in specs.items() if name not in seen and not spec.optional]
        if missing or not seen:
            raise refuse("inputs", f"missing {_names(missing or specs)}")
    if model.max_batch_size > 0:
        _check_batch(model, inputs)


def _check_input(index: int, tensor: oip.ModelInferRequest.InferInputTensor, spec: TensorSpec) -> None:
    if tensor.datatype != spec.datatype:
        raise refuse(
            f"inputs[{index}].datatype",
            f"the model's input {shown(spec.name)} is {spec.datatype}, not {shown(tensor.datatype)}",
        )
    shape = tuple(tensor.shape)
    if len(shape) != len(spec.shape):
        raise refuse(f"inputs[{index}].shape", f"{_shape(shape)} is of rank {len(shape)}; {_wanted(spec)}")
    elements = 1
    for size, wanted in zip(shape, spec.shape, strict=True):
        if size < 0 or (size != wanted and wanted >= 0):
            raise refuse(f"inputs[{index}].shape", f"{_shape(shape)} does not fit; {_wanted(spec)}")
        elements *= size or 1
    if elements > _MAX_ELEMENTS:
        raise refuse(f"inputs[{index}].shape", f"{_shape(shape)} holds more elements than any request can carry")
    if tensor.parameters:
        check_input_parameters(f"inputs[{index}].parameters", tensor.parameters)


def _check_batch(model: ServedModel, inputs: Sequence[oip.ModelInferRequest.InferInputTensor]) -> None:
    batch = inputs[0].shape[0]
    if not 0 < batch <= model.max_batch_size:
        raise refuse(
            "inputs[0].shape", f"a batch of {batch} is not possible: the model takes 1 to {model.max_batch_size}"
        )
    for index, tensor in enumerate(inputs):
        if tensor.shape[0] != batch:
            raise refuse(
                f"inputs[{index}].shape", f"a batch of {tensor.shape[0]} beside one of {batch}; all inputs share it"
            )


def _check_bytes(field: str, tensor: oip.ModelInferRequest.InferInputTensor, raw: Tensor) -> None:
    datatype = tensor.datatype
    elements = prod(tensor.shape)
    size = DATATYPES[datatype].size
    if not size:
        try:
            framed = byte_strings.count(raw)
        except ValueError as error:
            raise refuse(
                field, f"the bytes are not BYTES elements, each after its length in four bytes: {error}"
            ) from error
        if framed != elements:
            raise refuse(field, f"it holds {framed} elements, and its shape {_shape(tensor.shape)} wants {elements}")
        return
    if len(raw) != elements * size:
        raise refuse(
            field,
            f"it holds {len(raw)} bytes; {datatype} of shape {_shape(tensor.shape)} takes {elements * size}",
        )
    if datatype == "BOOL" and bytes(raw).translate(None, _BOOL_VALUES):
        raise refuse(field, "a BOOL is one byte, 0 or 1")


def _check_outputs(model: ServedModel, request: oip.ModelInferRequest) -> None:
    names = {spec.name: None for spec in model.outputs}
    seen = set()
    for index, output in enumerate(request.outputs):
        name = output.name
        if name not in names:
            raise refuse(f"outputs[{index}].name", f"the model has no output {shown(name)}; it has {_names(names)}")
        if name in seen:
            raise refuse(f"outputs[{index}].name", f"output {shown(name)} is asked for twice")
        seen.add(name)
        if output.parameters:
            check_output_parameters(f"outputs[{index}].parameters", output.parameters)


def _wanted(spec: TensorSpec) -> str:
    return f"input {shown(spec.name)} is of shape {list(spec.shape)}, where -1 is any size"


def _shape(shape: Sequence[int]) -> str:
    return shown(list(shape))


def _names(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
