"""Bearer tokens: signed JWTs, verified by PyJWT, remembered for a while by their digest."""

import hashlib
import time
from collections.abc import Mapping
from typing import Any

import jwt
from jwt.exceptions import (
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAudienceError,
    InvalidIssuerError,
    InvalidSignatureError,
    PyJWTError,
)
from service_runtime.errors import ServiceError

from gateway.callers.identity import Identity, InvalidToken
from gateway.callers.keys import ALGORITHMS, KeyRing

_REQUIRED = ["exp", "iss", "aud", "sub"]
_LEEWAY_SECONDS = 30.0
_LONGEST = 8192
_LONGEST_SUBJECT = 255  # OpenID Connect Core, section 2
_REMEMBERED = 8192
# So long a key that its issuer has withdrawn may go on to count, beside the time until we read the keys again.
_REMEMBERED_SECONDS = 300.0

_REASONS: dict[type[PyJWTError], str] = {
    ExpiredSignatureError: "expired",
    ImmatureSignatureError: "not_yet_valid",
    InvalidAudienceError: "audience",
    InvalidIssuerError: "issuer",
    InvalidSignatureError: "signature",
}


class Tokens:
    """Verifies tokens of one issuer for one audience."""

    def __init__(self, keys: KeyRing, *, issuer: str, audience: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._jwt = jwt.PyJWT(options={"require": _REQUIRED, "enforce_minimum_key_length": True})
        self._remembered: dict[bytes, tuple[float, Identity]] = {}

    def known(self, token: str) -> Identity | None:
        """Return whose token it is if that was verified a short while ago."""
        digest = _digest(token)
        remembered = self._remembered.get(digest)
        if remembered is None:
            return None
        if time.time() >= remembered[0]:
            del self._remembered[digest]
            return None
        return remembered[1]

    async def verify(self, token: str) -> Identity:
        """Return whose token it is; raises InvalidToken, or DependencyUnavailable while there are no keys."""
        if len(token) > _LONGEST:
            raise InvalidToken("malformed")
        try:
            identity = _identity(await self._claims(token))
        except ServiceError:
            raise
        except PyJWTError as error:
            raise InvalidToken(_REASONS.get(type(error), "malformed")) from error
        self._remember(token, identity)
        return identity

    async def _claims(self, token: str) -> Mapping[str, Any]:
        key_id = jwt.get_unverified_header(token).get("kid")
        key = await self._keys.find(key_id)
        if key is None:
            raise InvalidToken("unknown_key")
        return self._jwt.decode(
            token,
            key,
            algorithms=sorted(ALGORITHMS),
            audience=self._audience,
            issuer=self._issuer,
            leeway=_LEEWAY_SECONDS,
        )

    def _remember(self, token: str, identity: Identity) -> None:
        if len(self._remembered) >= _REMEMBERED:
            del self._remembered[next(iter(self._remembered))]  # the one verified first, which is soon due again
        until = min(identity.valid_until, time.time() + _REMEMBERED_SECONDS)
        self._remembered[_digest(token)] = (until, identity)


def _identity(claims: Mapping[str, Any]) -> Identity:
    subject: str = claims["sub"]
    if not 0 < len(subject) <= _LONGEST_SUBJECT:
        raise InvalidToken("malformed")
    # OAuth 2.0 has `scope` with spaces (RFC 8693 section 4.2); some issuers have `scp`, a list or the same text.
    said = claims.get("scope", claims.get("scp", ""))
    scopes = said.split() if isinstance(said, str) else said
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        raise InvalidToken("malformed")
    return Identity(subject, frozenset(scopes), int(claims["exp"]) + _LEEWAY_SECONDS)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
