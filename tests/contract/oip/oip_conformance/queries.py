"""What is asked of servers and models, over REST and gRPC; and REST bodies as they are."""

import json
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message
from tritonclient.grpc import service_pb2 as oip

from oip_conformance.target import Reply, Target, refusal
from oip_conformance.transports import HEADER_LENGTH, Vector


def ask_rest(target: Target, vector: Vector) -> Reply:
    """Send the vector's REST request."""
    asked = vector["rest"]
    reply = target.send(asked["path"], asked.get("body", "").encode() or None, method=asked.get("method", "GET"))
    if reply.code != "OK":
        return reply.failure()
    answer = json.loads(reply.body) if reply.body else {}
    return Reply("OK", answer={"models": answer} if isinstance(answer, list) else answer)


def ask_grpc(target: Target, vector: Vector) -> Reply:
    """Make the vector's gRPC call."""
    asked = vector["grpc"]
    method = oip.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name[asked["method"]]
    if "hex" in asked:
        message = bytes.fromhex(asked["hex"])
    else:
        request = _message_type(method.input_type.name)()
        message = json_format.ParseDict(asked.get("request", {}), request).SerializeToString()
    try:
        answer = _message_type(method.output_type.name).FromString(target.call(asked["method"], message))
    except grpc.RpcError as error:
        return refusal(error)
    content: dict[str, Any] = json_format.MessageToDict(answer, preserving_proto_field_name=True)
    return Reply("OK", answer=_numbers(content.get("config", content)))


def send_body(target: Target, vector: Vector) -> Reply:
    """Send a REST body as it stands: text, hex, or parts that repeat."""
    parts = vector["body"] if isinstance(vector["body"], list) else [vector["body"]]
    body = [_part(part) for part in parts]
    headers = {name: _part(value).decode() for name, value in vector.get("headers", {}).items()}
    if vector.get("json_first"):
        headers[HEADER_LENGTH] = str(len(body[0]))
    reply = target.send(vector["path"], b"".join(body), method=vector.get("method", "POST"), headers=headers)
    return Reply("OK") if reply.code == "OK" else reply.failure()


def _part(part: str | dict[str, Any]) -> bytes:
    if isinstance(part, str):
        return part.encode()
    piece = bytes.fromhex(part["hex"]) if "hex" in part else part["text"].encode()
    return piece * part.get("times", 1)


def _message_type(name: str) -> type[Message]:
    message_type: type[Message] = getattr(oip, name)
    return message_type


def _numbers(value: Any) -> Any:
    """Undo protobuf's habit of writing 64-bit numbers as strings, except where names are digits."""
    if isinstance(value, dict):
        return {
            key: [int(size) for size in each] if key in ("shape", "dims") else _numbers(each)
            for key, each in value.items()
        }
    return [_numbers(each) for each in value] if isinstance(value, list) else value
