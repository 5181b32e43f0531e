"""What analyses of canaries read: the calls of each version of a service, and how they went.

Rates, recorded at every evaluation, so that those of any time can be added up: stable's of just the time in which there
was a canary, with pods that came, went and began again meanwhile.
"""

from collections.abc import Iterable, Iterator
from typing import Any

# Asked of nobody and by anybody: whoever is outside could flood a canary with them.
_WORK = 'route!~"/v2|/v2/health/.*|/grpc[.](health|reflection)[.].*|.*/Server(Live|Ready|Metadata)"'
_FAILED = 'code!~"OK|CANCELLED"'
_PODS = 'service=~"gateway|preprocessing|inference"'
_VERSION = "namespace, service, rollouts_pod_template_hash"
_POD = f"{_VERSION}, pod"
_OVER = "[1m]"


def canary_rules() -> Iterator[dict[str, Any]]:
    """Yield them; `version` is a service and the hash of its pods' template."""
    begun = f"0 * max by ({_POD}) (process_start_time_seconds{{{_PODS}}})"
    calls = (
        f"gateway_requests_total{{{_WORK}}}",
        "preprocessing_call_seconds_count",
        # Triton counts apart what failed.
        '{__name__=~"nv_inference_request_(success|failure)",reason!="CANCELED"}',
    )
    failed = (
        f"gateway_requests_total{{{_WORK},{_FAILED}}}",
        f"preprocessing_call_seconds_count{{{_FAILED}}}",
        'nv_inference_request_failure{reason!="CANCELED"}',
    )
    # Counters begin with the first call of a kind: from nothing, not from there.
    yield _record("pod:calls:total", _summed(calls, _POD, begun))
    yield _record("pod:failed_calls:total", _summed(failed, _POD, begun))
    for name in ("calls", "failed_calls"):
        yield _record(f"version:{name}:rate", f"sum by ({_VERSION}) (irate(pod:{name}:total{_OVER}))")
    buckets = (
        f"gateway_request_seconds_bucket{{{_WORK}}}",
        "preprocessing_call_seconds_bucket",
        # Triton has no histogram, its sidecar has: in milliseconds.
        'envoy_cluster_upstream_rq_time_bucket{service="inference",cluster_name=~"inbound.*"}',
    )
    rates = (f"irate({each}{_OVER})" for each in buckets)
    yield _record("version:call_duration_bucket:rate", _summed(rates, f"{_VERSION}, le"))
    queued = f"irate(nv_inference_queue_duration_us{_OVER})"
    yield _record("version:queued_seconds:rate", f"sum by ({_VERSION}) ({queued}) / 1e6")


def _summed(series: Iterable[str], labels: str, *otherwise: str) -> str:
    return " or ".join((*(f"sum by ({labels}) ({each})" for each in series), *otherwise))


def _record(name: str, expression: str) -> dict[str, Any]:
    return {"record": name, "expr": expression}
