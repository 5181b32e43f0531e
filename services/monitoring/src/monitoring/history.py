"""Traffic and latency over time, read from the counts per minute."""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from monitoring.queries import Scope
from monitoring.rows import MINUTE, bucket_bounds

STAGES = ("preprocessing", "inference", "total")
Histogram = dict[int, int]


@dataclass(frozen=True, slots=True)
class SourceTraffic:
    """How much one source was asked, and when first and last, in the window."""

    predictions: int
    first_at: int
    last_at: int


def traffic_by_source(connection: sqlite3.Connection, scope: Scope) -> dict[int, SourceTraffic]:
    """Return the traffic of each source in the window, to the minute."""
    rows = connection.execute(
        f"""SELECT model_id, sum(predictions), min(minute), max(minute) FROM traffic
            WHERE {scope.where("minute", unit=MINUTE)} GROUP BY model_id"""  # noqa: S608 - integers
    )
    return {row[0]: SourceTraffic(row[1], row[2] * MINUTE, row[3] * MINUTE) for row in rows}


def traffic_over_time(connection: sqlite3.Connection, scope: Scope, *, step: int) -> list[tuple[int, int]]:
    """Return the predictions per step, where there were any."""
    minutes = step // MINUTE
    return connection.execute(
        f"""SELECT minute / {minutes} * {step}, sum(predictions) FROM traffic
            WHERE {scope.where("minute", unit=MINUTE)} GROUP BY 1 ORDER BY 1"""  # noqa: S608 - integers
    ).fetchall()


def traffic_over_time_by_source(
    connection: sqlite3.Connection, scope: Scope, *, step: int
) -> dict[int, list[tuple[int, int]]]:
    """Return the predictions of each source per step, where there were any."""
    minutes = step // MINUTE
    rows = connection.execute(
        f"""SELECT model_id, minute / {minutes} * {step}, sum(predictions) FROM traffic
            WHERE {scope.where("minute", unit=MINUTE)} GROUP BY 1, 2"""  # noqa: S608 - integers
    )
    found: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for number, at, count in rows:
        found[number].append((at, count))
    return dict(found)


def class_mix(connection: sqlite3.Connection, scope: Scope) -> dict[str, int]:
    """Return how often each class was predicted."""
    return dict(
        connection.execute(
            f"SELECT label, sum(predictions) FROM traffic WHERE {scope.where('minute', unit=MINUTE)} GROUP BY label"  # noqa: S608
        ).fetchall()
    )


def latency_over_time(connection: sqlite3.Connection, scope: Scope, *, step: int) -> dict[int, dict[str, Histogram]]:
    """Return a histogram per step and stage."""
    minutes = step // MINUTE
    rows = connection.execute(
        f"""SELECT minute / {minutes} * {step}, stage, bucket, sum(predictions) FROM latency
            WHERE {scope.where("minute", unit=MINUTE)} GROUP BY 1, 2, 3 ORDER BY 1"""  # noqa: S608 - integers
    )
    steps: defaultdict[int, dict[str, Histogram]] = defaultdict(lambda: {stage: {} for stage in STAGES})
    for start, stage, bucket, count in rows:
        steps[start][STAGES[stage]][bucket] = count
    return dict(steps)


def merged(histograms: list[Histogram]) -> Histogram:
    """Return the histogram of all of them together."""
    total: Histogram = {}
    for histogram in histograms:
        for bucket, count in histogram.items():
            total[bucket] = total.get(bucket, 0) + count
    return total


def percentile_ms(histogram: Mapping[int, int], share: float) -> float | None:
    """Return the milliseconds below which `share` of the counts lie, interpolated within a bucket."""
    rank = share * sum(histogram.values())
    for bucket in sorted(histogram):
        count = histogram[bucket]
        if rank <= count:
            lower, upper = bucket_bounds(bucket)
            return (lower + (upper - lower) * rank / count) / 1000
        rank -= count
    return None
