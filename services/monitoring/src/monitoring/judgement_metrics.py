"""Verdicts as metrics: a rollout knows the pods of its canary, and Prometheus which digest they serve."""

import asyncio
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, Gauge
from service_runtime.deadlines import Deadline
from service_runtime.errors import ServiceError

from monitoring.history import traffic_by_source
from monitoring.judgements import OTHERS, AccuracyJudged, Sides, judge_accuracy
from monitoring.judging.verdicts import Limits, Verdict
from monitoring.queries import Scope
from monitoring.reader import Reader
from monitoring.rows import MICROSECONDS
from monitoring.settings import Settings
from monitoring.sources import PARTS, sources

log = structlog.get_logger()

LIMITS = Limits(tolerated=0.01, refused=0.05, alpha=0.01)
"""Those that are asked for by default: docs/judgements.md."""
_INTERVAL_S = 3.0
_SHARE_OF_TIME = 0.05
_RECENT_S = 300
_MOST = 4
_NUMBERS = {Verdict.PROMOTE: 1, Verdict.INCONCLUSIVE: 0, Verdict.ABORT: -1}
_BY = ("digest", "revision")

Judged = dict[tuple[str, str, str], AccuracyJudged]


class JudgementMetrics:
    """What may be done with whoever answers these days, as far as labels tell."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        labels = ["model", "by", "name"]
        self.verdict = Gauge(
            "monitoring_judgement",
            "Against whoever else answers: 1 may be promoted, -1 is to be aborted, 0 not enough labels yet.",
            labels,
            registry=registry,
        )
        self.evidence = Gauge(
            "monitoring_judgement_evidence",
            "The evidence for a verdict; 100 decides.",
            [*labels, "verdict"],
            registry=registry,
        )

    def publish(self, judged: Judged) -> None:
        """Show these, and nothing else any more."""
        self.verdict.clear()
        self.evidence.clear()
        for labels, each in judged.items():
            self.verdict.labels(*labels).set(_NUMBERS[each.verdict])
            self.evidence.labels(*labels, "abort").set(each.judgement.evidence_for_abort)
            self.evidence.labels(*labels, "promote").set(each.judgement.evidence_for_promote)


async def keep_judgement_metrics(reader: Reader, metrics: JudgementMetrics, settings: Settings) -> None:
    """Judge whoever answered lately again and again, until cancelled."""
    while True:
        began = time.monotonic()
        try:
            metrics.publish(await reader.run(_judge_recent, Deadline.after(settings.query_timeout)))
        except ServiceError as error:
            log.warning("judgement_metrics.skipped", reason=error.message)
        # An undecided judgement reads all of its labels each time.
        await asyncio.sleep(max(_INTERVAL_S, (time.monotonic() - began) / _SHARE_OF_TIME))


def _judge_recent(connection: sqlite3.Connection) -> Judged:
    return {
        (model, by, name): judge_accuracy(connection, Sides(by, OTHERS, name, model=model), LIMITS)
        for model, by, name in _recent(connection)
    }


def _recent(connection: sqlite3.Connection) -> Iterator[tuple[str, str, str]]:
    """Yield what answered in the last minutes, the newest few of each kind: a canary is one of them."""
    now = int(time.time() * MICROSECONDS)
    known = sources(connection)
    asked = traffic_by_source(connection, Scope(now - _RECENT_S * MICROSECONDS, now))
    names: defaultdict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for number in sorted(asked, reverse=True):
        for by in _BY:
            if name := PARTS[by](known[number]):
                names[known[number].name, by][name] = None
    for (model, by), found in names.items():
        yield from ((model, by, name) for name in list(found)[:_MOST])
