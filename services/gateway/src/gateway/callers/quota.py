"""A quota for each caller: so many requests a second over time, so many at once.

A token bucket, kept as the generic cell rate algorithm does: one number for a caller, the time at which its bucket will
be full again. Who is not remembered has a full bucket.
"""

import time
from collections.abc import Callable

from service_runtime.errors import QuotaExceeded

_MAX_CALLERS = 16_384


class Quota:
    """Counts the requests of each caller; the memory for callers is bounded, the longest silent are forgotten first."""

    def __init__(
        self,
        per_second: float,
        burst: int,
        *,
        max_callers: int = _MAX_CALLERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interval = 1 / per_second
        self._tolerance = (burst - 1) * self._interval
        self._max_callers = max_callers
        self._clock = clock
        self._full_at: dict[str, float] = {}
        self._empty_until = float("-inf")

    @property
    def any_empty(self) -> bool:
        """Whether some caller may be over its quota now: if not, nobody needs to be looked up."""
        return self._clock() < self._empty_until

    def refusal(self, key: str) -> QuotaExceeded | None:
        """Return what the caller's next request would be told, or None while it is within its quota."""
        now = self._clock()
        wait = self._full_at.get(key, now) - self._tolerance - now
        if wait <= 0:
            return None
        message = "This caller's quota of requests is used up; nothing was started. Retry later."
        return QuotaExceeded(message, retry_after=wait)

    def charge(self, key: str) -> None:
        """Count a request; raises QuotaExceeded, and counts nothing, when it is one too many."""
        refusal = self.refusal(key)
        if refusal is not None:
            raise refusal
        now = self._clock()
        full_at = max(self._full_at.pop(key, now), now) + self._interval
        self._full_at[key] = full_at  # at the end: the first is always who was silent for longest
        if full_at - self._tolerance > now:
            self._empty_until = max(self._empty_until, full_at - self._tolerance)
        if len(self._full_at) > self._max_callers:
            del self._full_at[next(iter(self._full_at))]
