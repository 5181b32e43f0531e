"""The gateway's metrics."""

from functools import cache

from grpc import StatusCode
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


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
        requests = Counter(
            "gateway_upstream_requests_total", "Calls by service and outcome", ("upstream", "code"), registry=registry
        )
        self._requests = cache(requests.labels)
        self.retries = Counter(
            "gateway_upstream_retries_total", "Calls that were tried again", ("upstream",), registry=registry
        )

    def observe(self, upstream: str, code: StatusCode) -> None:
        """Count one call."""
        self._requests(upstream, code.name).inc()


class RequestMetrics:
    """Requests at the edge, over HTTP and gRPC alike."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        requests = Counter(
            "gateway_requests_total",
            "Requests answered, by route and gRPC status code",
            ("route", "code"),
            registry=registry,
        )
        latency = Histogram(
            "gateway_request_seconds",
            "Time from a request to its answer",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.in_flight = Gauge("gateway_requests_in_flight", "Requests that are being worked on", registry=registry)
        # Looking up a label set costs more than counting: each is looked up once. Routes and codes are few.
        self._requests = cache(requests.labels)
        self._latency = cache(latency.labels)

    def observe(self, route: str, code: StatusCode, seconds: float) -> None:
        """Count one answered request."""
        self._requests(route, code.name).inc()
        self._latency(route).observe(seconds)
