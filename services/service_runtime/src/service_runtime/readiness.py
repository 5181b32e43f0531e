"""Readiness driven by real state: own start done, not draining, hard dependencies reachable."""

import asyncio
import time
from collections.abc import Awaitable, Callable

Check = Callable[[], Awaitable[None]]

_CACHE_SECONDS = 1.0
_CHECK_TIMEOUT_SECONDS = 2.0


class Readiness:
    """Whether this process should receive requests, and if not, why."""

    def __init__(self) -> None:
        self.started = False
        self.draining = False
        self._checks: dict[str, Check] = {}
        self._failures: dict[str, str] = {}
        self._checked_at = float("-inf")
        self._lock = asyncio.Lock()

    def require(self, dependency: str, check: Check) -> None:
        """Make a hard dependency of `dependency`: ready only while `check()` does not raise."""
        self._checks[dependency] = check

    async def failures(self) -> dict[str, str]:
        """Return what stands in the way, by name; empty means ready. Dependencies are asked once a second at most."""
        if self.draining:
            return {"process": "draining"}
        if not self.started:
            return {"process": "starting"}
        async with self._lock:
            if time.monotonic() - self._checked_at > _CACHE_SECONDS:
                outcomes = await asyncio.gather(*map(_outcome, self._checks.values()))
                self._failures = {name: reason for name, reason in zip(self._checks, outcomes, strict=True) if reason}
                self._checked_at = time.monotonic()
        return self._failures


async def _outcome(check: Check) -> str | None:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_SECONDS):
            await check()
    except TimeoutError:
        return f"no answer within {_CHECK_TIMEOUT_SECONDS:g} s"
    except Exception as error:  # noqa: BLE001 - whatever a check raises means not ready; the text stays on the operations port
        return str(error) or type(error).__name__
    return None
