"""The issuer's public keys: read at start, again in time, and early, but not often, for a key that is not known."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any, Self

import structlog
from jwt import PyJWK, PyJWKClient, PyJWKSet
from jwt.exceptions import PyJWTError
from service_runtime.errors import DependencyUnavailable

from gateway.metrics import IssuerMetrics

log = structlog.get_logger()

ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)  # asymmetric ones: what verifies must not be able to sign

_FRESH_SECONDS = 300.0
_COOLDOWN_SECONDS = 10.0
_FETCH_SECONDS = 3.0


class KeyRing:
    """Keys by id, from a JWKS at a URL or in a file; enter to read them, leave to stop.

    While the source cannot be read the keys of the last time count on: an issuer that is away locks nobody out.
    """

    def __init__(
        self,
        source: str,
        metrics: IssuerMetrics,
        *,
        fresh_seconds: float = _FRESH_SECONDS,
        cooldown_seconds: float = _COOLDOWN_SECONDS,
    ) -> None:
        self._source = source
        self._metrics = metrics
        self._fresh_seconds = fresh_seconds
        self._cooldown_seconds = cooldown_seconds
        self._keys: dict[str | None, PyJWK] = {}
        self._tried_at = float("-inf")
        self._reading = asyncio.Lock()
        self._renewal: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to read; the issuer need not be there yet."""
        self._renewal = asyncio.create_task(self._renew_forever())
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Read no more."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait({self._renewal})

    async def find(self, key_id: str | None) -> PyJWK | None:
        """Return a key, or None; raises DependencyUnavailable while no keys could be read at all."""
        if key_id not in self._keys:
            await self._read()
        if not self._keys:
            raise DependencyUnavailable("Tokens cannot be checked now. Retry shortly.")
        return self._keys.get(key_id)

    async def check_ready(self) -> None:
        """Raise unless there are keys."""
        if not self._keys:
            raise DependencyUnavailable(f"No keys of the issuer could be read from {self._source} yet.")

    async def _renew_forever(self) -> None:
        while True:
            renewed = await self._read()
            await asyncio.sleep(self._fresh_seconds if renewed else self._cooldown_seconds)

    async def _read(self) -> bool:
        """Read the keys, unless somebody just did: ids come from callers, and each may be a new one."""
        async with self._reading:
            if time.monotonic() - self._tried_at < self._cooldown_seconds:
                return False
            self._tried_at = time.monotonic()
            try:
                self._keys = _usable(await asyncio.to_thread(_load, self._source))
            except (PyJWTError, OSError, ValueError) as error:
                log.warning("issuer_keys.read_failed", source=self._source, reason=str(error), known=len(self._keys))
                return False
            self._metrics.keys_read.set_to_current_time()
            return True


def _load(source: str) -> dict[str, Any]:
    """Return the JWKS document."""
    if source.startswith(("http://", "https://")):
        # Follows no redirect. Fresh connections: it is called once in minutes.
        document: dict[str, Any] = PyJWKClient(source, cache_jwk_set=False, timeout=_FETCH_SECONDS).fetch_data()
        return document
    document = json.loads(Path(source).read_bytes())
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - one kind of error for a source that makes no sense
    return document


def _usable(document: dict[str, Any]) -> dict[str | None, PyJWK]:
    keys = {
        key.key_id: key
        for key in PyJWKSet.from_dict(document).keys
        if key.algorithm_name in ALGORITHMS and key.public_key_use in (None, "sig")
    }
    if not keys:
        raise ValueError("it has no public key that signs")
    return keys
