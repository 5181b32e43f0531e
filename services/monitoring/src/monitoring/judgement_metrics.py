"""Verdicts as metrics: a rollout knows the pods of its canary, and Prometheus which digest they serve."""

import asyncio
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, Gauge
from service_runtime.deadlines import Deadline
from service_runtime.errors import ServiceError

from monitoring.comparisons import compared_lately
from monitoring.history import traffic_by_source
from monitoring.judgement_api import ACCURACY_LIMITS, DISAGREEMENT_LIMITS
from monitoring.judgements import (
    OTHERS,
    AccuracyJudged,
    DisagreementJudged,
    Sides,
    judge_accuracy,
    judge_disagreement,
)
from monitoring.judging.verdicts import DropJudgement, RateJudgement, Verdict
from monitoring.queries import Scope
from monitoring.reader import Reader
from monitoring.rows import MICROSECONDS
from monitoring.settings import Settings
from monitoring.sources import PARTS, sources

log = structlog.get_logger()

_INTERVAL_S = 3.0
_SHARE_OF_TIME = 0.05
_RECENT_S = 300
_MOST = 4
_NUMBERS = {Verdict.PROMOTE: 1, Verdict.INCONCLUSIVE: 0, Verdict.ABORT: -1}
_BY = ("digest", "revision")

_Labels = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Judged:
    """Who answers by (model, by, name), and shadows by (model, stable, shadow)."""

    answers: dict[_Labels, AccuracyJudged]
    shadows: dict[_Labels, DisagreementJudged]


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
        pair = ["model", "stable", "shadow"]
        self.disagreement = Gauge(
            "monitoring_disagreement_judgement",
            "Of a shadow against stable: 1 may be promoted, -1 is to be aborted, 0 not enough comparisons yet.",
            pair,
            registry=registry,
        )
        self.disagreement_evidence = Gauge(
            "monitoring_disagreement_judgement_evidence",
            "The evidence for a verdict on a shadow; 100 decides.",
            [*pair, "verdict"],
            registry=registry,
        )

    def publish(self, judged: Judged) -> None:
        """Show these, and nothing else any more."""
        for gauge in (self.verdict, self.evidence, self.disagreement, self.disagreement_evidence):
            gauge.clear()
        for labels, answer in judged.answers.items():
            self.verdict.labels(*labels).set(_NUMBERS[answer.verdict])
            _show(self.evidence, labels, answer.judgement)
        for labels, shadow in judged.shadows.items():
            self.disagreement.labels(*labels).set(_NUMBERS[shadow.judgement.verdict])
            _show(self.disagreement_evidence, labels, shadow.judgement)


def _show(gauge: Gauge, labels: _Labels, judgement: DropJudgement | RateJudgement) -> None:
    gauge.labels(*labels, "abort").set(judgement.evidence_for_abort)
    gauge.labels(*labels, "promote").set(judgement.evidence_for_promote)


async def keep_judgement_metrics(reader: Reader, metrics: JudgementMetrics, settings: Settings) -> None:
    """Judge whoever answered lately, and the shadows beside them, again and again, until cancelled."""
    while True:
        began = time.monotonic()
        try:
            metrics.publish(await reader.run(_judge_recent, Deadline.after(settings.query_timeout)))
        except ServiceError as error:
            log.warning("judgement_metrics.skipped", reason=error.message)
        # An undecided judgement reads all of its labels each time.
        await asyncio.sleep(max(_INTERVAL_S, (time.monotonic() - began) / _SHARE_OF_TIME))


def _judge_recent(connection: sqlite3.Connection) -> Judged:
    now = int(time.time() * MICROSECONDS)
    since = now - _RECENT_S * MICROSECONDS
    return Judged(
        answers={
            (model, by, name): judge_accuracy(connection, Sides(by, OTHERS, name, model=model), ACCURACY_LIMITS)
            for model, by, name in _recent(connection, Scope(since, now))
        },
        shadows={
            (model, pair.stable, pair.shadow): judge_disagreement(connection, pair, DISAGREEMENT_LIMITS)
            for model, pair in compared_lately(connection, since=since, most=_MOST)
        },
    )


def _recent(connection: sqlite3.Connection, scope: Scope) -> Iterator[_Labels]:
    """Yield what answered in the last minutes, the newest few of each kind: a canary is one of them."""
    known = sources(connection)
    asked = traffic_by_source(connection, scope)
    names: defaultdict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for number in sorted(asked, reverse=True):
        for by in _BY:
            if name := PARTS[by](known[number]):
                names[known[number].name, by][name] = None
    for (model, by), found in names.items():
        yield from ((model, by, name) for name in list(found)[:_MOST])
