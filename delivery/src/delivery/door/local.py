"""Certificate and tokens of the environment local: elsewhere cert-manager and the company's issuer have that part."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import jwt
from sandbox.authority import Authority, names, remaining
from sandbox.git_service import GitService
from sandbox.issuer import ALGORITHM, Issuer
from sandbox.kubectl import Kubectl
from sandbox.settings import SandboxSettings

from delivery.environments import Facts

CERTIFICATE = "edge-tls"
TOKEN = "caller-token"  # noqa: S105 - its name

_CERTIFICATE_LIFETIME = timedelta(days=90)
_CERTIFICATE_RENEWAL = timedelta(days=30)
_TOKEN_LIFETIME = timedelta(days=7)
_TOKEN_RENEWAL = timedelta(days=4)
_PLATFORM = tuple(f"platform-{number}" for number in range(1, 9))
"""As whom the platform's own tests call: the smoke test, and judges of canaries, several of which may run at once.

A judge has six callers or fewer, each with the quota of its own.
"""
_PLATFORM_SCOPES = ("predict", "feedback")

Secret = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LocalDoor:
    """Makes what the door needs, from keys in the state of the sandbox."""

    facts: Facts
    authority: Authority
    issuer: Issuer

    @classmethod
    def of(cls, facts: Facts, settings: SandboxSettings) -> Self:
        """Return the door of an environment on this machine's sandbox."""
        authority = Authority(settings.ca, settings.keys / "authority.pem")
        jwks = GitService(settings, address="").jwks
        return cls(facts, authority, Issuer(facts.issuer, settings.keys / "issuer.pem", jwks))

    def provide(self, kubectl: Kubectl, *, renew: bool = False) -> None:
        """Write what is missing, or soon expires, into the namespace; it may not be there before the first push."""
        self.issuer.publish()
        # Argo CD takes it over as it is: nothing is stated but its name.
        kubectl.apply(json.dumps(_object("Namespace", self.facts.namespace)))
        known = self._known(kubectl)
        if renew or not self._lasts(known.get(CERTIFICATE, {})):
            certificate = self.authority.issue(self.names(), _CERTIFICATE_LIFETIME)
            tls = {"tls.crt": certificate.chain, "tls.key": certificate.key, "ca.crt": self.authority.trusted()}
            kubectl.apply(json.dumps(self._secret(CERTIFICATE, "kubernetes.io/tls", tls)))
        if renew or not self._counts(known.get(TOKEN, {})):
            tokens = [self.token(each, _PLATFORM_SCOPES, _TOKEN_LIFETIME) for each in _PLATFORM]
            kubectl.apply(json.dumps(self._secret(TOKEN, "Opaque", {"token": "\n".join(tokens)})))

    def token(self, subject: str, scopes: tuple[str, ...], lifetime: timedelta) -> str:
        """Return a token for callers of this environment."""
        return self.issuer.token(subject, scopes, audience=self.facts.audience, lifetime=lifetime)

    def names(self) -> list[str]:
        """Return the names under which the door is called, from outside and from pods."""
        service = f"edge-istio.{self.facts.namespace}.svc"
        return [self.facts.host, f"{service}.cluster.local", service]

    def _known(self, kubectl: Kubectl) -> dict[str, Mapping[str, str]]:
        """Return what the Secrets that are there hold."""
        where = (f"--namespace={self.facts.namespace}", "--ignore-not-found", "--output=json")
        found = json.loads(kubectl.run("get", "secrets", CERTIFICATE, TOKEN, *where) or "{}")
        return {
            each["metadata"]["name"]: {key: base64.b64decode(value).decode() for key, value in each["data"].items()}
            for each in found.get("items", [found] if found else [])
        }

    def _lasts(self, secret: Mapping[str, str]) -> bool:
        """Whether a certificate is ours, for all names, and valid for long enough."""
        chain = secret.get("tls.crt", "")
        if not chain or secret.get("ca.crt") != self.authority.trusted():
            return False
        return remaining(chain) > _CERTIFICATE_RENEWAL and set(names(chain)) == set(self.names())

    def _counts(self, secret: Mapping[str, str]) -> bool:
        """Whether all tokens are there, of our key, for this audience, and valid for long enough."""
        tokens, audience, issuer = secret.get("token", "").split(), self.facts.audience, self.issuer.url
        try:
            found = [
                jwt.decode(token, self.issuer.public, [ALGORITHM], audience=audience, issuer=issuer) for token in tokens
            ]
        except jwt.PyJWTError:
            return False
        soon = (datetime.now(UTC) + _TOKEN_RENEWAL).timestamp()
        return [claims["sub"] for claims in found if claims["exp"] > soon] == list(_PLATFORM)

    def _secret(self, name: str, kind: str, content: Mapping[str, str]) -> Secret:
        return {**_object("Secret", name, self.facts.namespace), "type": kind, "stringData": dict(content)}


def _object(kind: str, name: str, namespace: str = "") -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name}
    if namespace:
        labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "fairlead"}
        metadata |= {"namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata}
