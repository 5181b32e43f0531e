"""Who competes in which job."""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

import grpc

from loadtests.bench.generator import Call
from loadtests.bench.servers import FAIRLEAD, Servers
from loadtests.payloads import (
    LENGTH_HEADER,
    MODEL,
    Answer,
    Read,
    binary_tensor,
    grpc_answer,
    grpc_picture,
    grpc_tensor,
    json_tensor,
    native_answer,
    native_grpc_answer,
    native_picture,
    oip_answer,
    plain_answer,
    plain_tensor,
)
from loadtests.traffic import picture, row

Job = Literal["tensor", "picture"]

_OIP_RPC = "/inference.GRPCInferenceService/ModelInfer"
_NATIVE_RPC = "/fairlead.gateway.v1.PredictionService/Predict"
_INFER = f"/v2/models/{MODEL}/infer"
_PREDICT = f"/v1/models/{MODEL}:predict"
_TIMEOUT_SECONDS = 10
_OK = 200
_FRAME_BYTES = 5


class WrongAnswer(Exception):
    """A contender does not do the job, so timing it would say nothing."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to have a job done."""

    name: str
    job: Job
    servers: tuple[str, ...]
    """Groups of processes that take part; what they use is this contender's cost."""
    call: Call
    read: Read
    has_fixed_size: bool = False
    """Whether every answer has the same bytes: then their number is counted, as h2load sees no gRPC errors."""

    def ask(self) -> tuple[Answer, int]:
        """Ask once, without the generator; return the answer and its size on the wire."""
        body, length = _over_grpc(self.call) if self.call.http2 else _over_http(self.call)
        return self.read(body, length), len(body) + (_FRAME_BYTES if self.call.http2 else 0)


def contenders(servers: Servers) -> list[Contender]:
    """Return all contenders; the first of each job gives the answer that the others must agree with."""
    return [*_tensor_jobs(servers), *_picture_jobs(servers)]


def _tensor_jobs(servers: Servers) -> list[Contender]:
    stack, ours = servers.stack, (*FAIRLEAD, "triton")
    as_grpc, as_json, as_binary = grpc_tensor(row()), json_tensor(row()), binary_tensor(row())
    default, tuned, plain = ("kserve-predictor",), ("kserve-predictor-tuned",), ("fastapi", "triton")
    at_default, at_tuned, at_app = (servers.ports[group[0]] for group in (default, tuned, plain))
    gateway, predictor = stack.http_url + _INFER, _url(at_tuned) + _INFER
    return [
        _oip("Triton direct, gRPC raw", "tensor", ("triton",), stack.triton_grpc_address, as_grpc),
        _oip("Fairlead, OIP gRPC raw", "tensor", ours, stack.grpc_address, as_grpc),
        _http("Fairlead, OIP REST binary", "tensor", ours, gateway, as_binary, oip_answer),
        _http("Fairlead, OIP REST JSON", "tensor", ours, gateway, as_json, oip_answer),
        _oip("KServe predictor as it starts, gRPC raw", "tensor", default, _address(at_default), as_grpc),
        _oip("KServe predictor tuned, gRPC raw", "tensor", tuned, _address(at_tuned), as_grpc),
        _http("KServe predictor tuned, REST binary", "tensor", tuned, predictor, as_binary, oip_answer),
        _http("KServe predictor tuned, REST JSON", "tensor", tuned, predictor, as_json, oip_answer),
        _http("FastAPI + Triton, JSON", "tensor", plain, f"{_url(at_app)}/infer", plain_tensor(row()), plain_answer),
    ]


def _picture_jobs(servers: Servers) -> list[Contender]:
    stack, ours, plain = servers.stack, (*FAIRLEAD, "triton"), ("fastapi", "triton")
    image = (picture(), {"content-type": "image/png"})
    app = _url(servers.ports["fastapi"])
    return [
        _http("Fairlead, native REST", "picture", ours, stack.http_url + _PREDICT, image, native_answer),
        _native_grpc("Fairlead, native gRPC", ours, stack.grpc_address),
        *_transformer_jobs(servers, "kserve-transformer", "as it starts"),
        *_transformer_jobs(servers, "kserve-transformer-tuned", "tuned"),
        _http("FastAPI + Triton, REST", "picture", plain, f"{app}/predict", image, plain_answer),
    ]


def _transformer_jobs(servers: Servers, group: str, how: str) -> list[Contender]:
    ports, both, image = servers.ports[group], (group, "triton"), (picture(), {"content-type": "image/png"})
    name = f"KServe transformer + Triton {how}"
    return [
        _http(f"{name}, REST", "picture", both, _url(ports) + _PREDICT, image, oip_answer),
        _oip(f"{name}, gRPC", "picture", both, _address(ports), grpc_picture(picture())),
    ]


def verify(all_of_them: list[Contender]) -> dict[str, int]:
    """Ask each once; return the sizes of their answers, or raise WrongAnswer."""
    expected: dict[Job, Answer] = {}
    sizes: dict[str, int] = {}
    for contender in all_of_them:
        answer, sizes[contender.name] = contender.ask()
        if not answer.agrees(expected.setdefault(contender.job, answer)):
            raise WrongAnswer(f"{contender.name} says {answer}, the first says {expected[contender.job]}")
    return sizes


def _oip(name: str, job: Job, servers: tuple[str, ...], address: str, message: bytes) -> Contender:
    return Contender(name, job, servers, _grpc_call(address, _OIP_RPC, message), grpc_answer, has_fixed_size=True)


def _native_grpc(name: str, servers: tuple[str, ...], address: str) -> Contender:
    call = _grpc_call(address, _NATIVE_RPC, native_picture(picture()))
    return Contender(name, "picture", servers, call, native_grpc_answer, has_fixed_size=True)


def _grpc_call(address: str, rpc: str, message: bytes) -> Call:
    headers = (("content-type", "application/grpc"), ("te", "trailers"))
    framed = bytes(1) + len(message).to_bytes(_FRAME_BYTES - 1) + message
    return Call(f"http://{address}{rpc}", framed, headers, http2=True)


def _http(  # noqa: PLR0917 - a table reads best without keywords
    name: str,
    job: Job,
    servers: tuple[str, ...],
    url: str,
    payload: tuple[bytes, Mapping[str, str]],
    read: Read,
) -> Contender:
    body, headers = payload
    return Contender(name, job, servers, Call(url, body, tuple(headers.items()), http2=False), read)


def _url(ports: Mapping[str, int]) -> str:
    return f"http://127.0.0.1:{ports['http']}"


def _address(ports: Mapping[str, int]) -> str:
    return f"127.0.0.1:{ports['grpc']}"


def _over_grpc(call: Call) -> tuple[bytes, None]:
    parts = urlsplit(call.url)
    with grpc.insecure_channel(parts.netloc) as channel:
        ask: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(parts.path)
        return ask(call.body[_FRAME_BYTES:], timeout=_TIMEOUT_SECONDS), None


def _over_http(call: Call) -> tuple[bytes, int | None]:
    parts = urlsplit(call.url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("POST", parts.path, call.body, dict(call.headers))
        response = connection.getresponse()
        body, length = response.read(), response.headers.get(LENGTH_HEADER)
    finally:
        connection.close()
    if response.status != _OK:
        raise WrongAnswer(f"{call.url} answered {response.status}: {body[:500]!r}")
    return body, int(length) if length else None
