"""Rate, errors and duration of each service and of each of its revisions; what the services run on."""

from collections.abc import Iterator
from dataclasses import dataclass

from grafana_foundation_sdk.builders.dashboard import Dashboard

from observability.objectives import UNANSWERED
from observability.panels import AnyPanel, Query, board, curves, figure, filled

_IN = 'namespace=~"$namespace"'
_REVISION = "rollouts_pod_template_hash"
_OVER = "[$__rate_interval]"


@dataclass(frozen=True, slots=True)
class _Service:
    """The counter of a service's calls by code, its histogram of seconds, and the label that says what was called."""

    name: str
    calls: str
    seconds: str
    called: str


_SERVICES = (
    _Service("gateway", "gateway_requests_total", "gateway_request_seconds", "route"),
    _Service("preprocessing", "preprocessing_call_seconds_count", "preprocessing_call_seconds", "method"),
    _Service("monitoring", "monitoring_call_seconds_count", "monitoring_call_seconds", "method"),
)


def dashboard() -> Dashboard:
    """Build it."""
    begun = board(
        "services",
        "Services",
        "Rate, errors and duration per service and revision, and how fast they use up what loadtests/slo.yaml allows.",
        namespaces_of="gateway_requests_total",
    )
    rows: list[tuple[str, Iterator[AnyPanel]]] = [("In short", _short()), ("Objectives", _objectives())]
    rows += [(service.name, _red(service)) for service in _SERVICES]
    rows += [("Between services", _between()), ("What they run on", _resources())]
    return filled(begun, rows)


def _short() -> Iterator[AnyPanel]:
    requests = f"sum(rate(gateway_requests_total{{{_IN}}}{_OVER}))"
    unanswered = f'sum(rate(gateway_requests_total{{{_IN},code=~"{UNANSWERED}"}}{_OVER}))'
    yield figure("Requests", "reqps", Query(requests), meaning="Requests that the gateway answers per second.")
    yield figure(
        "Not answered",
        "percentunit",
        Query(f"({unanswered} or vector(0)) / {requests}"),
        meaning="Share of requests that broke or were refused for overload; availability is what is left.",
        limit=0.001,
    )
    yield figure(
        "p99",
        "s",
        Query(f"histogram_quantile(0.99, sum by (le) (rate(gateway_request_seconds_bucket{{{_IN}}}{_OVER})))"),
        meaning="Time within which 99 of 100 requests are answered, of all kinds together.",
        limit=0.25,
    )
    yield figure(
        "In flight",
        "short",
        Query(f"sum(gateway_requests_in_flight{{{_IN}}})"),
        meaning="Requests that are being worked on now; GATEWAY_MAX_IN_FLIGHT bounds it per replica.",
    )
    yield figure(
        "Records lost",
        "short",
        Query(f"sum(increase(gateway_records_dropped_total{{{_IN}}}[$__range])) or vector(0)"),
        meaning="Predictions in the chosen time that monitoring will never hear of.",
        limit=1,
    )
    yield figure(
        "Replicas",
        "short",
        Query(f'sum(up{{{_IN},service="gateway"}})'),
        meaning="Gateways that Prometheus can scrape.",
    )


def _objectives() -> Iterator[AnyPanel]:
    for window, factor in (("1h", 14.4), ("6h", 6.0), ("3d", 1.0)):
        yield curves(
            f"Burn rate over {window}",
            "short",
            Query(
                f"objective:budget_burn:rate{window}{{{_IN}}}",
                "{{service}} {{route}} {{figure}}",
            ),
            meaning="How many times faster than allowed an objective's budget is used up, from the recording rules of "
            "platform/alerts. Above the line for long, an alert fires: docs/runbooks/error-budget.md.",
            limit=factor,
        )


def _red(service: _Service) -> Iterator[AnyPanel]:
    calls, bucket = f"{service.calls}{{{_IN}}}", f"{service.seconds}_bucket{{{_IN}}}"
    failed = f'{service.calls}{{{_IN},code=~"{UNANSWERED}"}}'
    yield curves(
        "Rate",
        "reqps",
        Query(f"sum by ({service.called}) (rate({calls}{_OVER}))", f"{{{{{service.called}}}}}"),
        meaning=f"Calls per second by {service.called}.",
        stacked=True,
    )
    yield curves(
        "Codes other than OK",
        "reqps",
        Query(f'sum by (code) (rate({service.calls}{{{_IN},code!="OK"}}{_OVER}))', "{{code}}"),
        meaning="Calls per second that did not succeed. INVALID_ARGUMENT and NOT_FOUND are the callers' doing.",
    )
    yield curves(
        "Duration",
        "s",
        *(_quantile(share, bucket) for share in (0.5, 0.95, 0.99)),
        meaning="Time within which so many of a hundred calls are answered.",
    )
    yield curves(
        "Rate by revision",
        "reqps",
        Query(f"sum by ({_REVISION}) (rate({calls}{_OVER}))", f"{{{{{_REVISION}}}}}"),
        meaning="Calls per second by pod-template hash: while a canary runs there are two.",
        stacked=True,
    )
    yield curves(
        "Not answered, by revision",
        "percentunit",
        Query(
            f"(sum by ({_REVISION}) (rate({failed}{_OVER})) or 0 * sum by ({_REVISION}) (rate({calls}{_OVER})))"
            f" / sum by ({_REVISION}) (rate({calls}{_OVER}))",
            f"{{{{{_REVISION}}}}}",
        ),
        meaning="Share of calls that broke or were refused, by pod-template hash.",
    )
    yield curves(
        "p99 by revision",
        "s",
        Query(
            f"histogram_quantile(0.99, sum by (le, {_REVISION}) (rate({bucket}{_OVER})))",
            f"{{{{{_REVISION}}}}}",
        ),
        meaning="Time within which 99 of 100 calls are answered, by pod-template hash.",
    )


def _quantile(share: float, bucket: str) -> Query:
    return Query(f"histogram_quantile({share}, sum by (le) (rate({bucket}{_OVER})))", f"p{round(share * 100)}")


def _between() -> Iterator[AnyPanel]:
    yield curves(
        "Calls to other services",
        "reqps",
        Query(
            f"sum by (upstream, code) (rate(gateway_upstream_requests_total{{{_IN}}}{_OVER}))", "{{upstream}} {{code}}"
        ),
        meaning="What the gateway asks preprocessing and inference, by what came back.",
    )
    yield curves(
        "Tried again",
        "reqps",
        Query(f"sum by (upstream) (rate(gateway_upstream_retries_total{{{_IN}}}{_OVER}))", "{{upstream}}"),
        meaning="Calls that were repeated because the first attempt found nobody.",
    )
    yield curves(
        "Turned away at the door",
        "reqps",
        Query(f"sum by (reason) (rate(gateway_callers_refused_total{{{_IN}}}{_OVER}))", "{{reason}}"),
        meaning="Requests refused for who sent them, by reason: docs/runbooks/callers-turned-away.md.",
    )
    yield curves(
        "Records on their way",
        "short",
        Query(f"sum by (pod) (gateway_records_pending{{{_IN}}})", "{{pod}}"),
        meaning="Predictions that monitoring has not acknowledged; at GATEWAY_RECORD_BUFFER they begin to be dropped.",
    )
    yield curves(
        "Records dropped",
        "reqps",
        Query(f"sum by (reason) (rate(gateway_records_dropped_total{{{_IN}}}{_OVER}))", "{{reason}}"),
        meaning="Predictions that monitoring will never hear of: docs/runbooks/records-dropped.md.",
    )
    yield curves(
        "Monitoring's disk",
        "s",
        Query(
            f"histogram_quantile(0.99, sum by (le) (rate(monitoring_commit_seconds_bucket{{{_IN}}}{_OVER})))",
            "commit, p99",
        ),
        meaning="Time of one durable commit.",
    )


def _resources() -> Iterator[AnyPanel]:
    yield curves(
        "CPU",
        "short",
        Query(f"sum by (service, pod) (rate(process_cpu_seconds_total{{{_IN}}}{_OVER}))", "{{service}} {{pod}}"),
        meaning="Cores that each process uses; sidecars are on the dashboard of the mesh.",
    )
    yield curves(
        "Memory",
        "bytes",
        Query(f"sum by (service, pod) (process_resident_memory_bytes{{{_IN}}})", "{{service}} {{pod}}"),
        meaning="Resident memory of each process.",
    )
    yield curves(
        "Waiting",
        "short",
        Query(f"sum by (pod) (preprocessing_queue_waiting{{{_IN}}})", "preprocessing {{pod}}"),
        Query(f"sum by (pod) (monitoring_queue_waiting{{{_IN}}})", "monitoring {{pod}}"),
        meaning="Calls that wait for their turn in preprocessing, batches that wait for monitoring's disk.",
    )
