"""The real gateway, before real neighbours, with everything that it can ask of callers switched on by its settings."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import jwt
import numpy as np
import pytest
import tritonclient.grpc as triton
from cryptography.hazmat.primitives.asymmetric import ec
from local_stack.pytest_plugin import StartStack
from local_stack.settings import ROOT
from local_stack.stack import Stack
from tritonclient.utils import InferenceServerException

pytestmark = [pytest.mark.component, pytest.mark.chain, pytest.mark.xdist_group("callers")]

PICTURE = (ROOT / "local_stack" / "src" / "local_stack" / "seven.png").read_bytes()
ISSUER = "https://issuer.test"
BURST = 4

Authorized = Callable[..., dict[str, str]]


@pytest.fixture
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def authorized(key: ec.EllipticCurvePrivateKey) -> Authorized:
    """Return the headers of a caller with these scopes."""

    def headers(subject: str, *scopes: str) -> dict[str, str]:
        said = {
            "iss": ISSUER,
            "aud": "fairlead",
            "sub": subject,
            "exp": int(time.time()) + 60,
            "scope": " ".join(scopes),
        }
        return {"authorization": f"Bearer {jwt.encode(said, key, 'ES256', headers={'kid': 'k'})}"}

    return headers


@pytest.fixture
def guarded(start_stack: StartStack, key: ec.EllipticCurvePrivateKey, tmp_path: Path) -> Stack:
    jwks = tmp_path / "jwks.json"
    jwks.write_text(
        json.dumps({"keys": [{**jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "k"}]})
    )
    settings = {
        "GATEWAY_ISSUER": ISSUER,
        "GATEWAY_JWKS": str(jwks),
        "GATEWAY_QUOTA_PER_SECOND": "0.01",
        "GATEWAY_QUOTA_BURST": str(BURST),
        "GATEWAY_EXPERIMENT": "shapes",
        "GATEWAY_EXPERIMENT_ARMS": "control=0,treatment=1",
        "GATEWAY_REVISION": "tested",
    }
    return start_stack(overrides={"gateway": settings})


def infer(stack: Stack, headers: dict[str, str]) -> str:
    """Ask for an inference as tritonclient does; return the status."""
    pixels = triton.InferInput("pixels", [1, 64], "FP32")
    pixels.set_data_from_numpy(np.zeros((1, 64), np.float32))
    with triton.InferenceServerClient(stack.grpc_address) as client:
        try:
            client.infer("digits", [pixels], headers=headers)
        except InferenceServerException as error:
            return str(error.status())
    return "StatusCode.OK"


@pytest.mark.requirement("CALLERS-002", "CALLERS-004", "CALLERS-006", "CALLERS-009", "CALLERS-011")
def test_what_is_set_is_asked_of_every_caller(guarded: Stack, authorized: Authorized) -> None:
    ann, ben, eve = (authorized(name, "predict") for name in ("ann", "ben", "eve"))
    with httpx2.Client(base_url=guarded.http_url, timeout=20) as client:

        def predict(headers: dict[str, str]) -> httpx2.Response:
            return client.post("/v1/models/digits:predict", content=PICTURE, headers=headers)

        answer = predict(ann)
        assert (answer.status_code, answer.json().get("label")) == (200, "7")
        assert (answer.headers["x-experiment-arm"], answer.headers["x-fairlead-revision"]) == ("treatment", "tested")
        assert (predict({}).status_code, infer(guarded, {})) == (401, "StatusCode.UNAUTHENTICATED")
        feedback_only = authorized("ann", "feedback")
        assert (predict(feedback_only).status_code, infer(guarded, feedback_only)) == (
            403,
            "StatusCode.PERMISSION_DENIED",
        )

        flood = [predict(eve).status_code for _ in range(BURST + 2)]
        assert flood == [200] * BURST + [429] * 2
        assert infer(guarded, eve) == "StatusCode.RESOURCE_EXHAUSTED"
        assert (predict(ben).status_code, infer(guarded, ben)) == (200, "StatusCode.OK")
        assert client.get("/v2/health/ready").status_code == 200
    metrics = httpx2.get(f"{guarded.operations_url('gateway')}/metrics").text
    assert 'gateway_callers_refused_total{reason="quota"} 3.0' in metrics
