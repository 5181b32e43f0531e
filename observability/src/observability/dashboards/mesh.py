"""What the mesh does with requests, and what it costs."""

from collections.abc import Iterator

from grafana_foundation_sdk.builders.dashboard import Dashboard

from observability.panels import AnyPanel, Query, board, curves, filled

_IN = 'namespace=~"$namespace"'
_OVER = "[$__rate_interval]"
_OUT = f'{_IN},cluster_name=~"outbound[|].*"'
_SIDECAR = f'{_IN},container="istio-proxy"'


def dashboard() -> Dashboard:
    """Build it."""
    begun = board(
        "mesh",
        "Mesh",
        "Requests between sidecars, what they refuse and eject, certificates, istiod, and what sidecars cost.",
        namespaces_of="envoy_server_live",
    )
    rows = [
        ("Requests to other services", _requests()),
        ("Refused, ejected, broken off", _refusals()),
        ("Cost of the sidecars", _cost()),
        ("Identity and configuration", _control()),
    ]
    return filled(begun, rows)


def _requests() -> Iterator[AnyPanel]:
    by = "service, cluster_name"
    to = "{{service}} to {{cluster_name}}"
    yield curves(
        "Rate",
        "reqps",
        Query(f'sum by ({by}) (rate(envoy_cluster_upstream_rq{{{_OUT},response_code_class!=""}}{_OVER}))', to),
        meaning="Requests per second that each service's sidecars sent: a cluster is a port and a subset of a service.",
        stacked=True,
    )
    yield curves(
        "5xx",
        "reqps",
        Query(f'sum by ({by}) (rate(envoy_cluster_upstream_rq{{{_OUT},response_code_class="5xx"}}{_OVER}))', to),
        meaning="Requests that ended with a status of 5xx. gRPC's codes are on the dashboard of the services.",
    )
    yield curves(
        "Tried again",
        "reqps",
        Query(f"sum by ({by}) (rate(envoy_cluster_upstream_rq_retry{{{_OUT}}}{_OVER}))", to),
        meaning="Retries of sidecars. Retries are the gateway's alone: anything here is a second layer of them.",
    )


def _refusals() -> Iterator[AnyPanel]:
    yield curves(
        "Ejected endpoints",
        "short",
        Query(
            f"sum by (service, cluster_name) (envoy_cluster_outlier_detection_ejections_active{{{_OUT}}})",
            "{{service}} to {{cluster_name}}",
        ),
        meaning="Endpoints that get no requests for now because they failed several in a row: docs/runbooks/mesh.md.",
        width=6,
    )
    yield curves(
        "Circuits open",
        "reqps",
        Query(
            f"sum by (service, cluster_name) (rate(envoy_cluster_upstream_rq_pending_overflow{{{_OUT}}}{_OVER}))",
            "{{service}} to {{cluster_name}}",
        ),
        meaning="Requests refused because the connection pool was full.",
        width=6,
    )
    yield curves(
        "Refused by policy",
        "reqps",
        Query(f'sum by (service) (rate({{{_IN},__name__=~"envoy_.*rbac_denied"}}{_OVER}))', "{{service}}"),
        meaning="Requests that an AuthorizationPolicy refused: an identity, port or method that no edge declares.",
        width=6,
    )
    yield curves(
        "Limited at the ingress",
        "reqps",
        Query(
            f'sum by (pod) (rate({{{_IN},__name__=~"envoy_.*http_local_rate_limit_rate_limited"}}{_OVER}))', "{{pod}}"
        ),
        meaning="Requests answered 429 by the ingress because their caller is over its rate.",
        width=6,
    )


def _cost() -> Iterator[AnyPanel]:
    cpu = f"sum by (pod) (rate(container_cpu_usage_seconds_total{{{_SIDECAR}}}{_OVER}))"
    requests = f'sum by (pod) (rate(envoy_cluster_upstream_rq{{{_IN},response_code_class!=""}}{_OVER}))'
    yield curves(
        "CPU",
        "short",
        Query(cpu, "{{pod}}"),
        meaning="Cores that each sidecar uses, as the kubelet counts.",
        width=6,
    )
    yield curves(
        "CPU per request",
        "s",
        Query(f"{cpu} / {requests}", "{{pod}}"),
        meaning="CPU time of a sidecar per request that it passes on.",
        width=6,
    )
    yield curves(
        "Memory of the container",
        "bytes",
        Query(f"sum by (pod) (container_memory_working_set_bytes{{{_SIDECAR}}})", "{{pod}}"),
        meaning="Working set of each sidecar, as the kubelet counts.",
        width=6,
    )
    yield curves(
        "Memory of Envoy",
        "bytes",
        Query(f"sum by (pod) (envoy_server_memory_physical_size{{{_IN}}})", "{{pod}}"),
        meaning="What Envoy's allocator holds; here also where nobody scrapes the kubelet.",
        width=6,
    )


def _control() -> Iterator[AnyPanel]:
    yield curves(
        "Certificates of workloads end in",
        "s",
        Query(f"min by (pod) (istio_agent_cert_expiry_seconds{{{_IN}}})", "{{pod}}"),
        meaning="Renewed at half of their life; a line that only falls: docs/runbooks/certificates.md.",
        width=6,
    )
    yield curves(
        "The mesh's root ends in",
        "s",
        Query("min(citadel_server_root_cert_expiry_timestamp) - time()", "root"),
        meaning="Nobody renews a self-signed root: docs/runbooks/certificates.md.",
        width=6,
    )
    yield curves(
        "Configuration reaches sidecars within",
        "s",
        Query(f"histogram_quantile(0.99, sum by (le) (rate(pilot_proxy_convergence_time_bucket{_OVER})))", "p99"),
        meaning="From a change until it is sent.",
        width=6,
    )
    yield curves(
        "Configuration refused",
        "ops",
        Query(f"sum by (type) (rate(pilot_total_xds_rejects{_OVER}))", "{{type}}"),
        meaning="Updates that a proxy did not take: docs/runbooks/mesh.md.",
        width=6,
    )
