"""Age and size limits, kept in the background."""

import asyncio
import time
from collections.abc import Callable

import structlog
from service_runtime.errors import DependencyUnavailable

from monitoring.database import moved_aside, used_bytes
from monitoring.ledger import Ledger
from monitoring.metrics import Metrics
from monitoring.rows import MICROSECONDS
from monitoring.settings import Settings
from monitoring.trimming import trim_history, trim_judged, trim_old, trim_orphans, trim_over, vacuum
from monitoring.writer import Writer

log = structlog.get_logger()

_CHUNK = 500
_VACUUM_PAGES = 256
_PAUSE_SECONDS = 0.01
_DAY = 86_400 * MICROSECONDS
# The longest window that the page draws minute by minute is a day.
_MINUTES_KEPT = 25 * 3600 * MICROSECONDS


class Retention:
    """Trims the database through the writer, chunk by chunk, between the records that come in."""

    def __init__(self, writer: Writer, metrics: Metrics, settings: Settings) -> None:
        self._writer = writer
        self._metrics = metrics
        self._settings = settings

    async def run(self) -> None:
        """Trim again and again, until cancelled."""
        while True:
            try:
                await self._measure()
                await self.trim()
            except DependencyUnavailable:  # the writer has logged why, and says when it is over
                log.debug("retention.skipped")
            await asyncio.sleep(self._settings.retention_interval)

    async def trim(self) -> None:
        """Bring the database within its limits."""
        settings, now = self._settings, int(time.time() * MICROSECONDS)
        oldest, oldest_orphan = (now - int(days * _DAY) for days in (settings.keep_days, settings.keep_orphans_days))
        limits = {"max_rows": settings.max_rows, "max_bytes": settings.max_bytes, "chunk": _CHUNK}
        removed = await self._all(lambda ledger: trim_old(ledger, oldest, _CHUNK))
        removed += await self._all(lambda ledger: trim_over(ledger, **limits))
        await self._all(lambda ledger: trim_judged(ledger, "outcomes", before=oldest, **limits))
        await self._all(lambda ledger: trim_judged(ledger, "comparisons", before=oldest, **limits))
        orphans = await self._all(lambda ledger: trim_orphans(ledger, oldest_orphan, _CHUNK))
        merged = await self._all(lambda ledger: trim_history(ledger, before=oldest, merge_before=now - _MINUTES_KEPT))
        await self._all(lambda ledger: vacuum(ledger, _VACUUM_PAGES))
        self._metrics.trimmed.inc(removed)
        self._metrics.orphans_trimmed.inc(orphans)
        self._metrics.history_merged.inc(merged)
        if removed or orphans:
            log.info("retention.trimmed", predictions=removed, orphans=orphans)

    async def _measure(self) -> None:
        size = await self._writer.do(lambda ledger: used_bytes(ledger.connection))
        self._metrics.database_bytes.set(size)
        self._metrics.moved_aside.set(len(await asyncio.to_thread(moved_aside, self._settings.database)))

    async def _all(self, step: Callable[[Ledger], int]) -> int:
        """Repeat a step until it finds nothing more, with pauses for the records that wait."""
        total = 0
        while count := await self._writer.do(step):
            total += count
            await asyncio.sleep(_PAUSE_SECONDS)
        return total
