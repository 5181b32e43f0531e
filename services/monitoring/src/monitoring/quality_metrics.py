"""The accuracy metrics, computed again every few seconds from the database."""

import asyncio
import sqlite3
import time
from collections import defaultdict
from dataclasses import dataclass

import structlog
from service_runtime.deadlines import Deadline
from service_runtime.errors import ServiceError

from monitoring import history, queries
from monitoring.metrics import QualityMetrics, shown_digest
from monitoring.queries import DigestQuality, Scope
from monitoring.reader import Query, Reader
from monitoring.rows import MICROSECONDS
from monitoring.settings import Settings
from monitoring.sources import Source, sources
from monitoring.splits import Split, splits

log = structlog.get_logger()

_MAX_DIGESTS = 20
_SPLIT_BY = ("revision", "arm")
_MAX_SPLITS = 20


async def keep_quality_metrics(reader: Reader, metrics: QualityMetrics, settings: Settings) -> None:
    """Refresh the gauges again and again, until cancelled."""
    while True:
        try:
            _publish(await reader.run(_query(settings), Deadline.after(settings.query_timeout)), metrics)
        except ServiceError as error:
            log.warning("quality_metrics.skipped", reason=error.message)
        await asyncio.sleep(settings.quality_interval)


@dataclass(frozen=True, slots=True)
class _Figures:
    digests: list[DigestQuality]
    # By a model's name, then by what its answers are told apart by.
    splits: dict[str, dict[str, list[Split]]]


def _query(settings: Settings) -> Query[_Figures]:
    now = int(time.time() * MICROSECONDS)
    scope = Scope(now - int(settings.quality_window_hours * 3600 * MICROSECONDS), now)

    def query(connection: sqlite3.Connection) -> _Figures:
        refs, tallies = sources(connection), queries.tallies_by_source(connection, scope)
        traffic = history.traffic_by_source(connection, scope)
        of_models: defaultdict[str, dict[int, Source]] = defaultdict(dict)
        for number in tallies:
            of_models[refs[number].name][number] = refs[number]
        return _Figures(
            queries.labelled_qualities(refs, tallies),
            {name: splits(of_model, traffic, tallies) for name, of_model in of_models.items()},
        )

    return query


def _publish(found: _Figures, metrics: QualityMetrics) -> None:
    _publish_digests(found.digests, metrics)
    _publish_splits(found.splits, metrics)


def _publish_digests(found: list[DigestQuality], metrics: QualityMetrics) -> None:
    gauges = (metrics.accuracy, metrics.accuracy_lower, metrics.accuracy_upper)
    for gauge in (*gauges, metrics.labelled):
        gauge.clear()
    for each in found[:_MAX_DIGESTS]:
        labels, accuracy = (each.model.name, shown_digest(each.model.digest)), each.quality.accuracy
        metrics.labelled.labels(*labels).set(accuracy.trials)
        if accuracy.value is not None and accuracy.interval is not None:
            for gauge, value in zip(gauges, (accuracy.value, *accuracy.interval), strict=True):
                gauge.labels(*labels).set(value)


def _publish_splits(found: dict[str, dict[str, list[Split]]], metrics: QualityMetrics) -> None:
    gauges = (metrics.split_accuracy, metrics.split_accuracy_lower, metrics.split_accuracy_upper)
    for gauge in (*gauges, metrics.split_labelled):
        gauge.clear()
    for model, parts in found.items():
        for part in _SPLIT_BY:
            for split in [each for each in parts[part] if each.value][:_MAX_SPLITS]:
                labels, accuracy = (model, part, split.value), split.accuracy
                metrics.split_labelled.labels(*labels).set(accuracy.trials)
                if accuracy.value is not None and accuracy.interval is not None:
                    for gauge, value in zip(gauges, (accuracy.value, *accuracy.interval), strict=True):
                        gauge.labels(*labels).set(value)
