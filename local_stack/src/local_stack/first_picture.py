"""One picture through the whole chain, over REST and over gRPC, and its answer for a person."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
from fairlead.gateway.v1 import gateway_pb2, gateway_pb2_grpc

from local_stack.access import OPEN, Access

PICTURE = Path(__file__).parent / "seven.png"
_MODEL = "digits"
_TIMEOUT_SECONDS = 20
_POLL_SECONDS = 0.05
_SIDE = 8
_FULL = 16
_SHADES = " ░▒▓█"


class NoAnswer(Exception):
    """The chain is up and yet did not answer; the message is the gateway's own."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person wants to know of a prediction."""

    prediction_id: str
    label: str
    confidence: float
    version: str
    digest: str
    total_ms: float
    preprocessing_ms: float
    inference_ms: float
    trace_id: str
    features: Sequence[float]


def ask_rest(url: str, access: Access = OPEN) -> Answer:
    """POST the picture to the native API."""
    headers = {"content-type": "image/png", **access.headers()}
    request = urllib.request.Request(  # noqa: S310 - our own address
        f"{url}/v1/models/{_MODEL}:predict", data=PICTURE.read_bytes(), headers=headers
    )
    try:
        with urllib.request.urlopen(  # noqa: S310
            request, timeout=_TIMEOUT_SECONDS, context=access.context()
        ) as response:
            body = json.load(response)
    except urllib.error.HTTPError as error:
        raise NoAnswer(f"REST answered {error.code}: {error.read().decode(errors='replace')}") from error
    timings = body["timings_ms"]
    return Answer(
        prediction_id=body["prediction_id"],
        label=body["label"],
        confidence=body["confidence"],
        version=body["model"]["version"],
        digest=body["model"]["digest"],
        total_ms=timings["total"],
        preprocessing_ms=timings["preprocessing"],
        inference_ms=timings["inference"],
        trace_id=body["trace_id"],
        features=body["features"],
    )


def ask_grpc(address: str, access: Access = OPEN) -> Answer:
    """Send the picture to fairlead.gateway.v1.PredictionService/Predict."""
    request = gateway_pb2.PredictRequest(model=_MODEL, image=PICTURE.read_bytes())
    with access.channel(address) as channel:
        try:
            stub = gateway_pb2_grpc.PredictionServiceStub(channel)
            response = stub.Predict(request, timeout=_TIMEOUT_SECONDS, metadata=access.metadata())
        except grpc.RpcError as error:
            raise NoAnswer(f"gRPC answered {error}") from error
    prediction = response.prediction
    timings = prediction.timings
    return Answer(
        prediction_id=prediction.prediction_id,
        label=prediction.label,
        confidence=prediction.confidence,
        version=prediction.model.version,
        digest=prediction.model.digest,
        total_ms=timings.total_ms,
        preprocessing_ms=timings.preprocessing_ms,
        inference_ms=timings.inference_ms,
        trace_id=prediction.trace_id,
        features=prediction.features,
    )


def wait_until_recorded(monitoring_url: str, answers: Sequence[Answer]) -> None:
    """Wait until monitoring lists the predictions; they reach it after their answers."""
    wanted = {answer.prediction_id for answer in answers}
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while not wanted <= _recorded(monitoring_url):
        if time.monotonic() > deadline:
            raise NoAnswer(f"Monitoring has not recorded the pictures after {_TIMEOUT_SECONDS} s.")
        time.sleep(_POLL_SECONDS)


def _recorded(monitoring_url: str) -> set[str]:
    with urllib.request.urlopen(f"{monitoring_url}/api/predictions", timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
        return {prediction["prediction_id"] for prediction in json.load(response)["predictions"]}


def shades(features: Sequence[float]) -> list[str]:
    """Return the eight lines of what the model saw, two characters per count of 0 to 16."""
    marks = [_SHADES[round(value / _FULL * (len(_SHADES) - 1))] * 2 for value in features]
    return ["".join(marks[row * _SIDE : (row + 1) * _SIDE]) for row in range(_SIDE)]
