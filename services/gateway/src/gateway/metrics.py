"""The gateway's metrics.

What every request counts is kept in plain numbers and shown when asked: one thread counts here, and the locks
and checks of prometheus_client would cost each request more than its span and its admission together.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate

from grpc import StatusCode
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

# Every latency that loadtests/slo.yaml promises is a bound: what is within it is then counted, not estimated.
_SECONDS = (
    *(0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.03, 0.04, 0.05, 0.1, 0.12, 0.15, 0.25, 0.3),
    *(0.5, 1.0, 2.5, 5.0, 10.0),
)
_BOUNDS = [*map(str, _SECONDS), "+Inf"]


class RecorderMetrics:
    """What becomes of predictions on their way to monitoring."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.recorded = Counter(
            "gateway_records_acknowledged_total", "Predictions that monitoring holds durably", registry=registry
        )
        self.dropped = Counter(
            "gateway_records_dropped_total",
            "Predictions that monitoring will never hear of, by reason",
            ("reason",),
            registry=registry,
        )
        self.pending = Gauge(
            "gateway_records_pending", "Predictions that monitoring has not acknowledged yet", registry=registry
        )


class UpstreamMetrics:
    """Calls to other services."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._requests = _Counts(
            "gateway_upstream_requests", "Calls by service and outcome", ("upstream", "code"), registry
        )
        self.retries = Counter(
            "gateway_upstream_retries_total", "Calls that were tried again", ("upstream",), registry=registry
        )

    def observe(self, upstream: str, code: StatusCode) -> None:
        """Count one call."""
        self._requests.values[upstream, code.name] += 1


class RequestMetrics:
    """Requests at the edge, over HTTP and gRPC alike."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._requests = _Counts(
            "gateway_requests", "Requests answered, by route and gRPC status code", ("route", "code"), registry
        )
        self._latency = _Latencies("gateway_request_seconds", "Time from a request to its answer", registry)
        self.in_flight = Gauge("gateway_requests_in_flight", "Requests that are being worked on", registry=registry)

    def observe(self, route: str, code: StatusCode, seconds: float) -> None:
        """Count one answered request."""
        self._requests.values[route, code.name] += 1
        self._latency.observe(route, seconds)


class ShadowMetrics:
    """Copies of requests for the shadow, and what became of them."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._compared = _Counts(
            "gateway_shadow_compared", "Answers of the shadow beside stable's, by outcome", ("outcome",), registry
        )
        self._dropped = _Counts(
            "gateway_shadow_dropped", "Copies and comparisons that came to nothing, by reason", ("reason",), registry
        )
        self.pending = Gauge("gateway_shadow_pending", "Copies that wait for the shadow", registry=registry)

    def compared(self, outcome: str) -> None:
        """Count a copy that the shadow was asked."""
        self._compared.values[(outcome,)] += 1

    def dropped(self, reason: str, count: int = 1) -> None:
        """Count what is given up."""
        self._dropped.values[(reason,)] += count


class CallerMetrics:
    """Callers who are turned away at the door."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._refused = _Counts(
            "gateway_callers_refused", "Requests turned away for who sent them, by reason", ("reason",), registry
        )

    def refused(self, reason: str) -> None:
        """Count a request that is not let in."""
        self._refused.values[(reason,)] += 1


class IssuerMetrics:
    """The keys that tokens are checked with; there only where an issuer is configured."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.keys_read = Gauge(
            "gateway_issuer_keys_read_timestamp_seconds",
            "When the issuer's keys were read last, in seconds since 1970; 0: not yet",
            registry=registry,
        )


class _Counts(Collector):
    """A counter by labels; the library adds `_total` to its name."""

    def __init__(self, name: str, documentation: str, labels: tuple[str, ...], registry: CollectorRegistry) -> None:
        self.values: defaultdict[tuple[str, ...], int] = defaultdict(int)
        self._family = name, documentation, labels
        registry.register(self)

    def collect(self) -> Iterator[CounterMetricFamily]:
        name, documentation, labels = self._family
        family = CounterMetricFamily(name, documentation, labels=labels)
        for values, count in self.values.items():
            family.add_metric(values, count)
        yield family


class _Latencies(Collector):
    """A histogram of seconds by route."""

    def __init__(self, name: str, documentation: str, registry: CollectorRegistry) -> None:
        self._family = name, documentation
        self._counts: defaultdict[str, list[int]] = defaultdict(lambda: [0] * len(_BOUNDS))
        self._sums: defaultdict[str, float] = defaultdict(float)
        registry.register(self)

    def observe(self, route: str, seconds: float) -> None:
        self._counts[route][bisect_left(_SECONDS, seconds)] += 1
        self._sums[route] += seconds

    def collect(self) -> Iterator[HistogramMetricFamily]:
        name, documentation = self._family
        family = HistogramMetricFamily(name, documentation, labels=("route",))
        for route, counts in self._counts.items():
            buckets = list(zip(_BOUNDS, accumulate(counts), strict=True))
            family.add_metric((route,), buckets, self._sums[route])
        yield family
