"""What Prometheus reads of the gateway."""

import pytest
from gateway.metrics import RequestMetrics, UpstreamMetrics
from grpc import StatusCode
from prometheus_client import CollectorRegistry, generate_latest


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def lines(registry: CollectorRegistry) -> list[str]:
    return generate_latest(registry).decode().splitlines()


@pytest.mark.requirement("GATEWAY-006")
def test_requests_are_counted_by_route_and_code(registry: CollectorRegistry) -> None:
    metrics = RequestMetrics(registry)
    for code in (StatusCode.OK, StatusCode.OK, StatusCode.UNAVAILABLE):
        metrics.observe("/v2", code, 0.004)
    shown = lines(registry)
    assert "# TYPE gateway_requests_total counter" in shown
    assert 'gateway_requests_total{code="OK",route="/v2"} 2.0' in shown
    assert 'gateway_requests_total{code="UNAVAILABLE",route="/v2"} 1.0' in shown


@pytest.mark.requirement("GATEWAY-006")
def test_a_latency_is_in_its_bucket_and_in_all_above(registry: CollectorRegistry) -> None:
    metrics = RequestMetrics(registry)
    for seconds in (0.005, 0.0051, 99.0):  # a bound belongs to its bucket
        metrics.observe("/v2", StatusCode.OK, seconds)
    shown = [line for line in lines(registry) if line.startswith("gateway_request_seconds")]
    buckets = {line.split('le="')[1].split('"')[0]: float(line.split()[-1]) for line in shown if "le=" in line}
    assert [buckets[bound] for bound in ("0.003", "0.005", "0.0075", "10.0", "+Inf")] == [0, 1, 2, 2, 3]
    assert 'gateway_request_seconds_count{route="/v2"} 3.0' in shown
    assert 'gateway_request_seconds_sum{route="/v2"} 99.0101' in shown


@pytest.mark.requirement("GATEWAY-006")
def test_upstream_calls_are_counted_by_service_and_outcome(registry: CollectorRegistry) -> None:
    metrics = UpstreamMetrics(registry)
    metrics.observe("inference", StatusCode.OK)
    assert 'gateway_upstream_requests_total{code="OK",upstream="inference"} 1.0' in lines(registry)
