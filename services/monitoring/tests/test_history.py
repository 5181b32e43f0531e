"""Percentiles that are read from counts in buckets."""

import random

import pytest
from monitoring.history import merged, percentile_ms
from monitoring.rows import latency_bucket


@pytest.mark.requirement("MONITORING-011")
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("typical_ms", [0.05, 3, 40, 2500])
def test_percentiles_from_buckets_are_within_ten_percent(share: float, typical_ms: float) -> None:
    source = random.Random(int(share * 100) + int(typical_ms))
    latencies = sorted(source.lognormvariate(0, 0.6) * typical_ms for _ in range(20_000))
    histogram: dict[int, int] = {}
    for latency in latencies:
        bucket = latency_bucket(int(latency * 1000))
        histogram[bucket] = histogram.get(bucket, 0) + 1
    assert percentile_ms(histogram, share) == pytest.approx(latencies[int(share * len(latencies))], rel=0.1)


def test_no_latencies_have_no_percentile() -> None:
    assert percentile_ms({}, 0.5) is None


def test_histograms_add_up() -> None:
    assert merged([{1: 2, 5: 1}, {5: 3}, {}]) == {1: 2, 5: 4}
