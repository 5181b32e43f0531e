"""The server that is judged, and its answers in one form for REST and gRPC."""

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import grpc

_TIMEOUT_SECONDS = 10
_CODES = {
    HTTPStatus.OK: "OK",
    HTTPStatus.BAD_REQUEST: "INVALID_ARGUMENT",
    HTTPStatus.NOT_FOUND: "NOT_FOUND",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "RESOURCE_EXHAUSTED",
    HTTPStatus.NOT_IMPLEMENTED: "UNIMPLEMENTED",
    HTTPStatus.SERVICE_UNAVAILABLE: "UNAVAILABLE",
    HTTPStatus.GATEWAY_TIMEOUT: "DEADLINE_EXCEEDED",
}


@dataclass(frozen=True, slots=True)
class Output:
    """One output tensor, its values flat."""

    datatype: str
    shape: list[int]
    data: list[Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server said; `answer` is the whole of it in JSON's types."""

    code: str
    message: str = ""
    id: str = ""
    outputs: Mapping[str, Output] = field(default_factory=dict)
    answer: Any = None


@dataclass(frozen=True, slots=True)
class HttpReply:
    """An answer over REST."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The gRPC code that the status means."""
        return _CODES.get(HTTPStatus(self.status), f"HTTP {self.status}")

    def failure(self) -> Reply:
        """Return the reply of a refused request."""
        try:
            content = json.loads(self.body)
        except ValueError:
            content = None
        message = content.get("error", "") if isinstance(content, dict) else ""
        return Reply(self.code, message=message)


class Target:
    """A server: `http` and `grpc` are its addresses, as host:port."""

    def __init__(self, http: str, grpc_address: str) -> None:
        self.http = http
        self.channel = grpc.insecure_channel(grpc_address)

    def send(
        self, path: str, body: bytes | None = None, *, method: str = "POST", headers: Mapping[str, str] | None = None
    ) -> HttpReply:
        """Send one REST request."""
        with closing(http.client.HTTPConnection(self.http, timeout=_TIMEOUT_SECONDS)) as connection:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return HttpReply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def call(self, method: str, message: bytes) -> bytes:
        """Call a method of inference.GRPCInferenceService with bytes."""
        rpc: Any = self.channel.unary_unary(f"/inference.GRPCInferenceService/{method}")
        answer: bytes = rpc(message, timeout=_TIMEOUT_SECONDS)
        return answer

    def close(self) -> None:
        """Close the gRPC channel."""
        self.channel.close()


def refusal(error: grpc.RpcError) -> Reply:
    """Return the reply of a refused call."""
    return Reply(error.code().name, message=error.details() or "")
