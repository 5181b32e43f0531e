"""Certificate and tokens of local: made once, kept while they last, and taken by the gateway's own checks."""

import asyncio
import base64
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import jwt
import pytest
from delivery.door.__main__ import duration
from delivery.door.local import CERTIFICATE, TOKEN, LocalDoor
from delivery.environments import Facts
from gateway.callers.identity import Identity, InvalidToken
from gateway.callers.keys import KeyRing
from gateway.callers.tokens import Tokens
from gateway.metrics import IssuerMetrics
from prometheus_client import CollectorRegistry
from sandbox.authority import Authority
from sandbox.issuer import Issuer
from sandbox.kubectl import Kubectl
from sandbox.settings import ROOT

from loadtests.profiles import read_profile

HOUR = timedelta(hours=1)
PROFILES = ROOT / "loadtests" / "profiles"
FACTS = Facts.read(ROOT / "clusters" / "local" / "facts")


class FakeKubectl(Kubectl):
    """Keeps what is applied, as an API server would."""

    __slots__ = ("applied", "objects")
    objects: dict[str, dict[str, Any]]
    applied: list[str]

    @classmethod
    def empty(cls) -> "FakeKubectl":
        made = cls(Path("kubectl"), Path("kubeconfig"))
        object.__setattr__(made, "objects", {})
        object.__setattr__(made, "applied", [])
        return made

    def apply(self, manifests: str, *, namespace: str = "") -> None:
        content = json.loads(manifests)
        self.objects[content["metadata"]["name"]] = content
        self.applied.append(content["metadata"]["name"])

    def run(self, *arguments: str, text: str = "", timeout_s: float = 120) -> str:
        found = [
            {"metadata": each["metadata"], "data": {key: coded(value) for key, value in each["stringData"].items()}}
            for each in self.objects.values()
            if each["metadata"]["name"] in arguments
        ]
        return json.dumps({"items": found} if len(found) > 1 else found[0]) if found else ""


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def door(tmp_path: Path) -> LocalDoor:
    authority = Authority(tmp_path / "ca.pem", tmp_path / "keys" / "authority.pem")
    issuer = Issuer(FACTS.issuer, tmp_path / "keys" / "issuer.pem", tmp_path / "issuer" / "jwks.json")
    return LocalDoor(FACTS, authority, issuer)


def identity(token: str, jwks: Path, audience: str = FACTS.audience) -> Identity:
    async def verify() -> Identity:
        async with KeyRing(str(jwks), IssuerMetrics(CollectorRegistry())) as keys:
            return await Tokens(keys, issuer=FACTS.issuer, audience=audience).verify(token)

    return asyncio.run(verify())


@pytest.mark.requirement("EDGE-008")
def test_the_gateway_takes_the_tokens_of_the_sandbox_for_their_audience_alone(door: LocalDoor) -> None:
    door.issuer.publish()
    token = door.token("me", ("predict", "feedback"), HOUR)
    said = identity(token, door.issuer.jwks)
    assert (said.subject, said.scopes) == ("me", frozenset({"predict", "feedback"}))
    with pytest.raises(InvalidToken, match="audience"):
        identity(token, door.issuer.jwks, audience="fairlead-prod")
    with pytest.raises(InvalidToken, match="expired"):
        identity(door.token("me", ("predict",), -HOUR), door.issuer.jwks)


@pytest.mark.requirement("EDGE-008")
def test_the_published_keys_hold_nothing_private(door: LocalDoor) -> None:
    door.issuer.publish()
    [key] = json.loads(door.issuer.jwks.read_text())["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert jwt.get_unverified_header(door.token("me", (), HOUR))["kid"] == key["kid"]


@pytest.mark.requirement("EDGE-009")
def test_what_lasts_is_kept_and_what_soon_expires_is_made_again(door: LocalDoor) -> None:
    kubectl = FakeKubectl.empty()
    door.provide(kubectl)
    assert applied(kubectl) == [FACTS.namespace, CERTIFICATE, TOKEN]
    door.provide(kubectl)
    assert applied(kubectl) == [FACTS.namespace]
    secret(kubectl, CERTIFICATE)["tls.crt"] = door.authority.issue(door.names(), timedelta(days=29)).chain
    kept = secret(kubectl, TOKEN)["token"].split()
    secret(kubectl, TOKEN)["token"] = "\n".join([door.token("platform-1", (), timedelta(days=3)), *kept[1:]])
    door.provide(kubectl)
    assert applied(kubectl) == [FACTS.namespace, CERTIFICATE, TOKEN]
    door.provide(kubectl, renew=True)
    assert applied(kubectl) == [FACTS.namespace, CERTIFICATE, TOKEN]


@pytest.mark.requirement("EDGE-009")
def test_the_platforms_tests_have_a_token_for_each_of_their_callers_whose_quotas_are_their_own(door: LocalDoor) -> None:
    kubectl = FakeKubectl.empty()
    door.provide(kubectl)
    subjects = {identity(token, door.issuer.jwks).subject for token in secret(kubectl, TOKEN)["token"].split()}
    callers = [stage.users for path in PROFILES.glob("canary*.yaml") for stage in read_profile(path).stages]
    assert len(subjects) >= max(callers)


@pytest.mark.requirement("EDGE-009")
def test_a_certificate_of_another_authority_or_for_other_names_is_replaced(door: LocalDoor, tmp_path: Path) -> None:
    kubectl = FakeKubectl.empty()
    door.provide(kubectl)
    secret(kubectl, CERTIFICATE)["tls.crt"] = door.authority.issue(["elsewhere.example.test"], timedelta(days=90)).chain
    applied(kubectl)
    door.provide(kubectl)
    assert CERTIFICATE in applied(kubectl)
    reborn = LocalDoor(FACTS, Authority(tmp_path / "new.pem", tmp_path / "keys" / "new.pem"), door.issuer)
    reborn.provide(kubectl)
    assert CERTIFICATE in applied(kubectl)


@pytest.mark.requirement("EDGE-008")
def test_a_lifetime_is_written_as_people_write_it_and_a_wrong_scope_is_refused() -> None:
    assert [duration(text) for text in ("90s", "15m", "1h", "7d")] == [
        timedelta(seconds=90),
        timedelta(minutes=15),
        HOUR,
        timedelta(days=7),
    ]
    command = [sys.executable, "-m", "delivery.door", "token", "--scopes", "predict root"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "no such scope: root" in done.stderr


def applied(kubectl: FakeKubectl) -> list[str]:
    """Return what was applied since the last time."""
    names = list(kubectl.applied)
    kubectl.applied.clear()
    return names


def secret(kubectl: FakeKubectl, name: str) -> dict[str, Any]:
    return cast("dict[str, Any]", kubectl.objects[name]["stringData"])
