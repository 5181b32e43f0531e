"""Canary against stable while a rollout is under way: weights, success, latency, and what the analysis says."""

from collections.abc import Iterator

from grafana_foundation_sdk.builders.dashboard import Dashboard

from observability.objectives import UNANSWERED
from observability.panels import AnyPanel, Query, board, curves, filled

_REVISION = "rollouts_pod_template_hash"
_IN = f'namespace=~"$namespace",{_REVISION}!=""'
_OVER = "[$__rate_interval]"
_BY_REVISION = f"{{{{{_REVISION}}}}}"
# The controller's own metrics name the namespace of a rollout, and so does whoever scrapes the controller: one yields.
_ROLLOUTS = ('exported_namespace=~"$namespace"', 'namespace=~"$namespace",exported_namespace=""')


def dashboard() -> Dashboard:
    """Build it."""
    begun = board(
        "canary",
        "Canary",
        "Weights, success and latency of canary and stable, told apart by pod-template hash, and the rollouts' state.",
        namespaces_of="gateway_requests_total",
    )
    rows = [
        ("Rollouts", _rollouts()),
        ("gateway", _service("gateway_requests_total", "gateway_request_seconds")),
        ("preprocessing", _service("preprocessing_call_seconds_count", "preprocessing_call_seconds")),
        ("inference", _inference()),
        ("What callers' sidecars see", _sidecars()),
    ]
    return filled(begun, rows)


def _rollouts() -> Iterator[AnyPanel]:
    yield curves(
        "Phase",
        "bool",
        Query(_either("max by (name, phase) (rollout_info{{{}}}) == 1"), "{{name}} {{phase}}"),
        meaning="Progressing, Paused, Healthy or Degraded. Degraded: aborted, docs/runbooks/aborted-canary.md.",
        width=6,
    )
    yield curves(
        "Replicas of the new revision",
        "short",
        Query(_either("max by (name) (rollout_info_replicas_updated{{{}}})"), "{{name}}"),
        meaning="Replicas that run the newest pod template.",
        width=6,
    )
    yield curves(
        "Measurements of analyses",
        "short",
        Query(_either("sum by (metric, phase) (analysis_run_metric_phase{{{}}} == 1)"), "{{metric}} {{phase}}"),
        meaning="Metrics of the analysis runs that are kept, by what they came to. Inconclusive never promotes.",
        width=6,
    )
    yield curves(
        "Aborted",
        "short",
        Query(_either('sum by (name) (increase(rollout_events_total{{{},reason="RolloutAborted"}}[10m]))'), "{{name}}"),
        meaning="Rollouts that were stopped in the last ten minutes.",
        width=6,
    )


def _either(query: str) -> str:
    return " or ".join(query.format(matchers) for matchers in _ROLLOUTS)


def _service(calls: str, seconds: str) -> Iterator[AnyPanel]:
    by_revision = f"sum by ({_REVISION}) (rate({calls}{{{_IN}}}{_OVER}))"
    failed = f'sum by ({_REVISION}) (rate({calls}{{{_IN},code=~"{UNANSWERED}"}}{_OVER}))'
    yield _share(by_revision, calls)
    yield curves(
        "Success",
        "percentunit",
        Query(f"1 - ({failed} or 0 * {by_revision}) / {by_revision}", _BY_REVISION),
        meaning="Share of calls that neither broke nor were refused, canary beside stable.",
        share=True,
    )
    yield curves(
        "p99",
        "s",
        Query(
            f"histogram_quantile(0.99, sum by (le, {_REVISION}) (rate({seconds}_bucket{{{_IN}}}{_OVER})))", _BY_REVISION
        ),
        meaning="Time within which 99 of 100 calls are answered, canary beside stable.",
    )


def _inference() -> Iterator[AnyPanel]:
    succeeded = f"sum by ({_REVISION}) (rate(nv_inference_request_success{{{_IN}}}{_OVER}))"
    failed = f'sum by ({_REVISION}) (rate(nv_inference_request_failure{{{_IN},reason!="CANCELED"}}{_OVER}))'
    yield _share(succeeded, "nv_inference_request_success")
    yield curves(
        "Success",
        "percentunit",
        Query(f"{succeeded} / ({succeeded} + ({failed} or 0 * {succeeded}))", _BY_REVISION),
        meaning="Share of requests that Triton did not fail; those whose callers left do not count.",
        share=True,
    )
    yield curves(
        "Mean time, of it waiting",
        "µs",
        *(
            Query(
                f"sum by ({_REVISION}) (rate(nv_inference_{part}_duration_us{{{_IN}}}{_OVER})) / {succeeded}",
                f"{_BY_REVISION} {part}",
            )
            for part in ("request", "queue")
        ),
        meaning="Time of a request in Triton and in its queue, on average: Triton keeps no percentiles.",
    )
    yield curves(
        "Accuracy by digest",
        "percentunit",
        *(
            Query(
                f'max by (model, digest) (monitoring_accuracy_{name}{{namespace=~"$namespace"}})',
                f"{{{{model}}}} {{{{digest}}}} {part}",
            )
            for part, name in {"accuracy": "ratio", "lower": "lower_ratio", "upper": "upper_ratio"}.items()
        ),
        meaning="Of answers with feedback, between the ends of its 95 % interval. Monitoring judges it, and draws the "
        "evidence on its page.",
        width=24,
        share=True,
        banded=True,
    )


def _share(by_revision: str, calls: str) -> AnyPanel:
    return curves(
        "Share of calls",
        "percentunit",
        Query(f"{by_revision} / ignoring ({_REVISION}) group_left () sum(rate({calls}{{{_IN}}}{_OVER}))", _BY_REVISION),
        meaning="What each pod-template hash really gets: the weight as it is, not as it was asked for.",
        stacked=True,
        share=True,
    )


def _sidecars() -> Iterator[AnyPanel]:
    subsets = 'namespace=~"$namespace",cluster_name=~"outbound[|].*[|](stable|canary)[|].*"'
    named = (
        'label_replace({}, "subset", "$2 $1", "cluster_name", "outbound[|].*[|](stable|canary)[|]([a-z0-9-]+)[.].*")'
    )
    # Each request is counted under its code and under its class: one of them is enough.
    requests = f'sum by (cluster_name) (rate(envoy_cluster_upstream_rq{{{subsets},response_code_class!=""}}{_OVER}))'
    broken = f'sum by (cluster_name) (rate(envoy_cluster_upstream_rq{{{subsets},response_code_class="5xx"}}{_OVER}))'
    yield curves(
        "Requests by subset",
        "reqps",
        Query(f"sum by (subset) ({named.format(requests)})", "{{subset}}"),
        meaning="Requests that sidecars of callers sent to each subset.",
        width=12,
        stacked=True,
    )
    yield curves(
        "5xx by subset",
        "reqps",
        Query(f"sum by (subset) ({named.format(broken)})", "{{subset}}"),
        meaning="Of these, requests that ended with a status of 5xx. gRPC's codes are in the rows above.",
        width=12,
    )
