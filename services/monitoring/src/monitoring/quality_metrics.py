"""The accuracy metrics, computed again every few seconds from the database."""

import asyncio
import sqlite3
import time

import structlog
from service_runtime.deadlines import Deadline
from service_runtime.errors import ServiceError

from monitoring import queries
from monitoring.metrics import Metrics
from monitoring.queries import DigestQuality, Scope
from monitoring.reader import Query, Reader
from monitoring.rows import MICROSECONDS
from monitoring.settings import Settings

log = structlog.get_logger()

_MAX_DIGESTS = 20
_DIGEST_START = len("sha256:")
_DIGEST_SHOWN = 12


async def keep_quality_metrics(reader: Reader, metrics: Metrics, settings: Settings) -> None:
    """Refresh the gauges again and again, until cancelled."""
    while True:
        try:
            _publish(await reader.run(_query(settings), Deadline.after(settings.query_timeout)), metrics)
        except ServiceError as error:
            log.warning("quality_metrics.skipped", reason=error.message)
        await asyncio.sleep(settings.quality_interval)


def _query(settings: Settings) -> Query[list[DigestQuality]]:
    now = int(time.time() * MICROSECONDS)
    scope = Scope(now - int(settings.quality_window_hours * 3600 * MICROSECONDS), now)

    def query(connection: sqlite3.Connection) -> list[DigestQuality]:
        return queries.labelled_qualities(connection, scope)

    return query


def _publish(found: list[DigestQuality], metrics: Metrics) -> None:
    for gauge in (metrics.accuracy, metrics.accuracy_lower, metrics.labelled):
        gauge.clear()
    for each in found[:_MAX_DIGESTS]:
        digest = each.model.digest[_DIGEST_START:][:_DIGEST_SHOWN]
        labels = (each.model.name, digest)
        accuracy = each.quality.accuracy
        metrics.labelled.labels(*labels).set(accuracy.trials)
        if accuracy.value is not None and accuracy.interval is not None:
            metrics.accuracy.labels(*labels).set(accuracy.value)
            metrics.accuracy_lower.labels(*labels).set(accuracy.interval[0])
