"""Which tokens count, and what callers learn of one that does not."""

import asyncio
import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fairlead.gateway.v1 import gateway_pb2 as pb
from fairlead.gateway.v1.gateway_pb2_grpc import PredictionServiceStub
from gateway.callers.identity import InvalidToken
from gateway.callers.keys import KeyRing
from gateway.callers.tokens import Tokens
from gateway.metrics import IssuerMetrics
from gateway_kit.calls import Call
from gateway_kit.issuer import Authorized, Issuer
from gateway_kit.whole import Gateway, OpenGateway
from hypothesis import HealthCheck, given, settings, strategies
from local_stack.eventually import eventually_async
from prometheus_client import CollectorRegistry
from service_runtime.errors import DependencyUnavailable

Forge = Callable[[Any], str]


def signed_by_another(issuer: Issuer) -> str:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return jwt.encode(claims(), stranger, "RS256", headers={"kid": "first"})


def claims() -> dict[str, Any]:
    return {
        "iss": "https://issuer.test",
        "aud": "fairlead",
        "sub": "ann",
        "exp": int(time.time()) + 600,
        "scope": "predict",
    }


def signed_with_the_public_key(issuer: Issuer) -> str:
    """The classic: a verifier that lets the token choose HS256 takes the public key for the secret."""
    modulus = issuer.document()["keys"][0]["n"]
    return jwt.encode(claims(), base64.urlsafe_b64decode(modulus + "=="), "HS256", headers={"kid": "first"})


def with_another_body(issuer: Issuer) -> str:
    head, _, signature = issuer.token("feedback").split(".")
    body = base64.urlsafe_b64encode(json.dumps(claims()).encode()).decode().rstrip("=")
    return f"{head}.{body}.{signature}"


BAD: dict[str, tuple[str, Forge]] = {
    "expired": ("expired", lambda issuer: issuer.token("predict", exp=int(time.time()) - 60)),
    "not valid yet": ("not_yet_valid", lambda issuer: issuer.token("predict", nbf=int(time.time()) + 60)),
    "issued in the future": ("not_yet_valid", lambda issuer: issuer.token("predict", iat=int(time.time()) + 60)),
    "of another issuer": ("issuer", lambda issuer: issuer.token("predict", iss="https://issuer.test.evil")),
    "for another audience": ("audience", lambda issuer: issuer.token("predict", aud=["billing", "fairlead2"])),
    "without expiry": ("malformed", lambda issuer: issuer.token("predict", without="exp")),
    "without issuer": ("malformed", lambda issuer: issuer.token("predict", without="iss")),
    "without audience": ("malformed", lambda issuer: issuer.token("predict", without="aud")),
    "without subject": ("malformed", lambda issuer: issuer.token("predict", without="sub")),
    "with an empty subject": ("malformed", lambda issuer: issuer.token("predict", subject="")),
    "with scopes that are no text": ("malformed", lambda issuer: issuer.token(scope={"predict": True})),
    "signed by another key": ("signature", signed_by_another),
    "signed with the public key": ("malformed", signed_with_the_public_key),
    "not signed": ("malformed", lambda _: jwt.encode(claims(), "", "none", headers={"kid": "first"})),
    "with another body": ("signature", with_another_body),
    "of an unknown key": ("unknown_key", lambda _: jwt.encode(claims(), "s" * 32, "HS256", headers={"kid": "who"})),
    "too long": ("malformed", lambda issuer: issuer.token("predict", padding="x" * 8192)),
    "no token": ("malformed", lambda _: "hello"),
}


@pytest.mark.requirement("CALLERS-002")
@pytest.mark.parametrize(("reason", "forge"), BAD.values(), ids=BAD)
async def test_a_token_that_is_not_valid_is_refused_and_nobody_outside_learns_why(
    guarded: Gateway, issuer: Issuer, predict: Call, reason: str, forge: Forge
) -> None:
    refused = await predict(guarded, {"authorization": f"Bearer {forge(issuer)}"})
    assert refused.code == "UNAUTHENTICATED"
    assert refused.headers["www-authenticate"] == 'Bearer realm="fairlead", error="invalid_token"'
    assert refused.said == "The token is not valid here, or no longer. Get a new one."
    assert guarded.turned_away(reason) == 1
    assert not guarded.neighbours.heard


@pytest.mark.requirement("CALLERS-002")
async def test_who_brings_no_token_is_asked_for_one(guarded: Gateway, call: Call) -> None:
    for headers in ({}, {"authorization": "Basic YTpi"}, {"authorization": "Bearer"}):
        refused = await call(guarded, headers)
        assert (refused.code, refused.headers["www-authenticate"]) == ("UNAUTHENTICATED", 'Bearer realm="fairlead"')
    assert guarded.turned_away("no_token") == 3


@pytest.mark.requirement("CALLERS-002")
@pytest.mark.parametrize(
    "said",
    [
        {"scope": "feedback predict"},
        {"scp": ["predict"], "without": "scope"},
        {"aud": ["billing", "fairlead"]},
        {"leeway": -10},
    ],
    ids=["several scopes", "scp", "several audiences", "clocks that differ"],
)
async def test_a_valid_token_is_served_by_every_call(
    guarded: Gateway, authorized: Authorized, call: Call, said: dict[str, Any]
) -> None:
    said = {"scope": "predict", **said}
    said["exp"] = int(time.time()) + said.pop("leeway", 600)
    headers = authorized(**said)
    for _ in range(2):  # the second time from memory
        assert (await call(guarded, headers)).code == "OK"


@pytest.mark.requirement("CALLERS-002")
async def test_a_remembered_token_is_forgotten_when_it_expires(guarded: Gateway, authorized: Authorized) -> None:
    headers = authorized("predict", exp=int(time.time()) - 28)

    async def code() -> str:
        return str((await guarded.rest("GET", "/v1/models/digits", headers)).code)

    async def refused() -> bool:
        return await code() == "UNAUTHENTICATED"

    assert await code() == "OK"
    await eventually_async(refused)


@pytest.mark.requirement("CALLERS-002")
async def test_a_stream_outlives_its_token_by_no_message(guarded: Gateway, authorized: Authorized) -> None:

    headers = authorized("predict", exp=int(time.time()) - 28)
    question = pb.PredictStreamRequest(model="digits", image=b"\x89PNG7")
    async with grpc.aio.insecure_channel(guarded.grpc_address) as channel:
        stub: Any = PredictionServiceStub(channel)
        stream = stub.PredictStream(metadata=tuple(headers.items()), timeout=30)

        async def code() -> str:
            await stream.write(question)
            return str((await stream.read()).error.code)

        assert await code() == ""
        assert await eventually_async(code) == "UNAUTHENTICATED"
        stream.cancel()


@pytest.mark.requirement("CALLERS-005")
async def test_a_new_key_counts_as_soon_as_somebody_uses_it(
    open_gateway: OpenGateway, with_tokens: dict[str, Any], own_issuer: Issuer, bearer: Any, predict: Call
) -> None:
    settings = {**with_tokens, "jwks": str(own_issuer.file)}
    async with open_gateway(**settings, cooldown=0) as gateway:
        old = bearer(own_issuer.token("predict"))
        assert (await predict(gateway, old)).code == "OK"
        own_issuer.rotate("second")
        new = bearer(own_issuer.token("predict"))
        assert (await predict(gateway, new)).code == "UNAUTHENTICATED"
        own_issuer.publish()
        assert (await predict(gateway, new)).code == "OK"
        assert (await predict(gateway, old)).code == "OK"


@pytest.mark.requirement("CALLERS-005")
async def test_a_withdrawn_key_counts_no_longer_after_the_next_reading(
    open_gateway: OpenGateway, with_tokens: dict[str, Any], own_issuer: Issuer, bearer: Any, predict: Call
) -> None:
    settings = {**with_tokens, "jwks": str(own_issuer.file)}
    own_issuer.rotate("second")
    own_issuer.publish()
    async with open_gateway(**settings, cooldown=0, fresh=0.05) as gateway:
        assert (await predict(gateway, bearer(own_issuer.token("predict", key_id="first")))).code == "OK"
        withdrawn = own_issuer.keys.pop("first")
        own_issuer.publish()
        own_issuer.keys["first"] = withdrawn

        async def refused() -> bool:
            fresh = own_issuer.token("predict", key_id="first", jti=str(time.monotonic()))
            return bool((await predict(gateway, bearer(fresh))).code == "UNAUTHENTICATED")

        await eventually_async(refused)


@pytest.mark.requirement("CALLERS-005")
async def test_invented_key_ids_do_not_make_us_ask_the_issuer_each_time(
    open_gateway: OpenGateway, with_tokens: dict[str, Any], own_issuer: Issuer, bearer: Any, published: Any
) -> None:
    async with published(own_issuer) as (url, asked), open_gateway(**{**with_tokens, "jwks": url}) as gateway:
        assert (await gateway.rest("GET", "/v1/models/digits", bearer(own_issuer.token("predict")))).code == "OK"
        for number in range(20):
            forged = jwt.encode(claims(), "s" * 32, "HS256", headers={"kid": f"invented {number}"})
            assert (await gateway.rest("GET", "/v1/models", bearer(forged))).code == "UNAUTHENTICATED"
        assert asked == [200]


@pytest.mark.requirement("CALLERS-005")
async def test_an_issuer_that_is_away_locks_nobody_out(
    open_gateway: OpenGateway, with_tokens: dict[str, Any], own_issuer: Issuer, bearer: Any, published: Any
) -> None:
    settings = {**with_tokens, "cooldown": 0.01, "fresh": 0.01}
    async with published(own_issuer) as (url, asked), open_gateway(**{**settings, "jwks": url}) as gateway:
        assert (await gateway.rest("GET", "/v1/models/digits", bearer(own_issuer.token("predict")))).code == "OK"
        own_issuer.published = False

        async def failed() -> bool:
            return asked[-3:] == [500] * 3

        await eventually_async(failed)
        # A token that was not seen before, so that it needs the key.
        fresh = own_issuer.token("predict", subject="somebody new")
        assert (await gateway.rest("GET", "/v1/models/digits", bearer(fresh))).code == "OK"


@pytest.mark.requirement("CALLERS-012")
async def test_how_old_the_keys_are_is_a_metric(tmp_path: Path, issuer: Issuer) -> None:
    registry = CollectorRegistry()

    def read_at() -> float:
        return registry.get_sample_value("gateway_issuer_keys_read_timestamp_seconds") or 0.0

    async def was_read() -> bool:
        return read_at() > 0

    source = tmp_path / "jwks.json"
    async with KeyRing(str(source), IssuerMetrics(registry), cooldown_seconds=0.01) as keys:
        with pytest.raises(DependencyUnavailable):
            await keys.find("first")
        assert read_at() == 0, "there was nothing to read"
        source.write_bytes(issuer.file.read_bytes())
        await eventually_async(was_read)
        assert read_at() == pytest.approx(time.time(), abs=5)


@pytest.mark.requirement("CALLERS-005")
async def test_without_any_keys_the_gateway_is_not_ready_and_says_try_again(
    open_gateway: OpenGateway, with_tokens: dict[str, Any], own_issuer: Issuer, bearer: Any, predict: Call
) -> None:
    token = own_issuer.token("predict")
    own_issuer.file.write_text("{}")
    async with open_gateway(**{**with_tokens, "jwks": str(own_issuer.file)}, cooldown=0) as gateway:
        assert gateway.keys
        assert (await predict(gateway, bearer(token))).code == "UNAVAILABLE"
        with pytest.raises(Exception, match="No keys of the issuer"):
            await gateway.keys.check_ready()
        own_issuer.publish()
        assert (await predict(gateway, bearer(token))).code == "OK"
        await gateway.keys.check_ready()


@pytest.mark.requirement("CALLERS-002")
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    parts=strategies.lists(strategies.binary(max_size=40) | strategies.sampled_from([b'{"alg":"RS256","kid":"first"}']))
)
def test_no_text_is_anything_but_refused(issuer: Issuer, parts: list[bytes]) -> None:

    token = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)

    async def verify() -> None:
        async with KeyRing(str(issuer.file), IssuerMetrics(CollectorRegistry())) as keys:
            for text in (token, token.encode().decode("latin-1")):
                with pytest.raises(InvalidToken):
                    await Tokens(keys, issuer="https://issuer.test", audience="fairlead").verify(text)

    asyncio.run(verify())
