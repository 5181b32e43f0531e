"""Who signs tokens."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

ISSUER, AUDIENCE = "https://issuer.test", "fairlead"

Authorized = Callable[..., dict[str, str]]  # scopes and claims to the headers that bring such a token


class Issuer:
    """Signs tokens; publishes its keys in a file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "jwks.json"
        self.published = True
        self.keys: dict[str, Any] = {"first": rsa.generate_private_key(public_exponent=65537, key_size=2048)}
        self.publish()

    def rotate(self, key_id: str) -> None:
        """Sign with a new key from now on, of another kind."""
        self.keys[key_id] = ec.generate_private_key(ec.SECP256R1())

    def publish(self) -> None:
        self.file.write_text(json.dumps(self.document()))

    def document(self) -> dict[str, Any]:
        published = []
        for key_id, key in self.keys.items():
            kind: Any = (
                jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
            )
            published.append({**kind.to_jwk(key.public_key(), as_dict=True), "kid": key_id, "use": "sig"})
        return {"keys": published}

    def token(self, *scopes: str, subject: str = "ann", without: str = "", key_id: str = "", **claims: Any) -> str:
        key_id = key_id or list(self.keys)[-1]
        key = self.keys[key_id]
        now = int(time.time())
        said = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "exp": now + 600, "scope": " ".join(scopes), **claims}
        said.pop(without, None)
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        return jwt.encode(said, key, algorithm, headers={"kid": key_id})
