"""How long the latest predictions took: a small window in this process, for people who look at the page."""

import math
import time
from collections import deque
from dataclasses import dataclass

_WINDOW_SECONDS = 60.0
_MOST_KEPT = 2048


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """Quantiles over the window; None while it is empty."""

    window_seconds: float
    count: int
    p50_ms: float | None
    p99_ms: float | None


class LatencyWindow:
    """Remembers the latest latencies; observing costs well under a microsecond."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque(maxlen=_MOST_KEPT)

    def observe(self, seconds: float) -> None:
        """Remember one latency."""
        self._seen.append((time.monotonic(), seconds))

    def summary(self) -> LatencySummary:
        """Return the quantiles of the last minute, or of the newest 2,048 within it."""
        since = time.monotonic() - _WINDOW_SECONDS
        latest = sorted(seconds for at, seconds in self._seen if at >= since)
        return LatencySummary(_WINDOW_SECONDS, len(latest), _quantile(latest, 0.50), _quantile(latest, 0.99))


def _quantile(ordered: list[float], share: float) -> float | None:
    """Nearest rank: a latency that really occurred."""
    if not ordered:
        return None
    return round(ordered[math.ceil(share * len(ordered)) - 1] * 1e3, 3)
