"""One inference request in four encodings."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import grpc
from tritonclient.grpc import service_pb2 as oip

from oip_conformance.target import HttpReply, Output, Reply, Target, refusal
from oip_conformance.tensors import CONTENTS, flatten, pack, unpack

Vector = Mapping[str, Any]
HEADER_LENGTH = "Inference-Header-Content-Length"


def send(transport: str, target: Target, vector: Vector) -> Reply:
    """Send the vector's request over a transport."""
    return _SENDERS[transport](target, vector)


def _send_json(target: Target, vector: Vector) -> Reply:
    content = {key: value for key, value in vector["request"].items() if key != "inputs"}
    content["inputs"] = [
        {k: v for k, v in tensor.items() if k not in ("packed_as", "hex")} for tensor in _inputs(vector)
    ]
    return _http_reply(target.send(_path(vector), json.dumps(content).encode()))


def _send_binary(target: Target, vector: Vector) -> Reply:
    content = {**vector["request"], "inputs": []}
    content["parameters"] = {**content.get("parameters", {}), "binary_data_output": True}
    tensors = []
    for tensor in _inputs(vector):
        raw = _raw(tensor)
        header: dict[str, Any] = {key: tensor[key] for key in ("name", "datatype", "shape") if key in tensor}
        header["parameters"] = {**tensor.get("parameters", {}), "binary_data_size": len(raw)}
        content["inputs"].append(header)
        tensors.append(raw)
    text = json.dumps(content).encode()
    reply = target.send(_path(vector), text + b"".join(tensors), headers={HEADER_LENGTH: str(len(text))})
    return _http_reply(reply)


def _send_raw(target: Target, vector: Vector) -> Reply:
    request = _message(vector)
    request.raw_input_contents.extend(_raw(tensor) for tensor in _inputs(vector))
    return _grpc_reply(target, request)


def _send_typed(target: Target, vector: Vector) -> Reply:
    request = _message(vector)
    for tensor, sent in zip(_inputs(vector), request.inputs, strict=True):
        datatype = str(tensor.get("packed_as", tensor.get("datatype")))
        values = flatten(tensor.get("data", []))
        if datatype == "BYTES":
            values = [text.encode() for text in values]
        getattr(sent.contents, CONTENTS[datatype]).extend(values)
    return _grpc_reply(target, request)


_SENDERS: Mapping[str, Callable[[Target, Vector], Reply]] = {
    "rest_json": _send_json,
    "rest_binary": _send_binary,
    "grpc_raw": _send_raw,
    "grpc_typed": _send_typed,
}
TRANSPORTS = tuple(_SENDERS)


def _inputs(vector: Vector) -> list[dict[str, Any]]:
    inputs: list[dict[str, Any]] = vector["request"].get("inputs", [])
    return inputs


def _raw(tensor: Mapping[str, Any]) -> bytes:
    if "hex" in tensor:
        return bytes.fromhex(tensor["hex"])
    return pack(tensor.get("packed_as", tensor.get("datatype")), flatten(tensor.get("data", [])))


def _path(vector: Vector) -> str:
    version = f"/versions/{vector['version']}" if "version" in vector else ""
    return f"/v2/models/{vector['model']}{version}/infer"


def _message(vector: Vector) -> oip.ModelInferRequest:
    asked = vector["request"]
    request = oip.ModelInferRequest(
        model_name=vector["model"], model_version=vector.get("version", ""), id=asked.get("id", "")
    )
    _set_parameters(request.parameters, asked)
    for tensor in _inputs(vector):
        added = request.inputs.add(name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"])
        _set_parameters(added.parameters, tensor)
    for output in asked.get("outputs", []):
        _set_parameters(request.outputs.add(name=output["name"]).parameters, output)
    return request


def _set_parameters(parameters: Any, owner: Mapping[str, Any]) -> None:
    kinds = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}
    for name, value in owner.get("parameters", {}).items():
        setattr(parameters[name], kinds[type(value)], value)


def _http_reply(reply: HttpReply) -> Reply:
    if reply.code != "OK":
        return reply.failure()
    length = int(reply.headers.get(HEADER_LENGTH.lower(), len(reply.body)))
    content = json.loads(reply.body[:length])
    outputs = {}
    at = length
    for tensor in content["outputs"]:
        size = tensor.get("parameters", {}).get("binary_data_size")
        if size is None:
            values = tensor["data"]
        else:
            values = unpack(tensor["datatype"], reply.body[at : at + size])
            at += size
        outputs[tensor["name"]] = Output(tensor["datatype"], tensor["shape"], values)
    return Reply("OK", id=content.get("id", ""), outputs=outputs, answer=content)


def _grpc_reply(target: Target, request: oip.ModelInferRequest) -> Reply:
    try:
        answer = oip.ModelInferResponse.FromString(target.call("ModelInfer", request.SerializeToString()))
    except grpc.RpcError as error:
        return refusal(error)
    raw = answer.raw_output_contents
    outputs = {
        tensor.name: Output(
            tensor.datatype,
            list(tensor.shape),
            unpack(tensor.datatype, raw[index]) if raw else _typed_values(tensor),
        )
        for index, tensor in enumerate(answer.outputs)
    }
    return Reply("OK", id=answer.id, outputs=outputs, answer=answer)


def _typed_values(tensor: oip.ModelInferResponse.InferOutputTensor) -> list[Any]:
    values = list(getattr(tensor.contents, CONTENTS[tensor.datatype]))
    return [value.decode() for value in values] if tensor.datatype == "BYTES" else values
