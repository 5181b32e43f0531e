"""Locust's users: callers of REST and of gRPC who know the right answers."""

import itertools
import json
import time
from collections.abc import Callable
from typing import Any

import grpc
from fairlead.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from locust import User, constant_throughput
from locust.contrib.fasthttp import FastHttpUser
from tritonclient.grpc import service_pb2, service_pb2_grpc

from loadtests import payloads
from loadtests.callers import Callers
from loadtests.profiles import Profile
from loadtests.traffic import DIGITS, picture, row

_INFER = f"/v2/models/{payloads.MODEL}/infer"
_PREDICT = f"/v1/models/{payloads.MODEL}:predict"
_FEEDBACK = "rest.feedback"
_TENSOR_LABEL = 7
_TIMEOUT_SECONDS = 10
_OK = 200
_OVERLOADED = frozenset({429, 503})
_REFUSALS = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED})
_CERTAINTY_SLACK = 1e-3


class Refused(Exception):
    """The server said that it has too much to do."""


class Broken(Exception):
    """The request failed, or its answer is wrong."""


class RestUser(FastHttpUser):  # type: ignore[misc]
    """Asks over HTTP on a connection of its own."""

    abstract = True
    gives_feedback = False
    network_timeout = connection_timeout = _TIMEOUT_SECONDS
    callers: Callers

    def __init__(self, environment: Any) -> None:
        access = self.callers.next()
        self.default_headers = access.headers()
        self.ssl_context_factory = access.context if access.ca else None
        self.insecure = access.ca is None
        super().__init__(environment)
        self._digits = itertools.cycle(DIGITS)

    def predict(self) -> None:
        """Send a picture."""
        digit = next(self._digits)
        body = self._ask(
            "rest.predict",
            _PREDICT,
            (picture(digit), {"content-type": "image/png"}),
            payloads.native_answer,
            int(digit),
        )
        if self.gives_feedback and body:
            path = f"/v1/predictions/{json.loads(body)['prediction_id']}:feedback"
            self.client.post(path, json={"label": digit, "source": "loadtests"}, name=_FEEDBACK)

    def infer_json(self) -> None:
        """Send a row in JSON."""
        self._ask("rest.infer_json", _INFER, payloads.json_tensor(row()), payloads.oip_answer, _TENSOR_LABEL)

    def infer_binary(self) -> None:
        """Send a row in binary."""
        self._ask("rest.infer_binary", _INFER, payloads.binary_tensor(row()), payloads.oip_answer, _TENSOR_LABEL)

    def _ask(
        self, kind: str, path: str, payload: tuple[bytes, dict[str, str]], read: payloads.Read, label: int
    ) -> bytes:
        """Ask and judge the answer; return it, right or wrong, or nothing where there was none."""
        body, headers = payload
        with self.client.post(path, data=body, headers=headers, name=kind, catch_response=True) as response:
            try:
                _check_status(response.status_code)
                length = response.headers.get(payloads.LENGTH_HEADER)
                _check(read, response.content, int(length) if length else None, label)
            except (Refused, Broken) as problem:
                response.failure(problem)
            return response.content if response.status_code == _OK else b""

    KINDS = {"rest.predict": predict, "rest.infer_json": infer_json, "rest.infer_binary": infer_binary}  # noqa: RUF012


class GrpcUser(User):  # type: ignore[misc]
    """Asks over gRPC on a channel of its own."""

    abstract = True
    callers: Callers

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._access = self.callers.next()
        # Channels with equal options share one connection, unless told to be strangers.
        self._channel = self._access.channel(self.host, {"grpc.use_local_subchannel_pool": 1})
        self._native = gateway_pb2_grpc.PredictionServiceStub(self._channel)
        self._oip = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._digits = itertools.cycle(DIGITS)

    def on_stop(self) -> None:
        """Close the connection."""
        self._channel.close()

    def predict(self) -> None:
        """Send a picture."""
        digit = next(self._digits)
        request = gateway_pb2.PredictRequest(model=payloads.MODEL, image=picture(digit))
        self._ask("grpc.predict", self._native.Predict, request, payloads.native_grpc_answer, int(digit))

    def infer(self) -> None:
        """Send a raw row."""
        request = service_pb2.ModelInferRequest.FromString(payloads.grpc_tensor(row()))
        self._ask("grpc.infer", self._oip.ModelInfer, request, payloads.grpc_answer, _TENSOR_LABEL)

    def _ask(self, kind: str, call: Callable[..., Any], request: Any, read: payloads.Read, label: int) -> None:
        began = time.perf_counter()
        problem: Exception | None = None
        try:
            answer = call(request, timeout=_TIMEOUT_SECONDS, metadata=self._access.metadata())
            took = time.perf_counter() - began
            _check(read, answer.SerializeToString(), None, label)
        except grpc.RpcError as error:
            took = time.perf_counter() - began
            problem = (Refused if error.code() in _REFUSALS else Broken)(error.code().name)
        except Broken as wrong:
            problem = wrong
        self.environment.events.request.fire(
            request_type="grpc", name=kind, response_time=took * 1000, response_length=0, exception=problem, context={}
        )

    KINDS = {"grpc.predict": predict, "grpc.infer": infer}  # noqa: RUF012


def user_classes(
    profile: Profile, callers: Callers | None = None, *, http_url: str, grpc_address: str
) -> list[type[User]]:
    """Return the classes that a profile needs, weighted by its mix; without callers, anybody asks."""
    callers = callers or Callers()
    pace = constant_throughput(profile.requests_per_user_second)
    classes: list[type[User]] = []
    for protocol, base, host in (("rest", RestUser, http_url), ("grpc", GrpcUser, grpc_address)):
        tasks = {
            base.KINDS[kind]: weight for kind, weight in profile.mix.items() if kind.startswith(protocol) and weight
        }
        if tasks:
            fields = {
                "tasks": tasks,
                "weight": sum(tasks.values()),
                "host": host,
                "wait_time": pace,
                "callers": callers,
                "gives_feedback": profile.feedback,
            }
            classes.append(type(base.__name__, (base,), fields))
    return classes


def _check(read: payloads.Read, body: bytes, json_length: int | None, label: int) -> None:
    """Raise Broken unless the answer names the label and its probabilities add up."""
    try:
        answer = read(body, json_length)
    except (LookupError, TypeError, ValueError) as error:
        raise Broken(f"unreadable answer: {type(error).__name__}") from error
    if answer.label != label:
        raise Broken(f"said {answer.label} instead of {label}")
    if abs(sum(answer.probabilities) - 1) > _CERTAINTY_SLACK:
        raise Broken("the probabilities do not add up to one")


def _check_status(status: int) -> None:
    if status in _OVERLOADED:
        raise Refused(f"status {status}")
    if status != _OK:
        raise Broken(f"status {status}" if status else "no answer")
