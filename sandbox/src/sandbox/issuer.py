"""The sandbox's own issuer of tokens: a key, its public half as a JWKS that the git server shows, and PyJWT."""

import hashlib
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from jwt.utils import base64url_encode

from sandbox.keys import kept_key

ALGORITHM = "ES256"


@dataclass(frozen=True, slots=True)
class Issuer:
    """Says who somebody is and what they may do; everything else about identity is somebody else's."""

    url: str
    """What tokens name as `iss`."""
    key: Path
    jwks: Path

    def token(self, subject: str, scopes: Iterable[str], *, audience: str, lifetime: timedelta) -> str:
        """Return a signed token."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "sub": subject,
            "aud": audience,
            "scope": " ".join(scopes),
            "iat": now,
            "exp": now + int(lifetime.total_seconds()),
        }
        return jwt.encode(claims, kept_key(self.key), algorithm=ALGORITHM, headers={"kid": self._jwk()["kid"]})

    @property
    def public(self) -> ec.EllipticCurvePublicKey:
        """What verifies the tokens."""
        return kept_key(self.key).public_key()

    def publish(self) -> None:
        """Write the public key where everybody may read it."""
        self.jwks.parent.mkdir(parents=True, exist_ok=True)
        self.jwks.write_text(json.dumps({"keys": [self._jwk()]}))

    def _jwk(self) -> dict[str, Any]:
        key = ECAlgorithm.to_jwk(self.public, as_dict=True)
        return {**key, "kid": _thumbprint(key), "use": "sig", "alg": ALGORITHM}


def _thumbprint(key: dict[str, Any]) -> str:
    """Return the key's own name (RFC 7638): another key is never taken for it."""
    members = json.dumps({name: key[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"))
    return base64url_encode(hashlib.sha256(members.encode()).digest()).decode()
